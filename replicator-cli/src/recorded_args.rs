//! The command line as a journal records it, without secrets.

use std::any::TypeId;
use std::ffi::OsString;

use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Command, CommandFactory};
use secrecy::SecretString;
use tls_policy::files::inline;

use crate::args::{Args, RecordedArgs};

/// The command line to record, from the arguments `line`, which begin with the program name, and
/// their parsed form `matches`.
///
/// Options with a secret value are omitted together with their value. Arguments that are URLs with
/// a user name are omitted too.
pub(crate) fn typed(
    line: impl IntoIterator<Item = OsString>,
    matches: &ArgMatches,
) -> RecordedArgs {
    let known = Known::of(&Args::command(), matches.subcommand_name());
    let mut typed = RecordedArgs { work: known.work(matches), ..RecordedArgs::default() };
    let mut line = line.into_iter().skip(1);
    let mut only_values = false;
    while let Some(argument) = line.next() {
        let Ok(text) = argument.into_string() else {
            typed.left_out.push(NO_TEXT.to_owned());
            continue;
        };
        let part = match only_values {
            true => Part::Kept,
            false => known.part(&text),
        };
        only_values |= text == "--";
        match part {
            Part::Secret { before, name, in_next } => {
                typed.command.extend(before);
                typed.left_out.push(name);
                if in_next {
                    line.next();
                }
            }
            Part::Kept if names_a_user(&text) => typed.left_out.push(WITH_USER.to_owned()),
            Part::Kept => typed.command.push(text),
        }
    }
    typed
}

/// The kind of an argument.
enum Part {
    /// An argument without a secret.
    Kept,
    /// An option with a secret value, possibly after other short options in the same argument.
    Secret {
        /// The part of the argument before the option.
        before: Option<String>,
        /// The name of the option.
        name: String,
        /// Whether the secret is the next argument.
        in_next: bool,
    },
}

/// The options of the command.
struct Known {
    options: Vec<Arg>,
}

impl Known {
    fn of(root: &Command, subcommand: Option<&str>) -> Self {
        let own = subcommand.and_then(|name| root.find_subcommand(name));
        let arguments =
            root.get_arguments().chain(own.into_iter().flat_map(Command::get_arguments));
        Self { options: arguments.filter(|argument| !argument.is_positional()).cloned().collect() }
    }

    /// The command, and the given options that decide what it does between its two stores.
    fn work(&self, matches: &ArgMatches) -> Vec<String> {
        let Some((command, given)) = matches.subcommand() else { return Vec::new() };
        let mut work = vec![command.to_owned()];
        for option in self.options.iter().filter(|option| !is_secret(option)) {
            let id = option.get_id().as_str();
            let Ok(Some(values)) = given.try_get_raw(id) else { continue };
            let is_typed = given.value_source(id) == Some(ValueSource::CommandLine);
            if is_typed && !WITHOUT_EFFECT_ON_THE_WORK.contains(&id) {
                let values = values.map(|value| without_secret(&value.to_string_lossy()));
                work.extend(values.map(|value| format!("{}={value}", said(option))));
            }
        }
        work
    }

    fn part(&self, text: &str) -> Part {
        if let Some(long) = text.strip_prefix("--") {
            let (name, value) = match long.split_once('=') {
                Some((name, value)) => (name, Some(value)),
                None => (long, None),
            };
            let secret = self.long(name).filter(|option| is_secret(option));
            return secret.map_or(Part::Kept, |option| Part::Secret {
                before: None,
                name: said(option),
                in_next: value.is_none(),
            });
        }
        match text.strip_prefix('-') {
            Some(cluster) => self.cluster(cluster),
            None => Part::Kept,
        }
    }

