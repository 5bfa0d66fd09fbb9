//! The help texts of the commands: examples, and the options that act on the command.

use clap::{Arg, Command};

use super::effect::acts_on;

/// Shows each common option in the help of the commands that it acts on, and in `-h` only the
/// options that most people use.
pub(super) fn tailored(tree: Command) -> Command {
    let common: Vec<Arg> = tree.get_arguments().cloned().collect();
    let name = tree.get_name().to_owned();
    let hidden = tree.mut_args(|option| option.hide(true));
    hidden.mut_subcommands(|command| command_tailored(command, &name, "", &common))
}

fn command_tailored(command: Command, tool: &str, parent: &str, common: &[Arg]) -> Command {
    let name = format!("{parent}{}", command.get_name());
    let is_group = command.has_subcommands();
    let has = |command: &Command, option: &Arg| {
        command.get_arguments().any(|own| own.get_id() == option.get_id())
    };
    let missing: Vec<Arg> =
        common.iter().filter(|option| !has(&command, option)).cloned().collect();
    let command = with_examples(command.args(missing), tool, &name).mut_args(|option| {
        let id = option.get_id().as_str();
        let is_hidden = option.is_hide_set() || is_group || !acts_on(id, &name);
        let is_common = option.is_required_set()
            || IN_SHORT_HELP.contains(&id)
            || name == "livecopy" && IN_SHORT_HELP_OF_LIVECOPY.contains(&id);
        option.hide(is_hidden).hide_short_help(!is_common)
    });
    let parent = format!("{name} ");
    command.mut_subcommands(|inner| command_tailored(inner, tool, &parent, common))
}

/// Adds a title to the examples of a command, and in `-h` a pointer to the complete help.
fn with_examples(command: Command, tool: &str, name: &str) -> Command {
    let examples = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    let lines: Vec<String> = examples.lines().map(|line| format!("  {line}")).collect();
    let examples = match lines.is_empty() {
        true => String::new(),
        false => format!("Examples:\n{}\n\n", lines.join("\n")),
    };
    let pointer = format!("Run `{tool} {name} --help` for all options");
    let complete = examples.trim_end().to_owned();
    command.after_help(format!("{examples}{pointer}")).after_long_help(complete)
}

/// The ids of the arguments that `-h` shows, where the command has them.
const IN_SHORT_HELP: &[&str] = &[
    // Operands.
    "config",
    "from",
    "parts",
    "path",
    "server",
    "shell",
    "stores",
    "to",
    "topic",
    // Selection.
    "exclude",
    "image",
    "tag",
    "updated_within",
    // Options of one command or a few.
    "columns",
    "combined",
    "compress",
    "deep",
    "delete",
    "dry_run",
    "job",
    "listen",
    "namespaces",
    "one_way",
    "open_to_everyone",
    "out",
    "prune",
    "read_only",
    "require_token_file",
    "sort",
    "subset",
    "writable",
    // Common options.
    "bwlimit",
    "cacert",
    "metaonly",
    "output",
    "transfers",
    "verbose",
];

/// The ids of the options for a second copy, which `livecopy -h` shows in addition.
const IN_SHORT_HELP_OF_LIVECOPY: &[&str] = &["new_id", "owner", "rename"];

/// The end of the tool's own `--help`.
pub(super) fn stores_and_exit_codes() -> String {
    format!("{STORES}\n\n{EXIT_CODES}")
}

pub(super) const ABOUT: &str =
    "Copies and verifies machine images between OpenStack Glance services over verified HTTPS";

pub(super) const STORES: &str = "\
A store is one of:
  NAME[@REGION]                a cloud of clouds.yaml
  https://HOST[:PORT][/PREFIX] a Glance; HOST:PORT alone means https
  dir:PATH, ./PATH, /PATH      a directory written by `dump`
  oci:PATH                     an OCI image layout, which registries carry
  cloud:NAME, url:URL          a cloud or a URL, without ambiguity

Run `glance-replicator COMMAND -h` for examples and the most common options of a command, and \
`glance-replicator COMMAND --help` for all its options. `glance-replicator help` lists the pages \
of the guide";

const EXIT_CODES: &str = "\
Exit codes: 0 success, 1 differences (compare, plan, verify, dry runs), 2 usage or \
configuration error, 3 some images failed, 4 connection or TLS failure, 5 authentication or policy \
failure, 6 integrity failure, 7 another run uses the same stores or images, 8 limit reached or results not \
written, 9 owners or members of images were lost, 10 time limit reached, 129, 130 and 143 stopped by a \
signal. `glance-replicator help exit-codes` says what to do for each.";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::Args;

    #[test]
    fn every_argument_in_short_help_exists() {
        let tree = Args::tree();
        let groups = tree.get_subcommands().flat_map(Command::get_subcommands);
        let all: Vec<&Command> = tree.get_subcommands().chain(groups).collect();
        for id in IN_SHORT_HELP.iter().chain(IN_SHORT_HELP_OF_LIVECOPY) {
            let has = |command: &&Command| {
                command.get_arguments().any(|own| own.get_id().as_str() == *id)
            };
            assert!(all.iter().any(has), "{id}");
        }
    }
}
