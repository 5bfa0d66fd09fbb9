//! Running other programs.

use std::env;
use std::path::{Path, PathBuf};
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
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(arguments).envs(variables.iter().copied());
    succeed(command.current_dir(workspace::root()))
}

/// Runs cargo and returns its standard output.
pub(crate) fn cargo_output(arguments: &[&str]) -> Result<String, Failure> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    output(Command::new(cargo).args(arguments).current_dir(workspace::root()))
}

/// Runs a program and returns its standard output. Fails when the program fails.
pub(crate) fn output(command: &mut Command) -> Result<String, Failure> {
    let output = command.output();
    let program = Path::new(command.get_program()).display();
    let output = output.context(|| format!("cannot run {program}"))?;
    if !output.status.success() {
        let arguments: Vec<_> = command.get_args().map(|word| word.to_string_lossy()).collect();
        let said = String::from_utf8_lossy(&output.stderr);
        let (line, status) = (arguments.join(" "), output.status);
        return Err(Failure::new(format!("{program} {line}: {status}\n{said}")));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The path of a program, if it is installed.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain([PathBuf::from("/usr/sbin"), PathBuf::from("/usr/bin")])
        .map(|directory| directory.join(program))
        .find(|candidate| candidate.is_file())
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