    /// Short options combined in one argument: flags, followed by at most one option with a value.
    fn cluster(&self, cluster: &str) -> Part {
        for (index, letter) in cluster.char_indices() {
            let Some(option) = self.short(letter) else { return Part::Kept };
            if is_secret(option) {
                let before = &cluster[..index];
                return Part::Secret {
                    before: (!before.is_empty()).then(|| format!("-{before}")),
                    name: said(option),
                    in_next: index + letter.len_utf8() == cluster.len(),
                };
            }
            if option.get_action().takes_values() {
                return Part::Kept;
            }
        }
        Part::Kept
    }

    fn long(&self, name: &str) -> Option<&Arg> {
        let is_it = |option: &&Arg| {
            let aliases = option.get_all_aliases().unwrap_or_default();
            option.get_long() == Some(name) || aliases.contains(&name)
        };
        self.options.iter().find(is_it)
    }

    fn short(&self, letter: char) -> Option<&Arg> {
        let is_it = |option: &&Arg| {
            let aliases = option.get_all_short_aliases().unwrap_or_default();
            option.get_short() == Some(letter) || aliases.contains(&letter)
        };
        self.options.iter().find(is_it)
    }
}

fn is_secret(option: &Arg) -> bool {
    option.get_value_parser().type_id() == TypeId::of::<SecretString>()
}

/// The option in the form that the command line accepts.
fn said(option: &Arg) -> String {
    format!("--{}", option.get_long().unwrap_or(option.get_id().as_str()))
}

/// Removes arguments of `line` that may be secrets from a message of clap.
pub(crate) fn without_secrets(said: String, line: impl IntoIterator<Item = OsString>) -> String {
    let arguments = line.into_iter().filter_map(|argument| argument.into_string().ok());
    let secrets = arguments.filter(|argument| may_be_secret(argument));
    secrets.fold(said, |said, secret| {
        let said = said.replace(&secret, NOT_SHOWN);
        match secret.split_once('=') {
            Some((_, value)) if may_be_secret(value) => said.replace(value, NOT_SHOWN),
            _ => said,
        }
    })
}

/// The argument, unless it may be a secret.
pub(crate) fn without_secret(argument: &str) -> String {
    if may_be_secret(argument) { NOT_SHOWN.to_owned() } else { argument.to_owned() }
}

/// Whether the text contains a password, a private key or a Keystone token.
pub(crate) fn may_be_secret(text: &str) -> bool {
    names_a_user(text) || inline::held_by(text).is_some() || text.contains("gAAAAA")
}

/// Whether the text is or ends with a URL that contains a user name.
fn names_a_user(text: &str) -> bool {
    text.split("://").skip(1).any(|rest| {
        rest.split(['/', '?', '#']).next().is_some_and(|authority| authority.contains('@'))
    })
}

/// The ids of options that change only speed, limits, retries, reports and the connection.
const WITHOUT_EFFECT_ON_THE_WORK: &[&str] = &[
    "allow_loss",
    "bwlimit",
    "color",
    "connect_timeout",
    "debug",
    "idle_timeout",
    "low_level_retries",
    "max_connections",
    "max_delete",
    "max_duration",
    "max_errors",
    "max_transfer",
    "memory",
    "metrics",
    "no_progress",
    "order_by",
    "output",
    "progress",
    "quiet",
    "report",
    "retries",
    "spool",
    "spool_dir",
    "spool_max",
    "state_dir",
    "streams",
    "tls",
    "tpslimit",
    "transfers",
    "verbose",
    "wait",
    "yes",
];

const NOT_SHOWN: &str = "(a value that may be a secret)";
const NO_TEXT: &str = "an argument that is not UTF-8";
const WITH_USER: &str = "an address with a user in it";

#[cfg(test)]
mod tests {
    use super::*;

    fn of(line: &[&str]) -> (Vec<String>, Vec<String>) {
        let line = || std::iter::once("glance-replicator").chain(line.iter().copied());
        let matches = Args::command().try_get_matches_from(line()).unwrap();
        let typed = typed(line().map(OsString::from), &matches);
        (typed.command, typed.left_out)
    }

