//! Running other programs.

use std::process::Command;

use crate::failure::{Context, Failure};
use crate::output::say;
use crate::workspace;

/// Runs cargo in the workspace. Fails when cargo fails.
pub(crate) fn cargo(arguments: &[&str]) -> Result<(), Failure> {
    cargo_with(arguments, &[])
}

/// Like [`cargo`], with additional environment variables.
pub(crate) fn cargo_with(arguments: &[&str], variables: &[(&str, &str)]) -> Result<(), Failure> {
    let mut words: Vec<String> =
        variables.iter().map(|(name, value)| format!("{name}={value}")).collect();
    words.extend(["cargo"].iter().chain(arguments).map(ToString::to_string));
    say(format_args!("$ {}", words.join(" ")));
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(arguments).envs(variables.iter().copied());
    succeed(command.current_dir(workspace::root()))
}

/// Runs cargo and returns its standard output.
pub(crate) fn cargo_output(arguments: &[&str]) -> Result<String, Failure> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(arguments)
        .current_dir(workspace::root())
        .output()
        .context(|| "cannot run cargo")?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(Failure::new(format!("cargo {}: {said}", arguments.join(" "))));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Installs Debian packages.
pub(crate) fn install(packages: &[&str]) -> Result<(), Failure> {
    let quiet = |arguments: &[&str]| {
        succeed(Command::new("apt-get").args(arguments).env("DEBIAN_FRONTEND", "noninteractive"))
    };
    quiet(&["update", "-qq"])?;
    quiet(&[&["install", "-y", "-qq", "--no-install-recommends"], packages].concat())
}

/// Runs a program. Fails when the program fails.
pub(crate) fn succeed(command: &mut Command) -> Result<(), Failure> {
    let program = command.get_program().to_string_lossy().into_owned();
    let status = command.status().context(|| format!("cannot run {program}"))?;
    match status.success() {
        true => Ok(()),
        false => Err(Failure::new(format!("{program}: {status}"))),
    }
}
