//! `cargo xtask man`: generates the manual pages from `docs/` with lowdown.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::failure::{Context, Failure};
use crate::output::say;
use crate::shell::install;
use crate::workspace;

/// Writes every manual page to `target/man`.
pub(crate) fn run() -> Result<(), Failure> {
    if Command::new("lowdown").arg("--version").output().is_err() {
        install(&["lowdown"])?;
    }
    let directory = workspace::target()?.join("man");
    fs::create_dir_all(&directory).context(|| directory.display().to_string())?;
    for (source, name, about) in PAGES {
        let source = workspace::root().join(source);
        let text = fs::read_to_string(&source).context(|| source.display().to_string())?;
        // A manual page begins with the NAME section instead of a title.
        let body = text.split_once('\n').map_or("", |(_title, body)| body);
        let page = directory.join(format!("{name}.7"));
        convert(&format!("# NAME\n\n{name} - {about}\n\n# DESCRIPTION\n{body}"), name, &page)?;
        say(format_args!("man: {}", page.display()));
    }
    Ok(())
}

fn convert(markdown: &str, name: &str, page: &Path) -> Result<(), Failure> {
    let mut lowdown = Command::new("lowdown");
    lowdown.args(["-s", "-Tman", "-m", "section=7", "-m", "source=glance-replicator", "-m"]);
    lowdown.arg(format!("title={name}")).arg("-o").arg(page).arg("-").stdin(Stdio::piped());
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
    ("docs/dump-format.md", "glance-replicator-dump-format", "the files of a dump"),
    ("docs/mapping.md", "glance-replicator-mapping", "properties and owners at the target"),
    ("docs/metadefs.md", "glance-replicator-metadefs", "copy metadata definitions"),
    ("docs/placement.md", "glance-replicator-placement", "server-side import and target stores"),
    ("docs/proxy.md", "glance-replicator-proxy", "reach servers through an HTTP proxy"),
    ("docs/recovery.md", "glance-replicator-recovery", "complete interrupted runs"),
    ("docs/scale.md", "glance-replicator-scale", "split a replication across machines"),
    ("docs/selection.md", "glance-replicator-selection", "select images"),
    ("docs/sign-in.md", "glance-replicator-sign-in", "sign in with clouds.yaml or a token"),
    ("docs/sync.md", "glance-replicator-sync", "keep replicas up to date"),
    ("docs/tls.md", "glance-replicator-tls", "certificate trust"),
    ("docs/transfer.md", "glance-replicator-transfer", "retries, several targets and limits"),
    ("docs/verify.md", "glance-replicator-verify", "check image data"),
];
