//! The commands that each common option acts on. A common option is refused on every other command,
//! because an operator who gives an option relies on its effect.

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Command};

/// Whether an option, named by its id, has an effect on a command.
pub(super) fn acts_on(option: &str, command: &str) -> bool {
    let row = TABLE.iter().find(|(options, _)| options.contains(&option));
    row.is_none_or(|(_, commands)| commands.iter().any(|set| set.contains(&command)))
}

/// Whether the table has an option, with an effect on a command.
fn is_listed(option: &str, command: &str) -> bool {
    let is_known = TABLE.iter().any(|(options, _)| options.contains(&option));
    is_known && acts_on(option, command)
}

/// Fails if an option is given on the command line that has no effect on the command.
pub(super) fn refuse_without_effect(
    tree: &Command,
    matches: &ArgMatches,
) -> Result<(), clap::Error> {
    let command = command_of(matches);
    let is_given = |option: &str| matches.value_source(option) == Some(ValueSource::CommandLine);
    let is_of_old_tool =
        |option: &str| OLD_COMMANDS.contains(&&*command) && OLD_OPTIONS.contains(&option);
    let useless = |option: &&Arg| {
        let id = option.get_id().as_str();
        !acts_on(id, &command) && !is_of_old_tool(id) && is_given(id)
    };
    match tree.get_arguments().find(useless) {
        None => Ok(()),
        Some(option) => Err(refusal(option, &command)),
    }
}

/// The name of the command, such as `report merge`.
fn command_of(matches: &ArgMatches) -> String {
    let inner = |(name, matches): (&str, &ArgMatches)| match command_of(matches) {
        inner if inner.is_empty() => name.to_owned(),
        inner => format!("{name} {inner}"),
    };
    matches.subcommand().map(inner).unwrap_or_default()
}

fn refusal(option: &Arg, command: &str) -> clap::Error {
    let id = option.get_id().as_str();
    let sets = TABLE.iter().find(|(options, _)| options.contains(&id)).map(|(_, sets)| *sets);
    let long = option.get_long().unwrap_or(id);
    let of_one_side = long.strip_prefix("source-").or(long.strip_prefix("target-"));
    let advice = match (sets.unwrap_or_default().concat(), of_one_side) {
        // A command with a single store has the option without the side.
        (_, Some(name)) if is_listed(&name.replace('-', "_"), command) => format!("use --{name}"),
        (others, _) => elsewhere(&others, command),
    };
    let reason = format!("--{long} has no effect on {command}; {advice}\n");
    clap::Error::raw(ErrorKind::ArgumentConflict, reason)
}

/// Where an option has an effect.
fn elsewhere(others: &[&str], command: &str) -> String {
    match others {
        [] => "leave it out".to_owned(),
        others if command == "resume" && others.contains(&"sync") => {
            "run the interrupted command again with it".to_owned()
        }
        others => format!("use it with {}", others.join(", ")),
    }
}

/// Says, in an error about an unknown option, which commands have the option.
pub(super) fn with_place(error: clap::Error, tree: &Command) -> clap::Error {
    let argument = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(text)) if error.kind() == ErrorKind::UnknownArgument => text,
        _ => return error,
    };
    let is_named = |option: &Arg| {
        let short = option.get_short().map(|letter| format!("-{letter}"));
        let long = option.get_long().map(|name| format!("--{name}"));
        [short, long].iter().flatten().any(|name| name == argument)
    };
    let has_it = |command: &&Command| command.get_arguments().any(is_named);
    let commands: Vec<&str> =
        tree.get_subcommands().filter(has_it).map(Command::get_name).collect();
    if commands.is_empty() {
        return error;
    }
    let commands = commands.join(", ");
    let reason = format!("{argument} is an option of {commands}; write it after such a command\n");
    clap::Error::raw(ErrorKind::UnknownArgument, reason)
}

/// Commands that copy images.
const COPYING: &[&str] = &["dump", "load", "livecopy", "sync"];

/// Commands that copy images, to a target that may be a Glance.
const COPYING_TO_GLANCE: &[&str] = &["load", "livecopy", "sync"];

/// Commands that report differences between two stores.
const COMPARING: &[&str] = &["compare", "plan"];

/// Commands that open stores.
const OPENING: &[&str] = &[
    "ls", "show", "size", "dump", "load", "livecopy", "compare", "plan", "sync", "repair",
    "metadefs", "verify", "doctor",
];

/// Commands whose source, or only store, may be a server.
const WITH_SOURCE: &[&str] = &[
    "ls", "show", "size", "dump", "livecopy", "compare", "plan", "sync", "repair", "metadefs",
    "verify", "doctor",
];

/// Commands whose target may be a server.
const WITH_TARGET: &[&str] =
    &["load", "livecopy", "compare", "plan", "sync", "repair", "metadefs", "verify"];

/// The commands of the old tool.
const OLD_COMMANDS: &[&str] = &["size", "dump", "load", "livecopy", "compare"];

/// The options of the old tool, which accepted all of them on every command.
const OLD_OPTIONS: &[&str] = &[
    "chunksize",
    "dontreplicate",
    "metaonly",
    "nodebug",
    "nometaonly",
    "nouse_journal",
    "nouse_json",
    "nouse_syslog",
    "sourcetoken",
    "targettoken",
    "token",
];

/// The options of the old tool that act on no command of this tool.
const OLD_OPTIONS_WITHOUT_EFFECT: &[&str] = &[
    "chunksize",
    "config_file",
    "nodebug",
    "nometaonly",
    "nouse_journal",
    "nouse_json",
    "nouse_syslog",
];