    fn work(line: &str) -> Vec<String> {
        let line = || std::iter::once("glance-replicator").chain(line.split(' '));
        let matches = Args::command().try_get_matches_from(line()).unwrap();
        typed(line().map(OsString::from), &matches).work
    }

    #[test]
    fn the_work_is_the_command_with_its_selection_and_mapping() {
        let selected = ["livecopy", "--owner=caller", "--tag=x"];
        assert_eq!(work("livecopy a b --tag x --owner caller"), selected);
        let same =
            "--owner=caller -v livecopy --bwlimit 1M https://a c --retries 0 --tag=x -t s3cret";
        assert_eq!(work(same), selected);
        for other in ["livecopy a b --tag x", "sync a b --tag x --owner caller"] {
            assert_ne!(work(other), selected);
        }
        assert_ne!(
            work("sync a b --property set=k=1 --property set=k=2"),
            work("sync a b --property set=k=2 --property set=k=1")
        );
    }

    #[test]
    fn every_option_without_effect_on_the_work_exists() {
        let tree = Args::command();
        let all: Vec<&Command> = std::iter::once(&tree).chain(tree.get_subcommands()).collect();
        for id in WITHOUT_EFFECT_ON_THE_WORK {
            let has = |command: &&Command| {
                command.get_arguments().any(|own| own.get_id().as_str() == *id)
            };
            assert!(all.iter().any(has), "{id}");
        }
    }

    #[test]
    fn everything_is_kept_but_secrets() {
        let kept = ["-v", "livecopy", "a", "b", "--token-file", "t", "--transfers=2", "-D", "x y"];
        assert_eq!(of(&kept), (kept.map(str::to_owned).to_vec(), Vec::new()));
        for (secret, option) in [
            (vec!["--token", "s3cret"], "--token"),
            (vec!["--token=s3cret"], "--token"),
            (vec!["-t", "s3cret"], "--token"),
            (vec!["-ts3cret"], "--token"),
            (vec!["-t=s3cret"], "--token"),
            (vec!["--sourcetoken", "s3cret"], "--sourcetoken"),
            (vec!["--mastertoken=s3cret"], "--sourcetoken"),
            (vec!["-M", "s3cret"], "--sourcetoken"),
            (vec!["-Ss3cret"], "--targettoken"),
            (vec!["--slavetoken", "s3cret"], "--targettoken"),
        ] {
            let line: Vec<&str> = [&["livecopy"], &secret[..], &["a", "b"]].concat();
            let expected = ["livecopy", "a", "b"].map(str::to_owned).to_vec();
            assert_eq!(of(&line), (expected, vec![option.to_owned()]), "{line:?}");
        }
    }

    #[test]
    fn short_options_in_one_argument_are_told_apart() {
        for line in [&["-vt", "s3cret"][..], &["-vts3cret"], &["-vmtt3s3cret"]] {
            let line = [&["livecopy", "a", "b"], line].concat();
            let (kept, left_out) = of(&line);
            assert!(!kept.concat().contains("s3cret"), "{kept:?}");
            assert!(kept[3].starts_with("-v"), "{kept:?}");
            assert_eq!(left_out, ["--token"]);
        }
        // `t` belongs to the value of `-o`; it is not the option `-t`.
        let line = ["plan", "a", "b", "-ot", "--sourcetoken", "s3cret"];
        assert_eq!(of(&line).0, ["plan", "a", "b", "-ot"]);
        let line = ["livecopy", "-t", "s3cret", "--", "a", "b"];
        assert_eq!(of(&line).0, ["livecopy", "--", "a", "b"]);
    }

    #[test]
    fn an_address_with_a_user_is_left_out() {
        let line = ["livecopy", "a", "b", "--source-endpoint-override=https://me:s3cret@host/x"];
        let (kept, left_out) = of(&line);
        assert_eq!(kept, ["livecopy", "a", "b"]);
        assert_eq!(left_out, [WITH_USER]);
        let kept = ["livecopy", "https://a/x@y", "b@region"];
        assert_eq!(of(&kept).0, kept);
    }
}
