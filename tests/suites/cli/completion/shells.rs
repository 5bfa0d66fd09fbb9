//! Each shell with the script for it: bash and zsh at a terminal, where a test types, and fish with
//! its own command that completes.

use std::fs;
use std::io::{Read, Write};
use std::process::{Command, Stdio};

use super::{LINES, stage};
use crate::suites::cli::help::Stage;
use crate::suites::cli::replicator;
use crate::support::common::{Run, cleared};
use crate::support::terminal::terminal;

/// Writes the script of a shell to a file. Returns its path.
fn script(stage: &Stage, shell: &str) -> String {
    let path = stage.directory.path().join(format!("script.{shell}"));
    fs::write(&path, replicator(&["completion", shell]).exits(0).stdout).unwrap();
    path.to_str().unwrap().to_owned()
}

/// A shell in the directory of the stage, which finds the tool and the clouds.
fn shell(stage: &Stage, program: &str, arguments: &[&str]) -> Command {
    let directory = stage.directory.path();
    let mut command = cleared(Command::new(program));
    command.args(arguments).current_dir(directory).env("HOME", directory).env("TERM", "dumb");
    command.env("OS_CLIENT_CONFIG_FILE", directory.join("clouds.yaml"));
    let path = std::env::var("PATH").unwrap();
    command.env("PATH", format!("{}:{path}", directory.display()));
    command
}

/// Types at the shell: what prepares it, then each of the lines with a tab. Each line is made the
/// arguments of `printf`, which shows the words that the shell would run. Returns what the terminal
/// showed.
fn typed(mut shell: Command, prepare: &str) -> String {
    let (mut ours, theirs) = terminal();
    shell.stdin(theirs.try_clone().unwrap()).stderr(theirs.try_clone().unwrap()).stdout(theirs);
    let mut child = shell.spawn().unwrap();
    drop(shell);
    writeln!(ours, "{prepare}").unwrap();
    for (words, _) in LINES {
        // Ctrl-A and Ctrl-E go to the beginning and to the end of the line.
        writeln!(ours, "glance-replicator {words}\t\x01printf '=%s=' \x05").unwrap();
    }
    writeln!(ours, "exit").unwrap();
    let mut screen = Vec::new();
    let mut some = [0; 4096];
    // At its end, a terminal gives an error (EIO) rather than no bytes.
    while let Ok(count @ 1..) = ours.read(&mut some) {
        screen.extend_from_slice(&some[..count]);
    }
    child.wait().unwrap();
    String::from_utf8_lossy(&screen).into_owned()
}

/// Fails unless each of the lines was completed.
#[track_caller]
fn assert_completed(screen: &str) {
    for (words, expected) in LINES {
        let mut line: Vec<&str> = words.split(' ').collect();
        line.pop();
        line.push(expected);
        let shown = format!("=glance-replicator=={}=", line.join("=="));
        assert!(screen.contains(&shown), "{words}: {shown} is not in\n{screen}");
    }
}

#[test]
fn bash_completes() {
    let stage = stage();
    let script = script(&stage, "bash");
    let bash = shell(&stage, "bash", &["--norc", "--noprofile", "-i"]);
    assert_completed(&typed(bash, &format!("source {script}")));
}

#[test]
fn zsh_completes() {
    let stage = stage();
    let script = script(&stage, "zsh");
    let zsh = || shell(&stage, "zsh", &["-f", "-i"]);
    let start = "autoload -Uz compinit; compinit -u -D; bindkey -e";
    assert_completed(&typed(zsh(), &format!("{start}; source {script}")));
    // As a package installs it: a file in the function path, named after the command.
    let functions = stage.directory.path().join("functions");
    fs::create_dir(&functions).unwrap();
    fs::copy(&script, functions.join("_glance-replicator")).unwrap();
    let path = format!("fpath=({} $fpath)", functions.display());
    assert_completed(&typed(zsh(), &format!("{path}; {start}")));
}

#[test]
fn fish_completes() {
    let stage = stage();
    let script = script(&stage, "fish");
    for (words, expected) in LINES {
        let line = format!("source {script}; complete --do-complete 'glance-replicator {words}'");
        let mut fish = shell(&stage, "fish", &["--no-config", "--command", &line]);
        let run = Run::of(fish.stdin(Stdio::null()).output().unwrap()).exits(0);
        let values: Vec<&str> =
            run.stdout.lines().filter_map(|line| line.split('\t').next()).collect();
        assert_eq!(values, [*expected], "{words}: {}", run.stderr);
    }
}