/// Ids of options, and sets of commands.
type Row = (&'static [&'static str], &'static [&'static [&'static str]]);

/// The common options, and the commands that they act on. An option without a row acts on every
/// command that has it.
const TABLE: &[Row] = &[
    (OLD_OPTIONS_WITHOUT_EFFECT, &[]),
    // Reports and state.
    (&["no_progress", "progress"], &[COPYING, &["repair", "resume"]]),
    (
        &["output"],
        &[OPENING, &["resume", "serve", "clouds", "report merge", "run", "config check"]],
    ),
    (&["report"], &[OPENING, &["resume", "serve", "clouds", "report merge"]]),
    (&["metrics"], &[COPYING, &["compare", "verify"]]),
    (&["state_dir"], &[COPYING, COMPARING, &["repair", "verify", "resume"]]),
    (&["no_state"], &[COPYING, COMPARING, &["repair", "verify"]]),
    (&["yes"], &[&["sync", "metadefs", "resume"]]),
    (&["wait"], &[COPYING, &["repair"]]),
    // Records and data at the target.
    (&["members", "metaonly"], &[COPYING, COMPARING]),
    (&["match_by"], &[COPYING, COMPARING, &["verify"]]),
    (
        &["boot_from_volume", "dontreplicate", "encrypted", "property", "queued", "transfers"],
        &[COPYING, COMPARING, &["repair", "verify"]],
    ),
    (&["owner"], &[COPYING, COMPARING, &["repair", "verify", "metadefs"]]),
    (
        &["allow_loss", "max_connections", "memory", "spool", "spool_dir", "spool_max", "streams"],
        &[COPYING, &["repair"]],
    ),
    (&["rename"], &[COPYING, COMPARING]),
    (&["on_burned_id"], &[COPYING_TO_GLANCE]),
    (&["new_id"], &[COPYING_TO_GLANCE, COMPARING, &["verify"]]),
    (&["content_check"], &[COPYING_TO_GLANCE, &["repair"]]),
    (
        &["import_interface", "no_fallback", "via", "web_url"],
        &[COPYING_TO_GLANCE, &["plan", "repair"]],
    ),
    (&["also_store", "store", "store_map"], &[COPYING_TO_GLANCE, COMPARING, &["repair"]]),
    // Connections.
    (&["bwlimit"], &[COPYING, &["repair", "verify"]]),
    (&["connect_timeout", "idle_timeout", "low_level_retries", "tpslimit"], &[OPENING]),
    (&["tls"], &[OPENING, &["serve"]]),
    (&["cacert", "system_roots"], &[OPENING, &["clouds"]]),
    // `serve` has options of its own with these names.
    (&["cert", "key"], &[OPENING, &["serve"]]),
    (&["crl", "key_passphrase_file", "tls_min_version", "token_file"], &[OPENING]),
    (
        &[
            "source_cacert",
            "source_cert",
            "source_endpoint_override",
            "source_interface",
            "source_key",
            "source_pin",
            "source_project",
            "source_token_file",
        ],
        &[WITH_SOURCE],
    ),
    (
        &[
            "target_cacert",
            "target_cert",
            "target_endpoint_override",
            "target_interface",
            "target_key",
            "target_pin",
            "target_project",
            "target_token_file",
        ],
        &[WITH_TARGET],
    ),
    // `resume` passes tokens to the runs, because journals do not contain them.
    (&["token"], &[OPENING, &["resume"]]),
    (&["sourcetoken"], &[WITH_SOURCE, &["resume"]]),
    (&["targettoken"], &[WITH_TARGET, &["resume"]]),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::args::Args;

    /// The names of all commands, such as `report merge`.
    fn commands(tree: &Command, parent: &str) -> BTreeSet<String> {
        let named = |command: &Command| match command.has_subcommands() {
            true => commands(command, &format!("{parent}{} ", command.get_name())),
            false => BTreeSet::from([format!("{parent}{}", command.get_name())]),
        };
        tree.get_subcommands().flat_map(named).collect()
    }

    #[test]
    fn the_commands_and_options_are_sound() {
        Args::tree().debug_assert();
    }

    #[test]
    fn the_table_names_options_and_commands_that_exist() {
        let tree = Args::tree();
        let options: BTreeSet<&str> =
            tree.get_arguments().map(|option| option.get_id().as_str()).collect();
        let commands = commands(&tree, "");
        for (ids, sets) in TABLE {
            for id in *ids {
                assert!(options.contains(id), "{id} is not a common option");
                let rows = TABLE.iter().filter(|(others, _)| others.contains(id));
                assert_eq!(rows.count(), 1, "{id}");
            }
            for command in sets.concat() {
                assert!(commands.contains(command), "{command} is not a command");
            }
        }
        for id in OLD_OPTIONS {
            assert!(options.contains(id), "{id} is not a common option");
        }
    }

    #[test]
    fn every_option_is_shown_by_a_command() {
        let tree = Args::tree();
        let groups = tree.get_subcommands().flat_map(Command::get_subcommands);
        let all: Vec<&Command> = tree.get_subcommands().chain(groups).collect();
        for option in tree.get_arguments() {
            let id = option.get_id();
            let is_shown = |command: &&Command| {
                command.get_arguments().any(|own| own.get_id() == id && !own.is_hide_set())
            };
            let is_of_old_tool = id == "debug" || OLD_OPTIONS_WITHOUT_EFFECT.contains(&id.as_str());
            assert_eq!(all.iter().any(is_shown), !is_of_old_tool, "{id}");
        }
    }
}
