//! The checks of what monitors and schedulers read: `promtool` checks metrics files and the alert
//! rules of `docs/monitoring.md`, `systemd-analyze` checks the units of `packaging/systemd`.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::demo_site::{Server, write_certificates, write_images};
use crate::failure::{Context, Failure};
use crate::output::say;
use crate::shell::{cargo, find, install, succeed};
use crate::workspace;

/// Runs every check, and stops at the first that fails.
pub(crate) fn run() -> Result<(), Failure> {
    cargo(&["build", "--package", "glance-replicator"])?;
    let target = workspace::target()?;
    let directory = target.join("monitoring");
    if directory.exists() {
        fs::remove_dir_all(&directory).context(|| directory.display().to_string())?;
    }
    fs::create_dir_all(&directory).context(|| directory.display().to_string())?;
    let tool = target.join("debug/glance-replicator");
    check_units(&directory, &tool)?;
    let promtool = promtool(&directory)?;
    for file in metrics_files(&directory, &tool)? {
        let text = File::open(&file).context(|| file.display().to_string())?;
        say(format_args!("$ promtool check metrics < {}", file.display()));
        succeed(Command::new(&promtool).args(["check", "metrics"]).stdin(text))?;
    }
    let rules = alert_rules(&directory)?;
    say(format_args!("$ promtool check rules {}", rules.display()));
    succeed(Command::new(&promtool).args(["check", "rules"]).arg(rules))
}

/// Checks copies of the units in which the tool is the one that was built.
fn check_units(directory: &Path, tool: &Path) -> Result<(), Failure> {
    if find("systemd-analyze").is_none() {
        install(&["systemd"])?;
    }
    let mut units = Vec::new();
    for name in UNITS {
        let source = workspace::root().join("packaging/systemd").join(name);
        let text = fs::read_to_string(&source).context(|| source.display().to_string())?;
        let unit = directory.join(name);
        let text = text.replace("/usr/bin/glance-replicator", &tool.display().to_string());
        fs::write(&unit, text).context(|| unit.display().to_string())?;
        units.push(unit);
    }
    say("$ systemd-analyze verify");
    let mut verify = Command::new("systemd-analyze");
    let found = verify.args(["verify", "--man=no"]).args(&units).output();
    let found = found.context(|| "cannot run systemd-analyze")?;
    // An unknown key is only a warning, with success.
    if !found.status.success() || !found.stderr.is_empty() {
        let said = String::from_utf8_lossy(&found.stderr);
        return Err(Failure::new(format!("systemd-analyze verify: {said}")));
    }
    say(format_args!("$ systemd-analyze security, at most {}.{}", MOST / 10, MOST % 10));
    let mut security = Command::new("systemd-analyze");
    security.args(["security", "--offline=true", "--no-pager"]);
    succeed(security.arg(format!("--threshold={MOST}")).arg(&units[0]).stdout(Stdio::null()))
}

/// The path of `promtool`. If it is not installed, it is taken from Debian's package, without
/// installing a server.
fn promtool(directory: &Path) -> Result<PathBuf, Failure> {
    if let Some(promtool) = find("promtool") {
        return Ok(promtool);
    }
    succeed(Command::new("apt-get").args(["update", "-qq"]))?;
    let mut download = Command::new("apt-get");
    succeed(download.args(["download", "-qq", "prometheus"]).current_dir(directory))?;
    let is_package = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "deb");
    let files = fs::read_dir(directory).context(|| directory.display().to_string())?;
    let package = files.flatten().map(|entry| entry.path()).find(is_package);
    let package = package.ok_or_else(|| Failure::new("apt-get downloaded no package"))?;
    succeed(Command::new("dpkg-deb").arg("-x").arg(&package).arg(directory))?;
    Ok(directory.join("usr/bin/promtool"))
}

/// Metrics files of a copy, of a comparison, and of a command that failed before its run.
fn metrics_files(directory: &Path, tool: &Path) -> Result<Vec<PathBuf>, Failure> {
    let path = |name: &str| directory.join(name).display().to_string();
    write_certificates(directory, "localhost")?;
    write_images(&directory.join("old"))?;
    let replicator = |line: &[&str], exit: i32| {
        let mut command = Command::new(tool);
        let status = command.args(line).stdout(Stdio::null()).stderr(Stdio::null()).status();
        let status = status.context(|| "cannot run the tool")?;
        match status.code() == Some(exit) {
            true => Ok(()),
            false => Err(Failure::new(format!("{}: {status}, not {exit}", line.join(" ")))),
        }
    };
    replicator(&["load", &path("old"), &path("images")], 0)?;
    let mut serve = Command::new(tool);
    serve.args(["serve", &path("images"), "--listen", "127.0.0.1:0"]);
    serve.args(["--cert", &path("cert.pem"), "--key", &path("key.pem")]);
    let server = Server::start(&mut serve, " on https://")?;
    let (url, ca) = (server.url.as_str(), path("ca.pem"));
    let (copy, copied, compared) = (path("copy"), path("copied.prom"), path("compared.prom"));
    replicator(&["livecopy", url, &copy, "--cacert", &ca, "--metrics", &copied], 0)?;
    replicator(&["compare", url, &copy, "--cacert", &ca, "--metrics", &compared], 0)?;
    let failed = path("failed.prom");
    replicator(&["livecopy", url, &copy, "--metrics", &failed], 4)?;
    Ok([copied, compared, failed].map(PathBuf::from).to_vec())
}

/// Writes the alert rules of the documentation to a file of their own.
fn alert_rules(directory: &Path) -> Result<PathBuf, Failure> {
    let page = workspace::root().join("docs/monitoring.md");
    let text = fs::read_to_string(&page).context(|| page.display().to_string())?;
    let block = text.split("```yaml\n").nth(1).and_then(|rest| rest.split("```").next());
    let rules = block.ok_or_else(|| Failure::new("docs/monitoring.md has no alert rules"))?;
    let file = directory.join("rules.yml");
    fs::write(&file, rules).context(|| file.display().to_string())?;
    Ok(file)
}

/// The units; the service is first.
const UNITS: [&str; 2] = ["glance-replicator@.service", "glance-replicator@.timer"];

/// The most exposed score that `systemd-analyze security` may give, times ten.
const MOST: u8 = 20;
