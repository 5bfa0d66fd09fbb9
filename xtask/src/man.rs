//! `cargo xtask man`: generates the manual pages with lowdown: `glance-replicator(1)` from the
//! tool's own help, the others from `docs/`.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::failure::{Context, Failure};
use crate::output::say;
use crate::shell::{cargo, install};
use crate::workspace;

/// Writes every manual page to `target/man`.
pub(crate) fn run() -> Result<(), Failure> {
    if Command::new("lowdown").arg("--version").output().is_err() {
        install(&["lowdown"])?;
    }
    let directory = workspace::target()?.join("man");
    fs::create_dir_all(&directory).context(|| directory.display().to_string())?;
    let page = directory.join("glance-replicator.1");
    convert(&commands_page()?, "glance-replicator", "1", &page)?;
    say(format_args!("man: {}", page.display()));
    for (source, name, about) in PAGES {
        let source = workspace::root().join(source);
        let text = fs::read_to_string(&source).context(|| source.display().to_string())?;
        // A manual page begins with the NAME section instead of a title.
        let body = text.split_once('\n').map_or("", |(_title, body)| body);
        let page = directory.join(format!("{name}.7"));
        convert(&format!("# NAME\n\n{name} - {about}\n\n# DESCRIPTION\n{body}"), name, "7", &page)?;
        say(format_args!("man: {}", page.display()));
    }
    Ok(())
}

/// The page about all commands and their options, in Markdown.
fn commands_page() -> Result<String, Failure> {
    cargo(&["build", "--package", "glance-replicator"])?;
    let tool = workspace::target()?.join("debug/glance-replicator");
    let about = "copy and verify images between OpenStack Glance services";
    let mut page = format!("# NAME\n\nglance-replicator - {about}\n");
    add_help(&tool, &[], &mut page)?;
    Ok(page)
}

/// Adds the help of a command and of the commands below it.
fn add_help(tool: &Path, command: &[&str], page: &mut String) -> Result<(), Failure> {
    let output = Command::new(tool).args(command).arg("--help").env("COLUMNS", "72").output();
    let output = output.context(|| tool.display().to_string())?;
    let help = String::from_utf8_lossy(&output.stdout);
    let title = if command.is_empty() { "DESCRIPTION".to_owned() } else { command.join(" ") };
    *page += &["\n# ", &title, "\n\n```\n", &help, "```\n"].concat();
    let listed = help.split_once("\nCommands:\n").map_or("", |(_, rest)| rest);
    for line in listed.lines().take_while(|line| !line.is_empty()) {
        // The description of a command continues on lines that are indented further.
        let name = line.strip_prefix("  ").filter(|line| !line.starts_with(' '));
        let name = name.and_then(|line| line.split(' ').next()).filter(|name| *name != "help");
        if let Some(name) = name {
            add_help(tool, &[command, &[name]].concat(), page)?;
        }
    }
    Ok(())
}

fn convert(markdown: &str, name: &str, section: &str, page: &Path) -> Result<(), Failure> {
    let mut lowdown = Command::new("lowdown");
    lowdown.args(["-s", "-Tman", "-m", "source=glance-replicator", "-m"]);
    lowdown.arg(format!("section={section}")).arg("-m").arg(format!("title={name}"));
    lowdown.arg("-o").arg(page).arg("-").stdin(Stdio::piped());
    let mut process = lowdown.spawn().context(|| "cannot run lowdown")?;
    if let Some(mut input) = process.stdin.take() {
        input.write_all(markdown.as_bytes()).context(|| "cannot write to lowdown")?;
    }
    match process.wait().context(|| "cannot wait for lowdown")?.success() {
        true => Ok(()),
        false => Err(Failure::new(format!("lowdown could not convert {name}"))),
    }
}

/// The source file, name and topic of each page.
const PAGES: &[(&str, &str, &str)] = &[
    ("docs/build.md", "glance-replicator-build", "build features and FIPS mode"),
    ("docs/copy.md", "glance-replicator-copy", "the steps of a copy"),
    ("docs/doctor.md", "glance-replicator-doctor", "check the access to a store"),
    ("docs/dump-format.md", "glance-replicator-dump-format", "the files of a dump"),
    ("docs/exit-codes.md", "glance-replicator-exit-codes", "what each exit code means"),
    ("docs/jobs.md", "glance-replicator-jobs", "run commands from a file, on a schedule"),
    ("docs/mapping.md", "glance-replicator-mapping", "properties and owners at the target"),
    ("docs/metadefs.md", "glance-replicator-metadefs", "copy metadata definitions"),
    ("docs/monitoring.md", "glance-replicator-monitoring", "metrics, alerts and logs"),
    ("docs/placement.md", "glance-replicator-placement", "server-side import and target stores"),
    ("docs/progress.md", "glance-replicator-progress", "the live view, messages and logs"),
    ("docs/proxy.md", "glance-replicator-proxy", "reach servers through an HTTP proxy"),
    ("docs/recovery.md", "glance-replicator-recovery", "complete interrupted runs"),
    ("docs/reports.md", "glance-replicator-reports", "formats and files of reports"),
    ("docs/scale.md", "glance-replicator-scale", "split a replication across machines"),
    ("docs/selection.md", "glance-replicator-selection", "select images"),
    ("docs/sign-in.md", "glance-replicator-sign-in", "sign in with clouds.yaml or a token"),
    ("docs/sync.md", "glance-replicator-sync", "keep replicas up to date"),
    ("docs/tls.md", "glance-replicator-tls", "certificate trust"),
    ("docs/transfer.md", "glance-replicator-transfer", "retries, several targets and limits"),
    ("docs/verify.md", "glance-replicator-verify", "check image data"),
];
