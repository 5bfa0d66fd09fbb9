//! `help`: the pages of the guide, and all options of a command.

use clap::error::ErrorKind;

use crate::args::Args;
use crate::error::CliError;
use crate::exit::Exit;
use crate::guide::{self, PAGES, Page};
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
    let commands: Vec<&str> = tree.get_subcommands().map(clap::Command::get_name).collect();
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

/// Prints the same as `COMMAND --help`.
fn options_of(command: &[String]) -> Result<(), CliError> {
    let line = [TOOL].into_iter().chain(command.iter().map(String::as_str)).chain(["--help"]);
    match Args::parsed(Args::tree(), line) {
        Err(error) if error.kind() == ErrorKind::DisplayHelp => output::help(&error),
        _ => {
            let what = format!("there is no topic {}", quoted(&command.join(" ")));
            return Err(CliError::usage(what)
                .hint("run `glance-replicator help` for the list of pages and commands"));
        }
    }
    Ok(())
}

const TOOL: &str = "glance-replicator";
