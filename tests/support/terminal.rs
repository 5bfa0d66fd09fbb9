//! Runs the tool at a terminal: a pseudo-terminal, whose other end is the test.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use super::common::cleared;

/// What the tool did at a terminal.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) code: Option<i32>,
    /// Standard output, which is a pipe.
    pub(crate) stdout: String,
    /// What the terminal showed: standard error, and the answers as they were typed.
    pub(crate) screen: String,
}

/// Runs the tool with standard input and standard error at a terminal. When the terminal shows
/// `[y/N] `, calls `answer` with the terminal and the running tool, which has to answer.
#[track_caller]
pub(crate) fn at_a_terminal(line: &[&str], mut answer: impl FnMut(&mut File, &Child)) -> Session {
    let (mut ours, theirs) = terminal();
    let mut command = cleared(Command::new(env!("CARGO_BIN_EXE_glance-replicator-under-test")));
    command.args(line).stdin(theirs.try_clone().unwrap()).stderr(theirs).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // The terminal ends for the reader when no process has it open any more.
    drop(command);
    let mut stdout = child.stdout.take().unwrap();
    let stdout: JoinHandle<String> = std::thread::spawn(move || {
        let mut text = String::new();
        stdout.read_to_string(&mut text).unwrap();
        text
    });
    let mut screen = Vec::new();
    let mut asked = 0;
    let mut some = [0; 4096];
    // At its end, a terminal gives an error (EIO) rather than no bytes.
    while let Ok(count @ 1..) = ours.read(&mut some) {
        screen.extend_from_slice(&some[..count]);
        let questions = String::from_utf8_lossy(&screen).matches("[y/N] ").count();
        for _ in asked..questions {
            answer(&mut ours, &child);
        }
        asked = questions;
    }
    let code = child.wait().unwrap().code();
    let screen = String::from_utf8(screen).unwrap().replace("\r\n", "\n");
    Session { code, stdout: stdout.join().unwrap(), screen }
}

/// A pseudo-terminal: the end of the test, and the end of the tool.
pub(crate) fn terminal() -> (File, File) {
    let ours: OwnedFd =
        openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
    grantpt(&ours).unwrap();
    unlockpt(&ours).unwrap();
    let name = ptsname(&ours, Vec::new()).unwrap().into_string().unwrap();
    let theirs = File::options().read(true).write(true).open(name).unwrap();
    (ours.into(), theirs)
}

/// Types a line at the terminal.
pub(crate) fn types(line: &'static str) -> impl FnMut(&mut File, &Child) {
    move |terminal, _| writeln!(terminal, "{line}").unwrap()
}
