//! Command lines of the tool in a piece of shell.

use clap::error::ErrorKind;

use crate::support::common::COMMANDS;

/// The arguments of each call of the tool in the text. Calls without arguments are left out.
pub(super) fn command_lines(text: &str) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    let mut line = String::new();
    for part in text.replace("\\\n", " ").lines() {
        line.extend([part, "\n"]);
        // A quoted string may go on in the next line.
        if let Some(words) = shlex::split(&line) {
            calls(&words, &mut found);
            line.clear();
        }
    }
    found
}

fn calls(words: &[String], found: &mut Vec<Vec<String>>) {
    for (index, word) in words.iter().enumerate() {
        if word.starts_with("glance-replicator ") {
            // A command line in quotes, as for `ssh` or `sh -c`.
            found.extend(command_lines(word));
        }
        let before = index.checked_sub(1).map_or("", |before| &*words[before]);
        if word != "glance-replicator" || OTHERS_OPERAND.contains(&before) {
            continue;
        }
        let arguments = arguments(&words[index + 1..]);
        if !arguments.is_empty() {
            found.push(arguments);
        }
    }
}

/// The words up to the end of the command.
fn arguments(words: &[String]) -> Vec<String> {
    let mut found = Vec::new();
    for word in words {
        let is_operator = ["|", "||", "&&", "&", ";", ">", "2>", "<", ")"].contains(&&**word);
        if is_operator || word.starts_with(['>', '<']) || word.starts_with("2>") {
            break;
        }
        let bare = word.trim_end_matches([';', ')']);
        found.push(bare.to_owned());
        if bare != word {
            break;
        }
    }
    found
}

/// Copies with the options of a text that has nothing but options.
pub(super) fn bare_options(text: &str) -> Vec<Vec<String>> {
    if !text.lines().all(|line| line.starts_with("--")) {
        return Vec::new();
    }
    let words = |line| ["livecopy a b ", line].concat();
    text.lines().filter_map(|line| shlex::split(&words(line))).collect()
}

/// Why the tool does not accept this command line.
pub(super) fn fault(words: &[String]) -> Option<String> {
    // COMMAND stands for any command. `glance-replicator doctor: …` is the name of a record. The
    // version is known to the program only, not to its parser.
    if words[0] == "COMMAND" || words[0].ends_with(':') || words == ["--version"] {
        return None;
    }
    let line = ["glance-replicator"].into_iter().chain(words.iter().map(String::as_str));
    let error = replicator_cli::parse(line).err()?;
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => None,
        _ => error.to_string().lines().next().map(str::to_owned),
    }
}

/// The long options in code that stands in a text, unless the code is a command of another program.
pub(super) fn option_names(code: &str) -> impl Iterator<Item = String> {
    let first = code.split(' ').next().unwrap_or_default();
    let is_ours = first.starts_with("--")
        || first == "glance-replicator"
        || COMMANDS.iter().any(|command| command.split(' ').next() == Some(first));
    let words = code.split([' ', '=', ',', '|']).filter(move |_| is_ours);
    // `--target-*` stands for several options.
    let names = words.filter(|word| word.starts_with("--") && !word.contains('*'));
    names.map(|name| name.trim_end_matches(|c: char| !c.is_ascii_alphanumeric()).to_owned())
}

/// Whether a command has the option, or it is an option of another program.
pub(super) fn option_exists(name: &str) -> bool {
    let is_accepted = |command: &&str| {
        let line = ["glance-replicator"].into_iter().chain(command.split(' ')).chain([name]);
        match replicator_cli::parse(line) {
            Ok(_) => true,
            // The error about an option of the old tool says what to write.
            Err(error) => {
                error.kind() != ErrorKind::UnknownArgument
                    || error.to_string().contains("there is no option")
            }
        }
    };
    OF_OTHER_PROGRAMS.contains(&name) || COMMANDS.iter().any(is_accepted)
}

/// What stands before the name of a package.
const OTHERS_OPERAND: &[&str] = &["-p", "--package", "install", "purge", "remove", "man", "--tag"];

/// Options of cargo, Slurm and zstd, and one that the program knows and its parser does not.
const OF_OTHER_PROGRAMS: &[&str] = &[
    "--all-features",
    "--features",
    "--long",
    "--no-default-features",
    "--requeue",
    "--ultra",
    "--version",
];
