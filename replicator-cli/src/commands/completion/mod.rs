//! `completion`: the scripts that complete command lines in shells, and `complete`, which they run.
//!
//! The scripts for bash, zsh and fish pass the words of the command line to `complete`, which knows
//! the clouds, the directories and the images of dumps. Those for other shells know only the
//! definition of the command line.

use std::ffi::OsString;

use clap::Command;
use clap_complete::Shell;
use clap_complete::engine::{CompletionCandidate, complete};

use crate::args::Args;
use crate::exit::Exit;
use crate::output;

mod images;
mod values;

/// Prints the completion script of a shell.
pub(super) fn script(shell: Shell) -> Exit {
    match shell {
        Shell::Bash => output::script(include_str!("script.bash")),
        Shell::Zsh => output::script(include_str!("script.zsh")),
        Shell::Fish => output::script(include_str!("script.fish")),
        other => output::script(&generated(other)),
    }
    Exit::Success
}

/// A script that contains the commands and options.
fn generated(shell: Shell) -> String {
    let all = Args::tree();
    let shown = all.get_subcommands().filter(|command| !command.is_hide_set()).cloned();
    let own = all.get_arguments().cloned();
    let tree = Command::new("glance-replicator").disable_help_subcommand(true);
    let mut tree = tree.args(own).subcommands(shown);
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut tree, "glance-replicator", &mut script);
    String::from_utf8_lossy(&script).into_owned()
}

/// Prints the candidates for the last of the words, one per line: the value, and its description
/// after a tab.
pub(super) async fn candidates(words: Vec<OsString>) -> Exit {
    let images = images::of_dump(&words).await;
    let mut tree = values::with_values(Args::tree(), &images);
    let Some(last) = words.len().checked_sub(1) else { return Exit::Success };
    let is_empty = words.last().is_some_and(|word| word.is_empty());
    let directory = std::env::current_dir().ok();
    // A line that the engine does not understand has no candidates.
    let found = complete(&mut tree, words, last, directory.as_deref()).unwrap_or_default();
    let mut lines: Vec<String> = found.iter().filter_map(line).collect();
    // Where a value is expected, options are offered only after a dash.
    let is_option = |line: &String| line.starts_with('-') && !line.starts_with("-\t");
    if is_empty && !lines.iter().all(is_option) {
        lines.retain(|line| !is_option(line));
    }
    for line in lines {
        output::script(&format!("{line}\n"));
    }
    Exit::Success
}

/// The line of a candidate; `None` if its value would not fit in one.
fn line(candidate: &CompletionCandidate) -> Option<String> {
    let value = candidate.get_value().to_str()?;
    if value.contains(char::is_control) {
        return None;
    }
    let help = candidate.get_help().map(ToString::to_string).unwrap_or_default();
    match help.lines().next() {
        Some(help) => Some(format!("{value}\t{help}")),
        None => Some(value.to_owned()),
    }
}
