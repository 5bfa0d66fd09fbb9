//! `help`: the pages of the guide, and all options of a command. `man`: the manual pages.

use std::fs;
use std::path::Path;

use clap::error::ErrorKind;

use crate::args::{Args, nearest};
use crate::error::CliError;
use crate::exit::Exit;
use crate::guide::{self, PAGES, Page};
use crate::manual::{self, ManualPage};
use crate::output::{self, quoted};

mod first_screen;

pub(crate) use first_screen::first_screen;

/// Prints what the words after `help` name: a page of the guide, else a command. Without words,
/// prints the list of both.
pub(super) fn run(topic: &[String]) -> Result<Exit, CliError> {
    match topic {
        [] => list(),
        [word] => match guide::page(word) {
            Some(page) => show(page),
            None => options_of(topic)?,
        },
        words => options_of(words)?,
    }
    Ok(Exit::Success)
}

fn list() {
    out!("Pages of the guide; `glance-replicator help PAGE` prints one:");
    out!("");
    let longest = PAGES.iter().map(|page| page.topic.len()).max().unwrap_or_default();
    for page in PAGES {
        out!("  {:longest$}  {}", page.topic, page.title());
    }
    out!("");
    let tree = Args::tree();
    let shown = tree.get_subcommands().filter(|command| !command.is_hide_set());
    let commands: Vec<&str> = shown.map(clap::Command::get_name).collect();
    out!("Commands; `glance-replicator COMMAND --help` prints all options of one:");
    out!("");
    let options = textwrap::Options::new(output::columns());
    let options = options.initial_indent("  ").subsequent_indent("  ");
    for line in textwrap::wrap(&commands.join(" "), options) {
        out!("{line}");
    }
}

fn show(page: &Page) {
    page.text(output::columns()).lines().for_each(|line| out!("{line}"));
    if Args::tree().find_subcommand(page.topic).is_some() {
        out!("");
        out!("All options of the command: glance-replicator {} --help", page.topic);
    }
}

/// The page or the command that is most like this topic.
fn suggestion_of(topic: &str) -> Option<String> {
    let tree = Args::tree();
    let commands = tree.get_subcommands().filter(|command| !command.is_hide_set());
    let topics = PAGES.iter().map(|page| page.topic).chain(commands.map(clap::Command::get_name));
    nearest(topic, topics).map(str::to_owned)
}

/// Prints the same as `COMMAND --help`.
fn options_of(command: &[String]) -> Result<(), CliError> {
    let line = [TOOL].into_iter().chain(command.iter().map(String::as_str)).chain(["--help"]);
    match Args::parsed(Args::tree(), line) {
        Err(error) if error.kind() == ErrorKind::DisplayHelp => output::help(&error),
        _ => {
            let topic = command.join(" ");
            let meant = suggestion_of(&topic).map(|meant| format!("did you mean `{meant}`? "));
            let what = format!("there is no topic {}", quoted(&topic));
            return Err(CliError::usage(what).hint(format!(
                "{}run `glance-replicator help` for the list of pages and commands",
                meant.unwrap_or_default()
            )));
        }
    }
    Ok(())
}

/// Writes the manual pages to the folders man1, man5 and man7 of a directory.
pub(super) fn write_manual(directory: Option<&Path>) -> Result<Exit, CliError> {
    let Some(directory) = directory else {
        return Err(CliError::usage("`man` needs a directory, to write the manual pages there")
            .hint(
                "`glance-replicator COMMAND --help` shows all options of a command; where the manual \
                 pages are installed, `man glance-replicator` shows them",
            ));
    };
    let failed = |error| {
        let what = format!("cannot write the manual pages to {}", directory.display());
        CliError::unwritten(what, error).hint("name a directory that you can write to")
    };
    for ManualPage { reference, source } in manual::pages().map_err(failed)? {
        let folder = directory.join(format!("man{}", reference.section));
        fs::create_dir_all(&folder).map_err(failed)?;
        let file = folder.join(format!("{}.{}", reference.name, reference.section));
        fs::write(file, source).map_err(failed)?;
    }
    Ok(Exit::Success)
}

const TOOL: &str = "glance-replicator";
