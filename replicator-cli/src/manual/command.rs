//! The pages of the commands.

use std::collections::BTreeSet;
use std::io;

use clap::Command;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use super::facts::{self, Entry, Where};
use super::{ManualPage, Reference, TOOL, of_command, reference, rendered, see_also, title, troff};
use crate::exit::Exit;
use crate::guide;

/// Adds the page of the tool, and those of its commands.
pub(super) fn pages(tree: &Command, pages: &mut Vec<ManualPage>) -> io::Result<()> {
    pages.push(page(tree, "")?);
    add_commands(tree, "", pages)
}

fn add_commands(group: &Command, parent: &str, pages: &mut Vec<ManualPage>) -> io::Result<()> {
    for command in shown(group) {
        let name = format!("{parent}{}", command.get_name());
        pages.push(page(command, &name)?);
        add_commands(command, &format!("{name} "), pages)?;
    }
    Ok(())
}

/// The commands that the help shows.
fn shown(group: &Command) -> impl Iterator<Item = &Command> {
    group.get_subcommands().filter(|command| !command.is_hide_set())
}

/// The page of a command, such as `report merge`; of the tool itself, if the name is empty.
fn page(command: &Command, name: &str) -> io::Result<ManualPage> {
    let own = of_command(name);
    // The page shows all options, as `--help` does.
    let mut command = command.clone().mut_args(|option| option.hide_short_help(false));
    let usage = command.render_usage().to_string();
    let command = command.override_usage(usage.trim_start_matches("Usage: ").to_owned());
    let command = command.subcommand_help_heading("COMMANDS");
    let is_tool = name.is_empty();
    let man = Man::new(command.clone());
    let mut source = title(&own)?;
    source += &rendered(|out| {
        man.render_name_section(out)?;
        man.render_synopsis_section(out)?;
        man.render_description_section(out)?;
        if is_tool {
            man.render_subcommands_section(out)?;
        }
        man.render_options_section(out)?;
        if !is_tool && command.has_subcommands() {
            man.render_subcommands_section(out)?;
        }
        Ok(())
    })?;
    source += &written(&command, name).render();
    Ok(ManualPage { reference: own, source: troff::finished(&source) })
}

/// The sections that clap does not know.
fn written(command: &Command, name: &str) -> Roff {
    let mut roff = Roff::new();
    if name.is_empty() {
        stores_and_guide(&mut roff, command);
    }
    if let Some(examples) = examples(command) {
        roff.control("SH", ["EXAMPLES"]).control("EX", []);
        for line in examples.lines() {
            roff.text([roman(line)]);
        }
        roff.control("EE", []);
    }
    entries(&mut roff, "FILES", facts::FILES, command, name);
    entries(&mut roff, "ENVIRONMENT", facts::ENVIRONMENT, command, name);
    exit_status(&mut roff);
    see_also(&mut roff, related(command, name));
    roff
}

/// How stores are named, and the pages of the guide.
fn stores_and_guide(roff: &mut Roff, command: &Command) {
    let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    roff.control("SH", ["STORES"]).control("EX", []);
    for line in help.lines().take_while(|line| !line.is_empty()) {
        roff.text([roman(line)]);
    }
    roff.control("EE", []);
    roff.control("SH", ["GUIDE"]);
    for page in guide::PAGES {
        let Reference { name, section } = reference(page);
        roff.control("TP", []).text([bold(name), roman(format!("({section})"))]);
        roff.text([roman(page.title())]);
    }
}

/// The examples of the help, without their indentation.
fn examples(command: &Command) -> Option<String> {
    let help = command.get_after_long_help()?.to_string();
    let examples = help.strip_prefix("Examples:\n")?;
    let lines = examples.lines().map(|line| line.strip_prefix("  ").unwrap_or(line));
    Some(lines.collect::<Vec<_>>().join("\n"))
}

/// A section with the entries that apply to the command.
fn entries(roff: &mut Roff, section: &str, all: &[Entry], command: &Command, name: &str) {
    let entries: Vec<&Entry> = all.iter().filter(|it| applies(it.place, command, name)).collect();
    if entries.is_empty() {
        return;
    }
    roff.control("SH", [section]);
    for entry in entries {
        roff.control("TP", []).text([bold(entry.name)]).text([roman(entry.text)]);
    }
}

/// Whether the command has the option that an entry is about. The tool itself has all of them, and
/// so do the commands that run other commands.
fn applies(place: Where, command: &Command, name: &str) -> bool {
    let Where::With(id) = place else { return true };
    let has_it = |option: &clap::Arg| option.get_id() == id && !option.is_hide_set();
    ["", "resume", "run"].contains(&name) || command.get_arguments().any(has_it)
}

fn exit_status(roff: &mut Roff) {
    roff.control("SH", ["EXIT STATUS"]);
    for exit in Exit::ALL {
        let code = (exit as u8).to_string();
        roff.control("TP", []).text([bold(code)]).text([roman(exit.meaning())]);
    }
    roff.control("PP", []);
    let page = format!("{TOOL}-exit-codes");
    roff.text([bold(page), roman("(7) says for each code what produces it and what to do.")]);
}

/// The pages that belong to the subject of a command.
pub(super) fn related(command: &Command, name: &str) -> BTreeSet<Reference> {
    let words = facts::RELATED.iter().filter(|(of, _)| *of == name).flat_map(|(_, words)| *words);
    let mut pages: BTreeSet<Reference> = words.map(|word| referred(word)).collect();
    if applies(Where::With("cacert"), command, name) {
        pages.extend(["clouds", "sign-in", "tls"].map(referred));
    }
    pages.insert(referred("exit-codes"));
    pages.extend(shown(command).map(|inner| of_command(&format!("{name} {}", inner.get_name()))));
    match name.rsplit_once(' ') {
        Some((group, _)) => drop(pages.insert(of_command(group))),
        None if name.is_empty() => {}
        None => drop(pages.insert(of_command(""))),
    }
    pages
}

/// The page that a word of [`facts::RELATED`] names: a page of the guide, or `COMMAND(1)`.
fn referred(word: &str) -> Reference {
    match (word.strip_suffix("(1)"), guide::page(word)) {
        (Some(command), _) => of_command(command),
        (None, Some(page)) => reference(page),
        // A test makes sure that every word names a page.
        (None, None) => Reference { name: word.to_owned(), section: 7 },
    }
}
