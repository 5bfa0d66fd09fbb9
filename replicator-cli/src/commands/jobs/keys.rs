//! The keys of job files. Each option of a command is a key, under its long name. The table of a key
//! follows from the heading of the option in the help, so a new option needs no change here.

use std::any::TypeId;

use clap::{Arg, ArgAction, Command};
use secrecy::SecretString;

/// The commands that a job may run.
pub(super) const VERBS: &[&str] = &[
    "livecopy", "sync", "dump", "load", "compare", "plan", "verify", "repair", "metadefs", "size",
];

/// The keys of a job that are not options.
pub(super) const OF_JOBS: &[&str] = &["name", "verb", "from", "to"];

/// The table of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place {
    /// The job itself.
    Job,
    /// The table `select`.
    Select,
    /// The table `map`.
    Map,
    /// The table `limits`.
    Limits,
}

impl Place {
    /// The tables inside a job.
    pub(super) const TABLES: [Self; 3] = [Self::Select, Self::Map, Self::Limits];

    /// The name of the table. A job itself has none.
    pub(super) fn table(self) -> Option<&'static str> {
        match self {
            Self::Job => None,
            Self::Select => Some("select"),
            Self::Map => Some("map"),
            Self::Limits => Some("limits"),
        }
    }

    /// The place of an option with this heading in the help.
    fn of(heading: &str) -> Self {
        match heading.split(' ').next() {
            Some("Selection") => Self::Select,
            Some("Mapping") => Self::Map,
            Some("Limits" | "Run") => Self::Limits,
            _ => Self::Job,
        }
    }
}

/// The form of a key's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// `true` or `false`.
    Flag,
    /// One string, number or truth value.
    One,
    /// One value or a list of values.
    Many,
}

/// A key of a job.
#[derive(Debug, Clone)]
pub(super) struct Key {
    pub(super) place: Place,
    pub(super) name: String,
    pub(super) form: Form,
    /// The values that are possible, if there are only a few.
    pub(super) choices: Vec<String>,
    /// The first sentences of the option's help.
    pub(super) help: String,
}

/// The keys of all commands that a job may run.
#[derive(Debug)]
pub(super) struct Keys(Vec<(&'static str, Vec<Key>)>);

impl Keys {
    /// Reads the keys from the command line's definition.
    pub(super) fn of(tree: &Command) -> Self {
        let keys = |verb: &&'static str| {
            let options = tree.find_subcommand(verb).into_iter().flat_map(Command::get_arguments);
            (*verb, options.filter_map(key).collect())
        };
        Self(VERBS.iter().map(keys).collect())
    }

    /// The keys of a verb.
    pub(super) fn of_verb(&self, verb: &str) -> &[Key] {
        let found = self.0.iter().find(|(name, _)| *name == verb);
        found.map(|(_, keys)| keys.as_slice()).unwrap_or_default()
    }

    /// The keys of all verbs. A key of several verbs occurs several times.
    pub(super) fn all(&self) -> impl Iterator<Item = &Key> {
        self.0.iter().flat_map(|(_, keys)| keys)
    }

    /// The verbs that have a key.
    pub(super) fn verbs_with(&self, place: Place, name: &str) -> Vec<&'static str> {
        let has = |keys: &[Key]| keys.iter().any(|key| key.place == place && key.name == name);
        self.0.iter().filter(|(_, keys)| has(keys)).map(|(verb, _)| *verb).collect()
    }
}

/// The key of an option; `None` for operands, and for options that a job file must not contain.
fn key(option: &Arg) -> Option<Key> {
    let name = option.get_long()?;
    let is_secret = option.get_value_parser().type_id() == TypeId::of::<SecretString>();
    if option.is_hide_set() || is_secret || LEFT_OUT.contains(&name) {
        return None;
    }
    let form = match option.get_action() {
        ArgAction::SetTrue => Form::Flag,
        ArgAction::Append => Form::Many,
        ArgAction::Set => Form::One,
        _ => return None,
    };
    let heading = option.get_help_heading().unwrap_or_default();
    let choices = option.get_possible_values();
    let is_flag = form == Form::Flag;
    Some(Key {
        place: Place::of(heading),
        name: name.to_owned(),
        form,
        choices: choices.iter().filter(|_| !is_flag).map(|one| one.get_name().to_owned()).collect(),
        help: option.get_help().map(ToString::to_string).unwrap_or_default(),
    })
}

/// Options of one command line rather than of a job: log messages belong to `run`, and `run -n`
/// decides about dry runs.
const LEFT_OUT: &[&str] =
    &["help", "version", "debug", "verbose", "logfile", "syslog", "dump-filters", "dry-run"];

/// Whether the name of a key promises a secret.
pub(super) fn names_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let parts = ["password", "passwd", "passphrase", "passcode", "secret", "token", "credential"];
    parts.iter().any(|part| name.contains(part))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::Args;

    #[test]
    fn options_become_keys_in_the_table_of_their_heading() {
        let keys = Keys::of(&Args::tree());
        let find = |name: &str| keys.of_verb("sync").iter().find(|key| key.name == name);
        for (name, place, form) in [
            ("tag", Place::Select, Form::Many),
            ("min-size", Place::Select, Form::One),
            ("property", Place::Map, Form::Many),
            ("bwlimit", Place::Limits, Form::One),
            ("max-duration", Place::Limits, Form::One),
            ("delete", Place::Job, Form::One),
            ("unprotect", Place::Job, Form::Flag),
            ("metrics", Place::Job, Form::One),
        ] {
            let key = find(name).unwrap_or_else(|| panic!("{name}"));
            assert_eq!((key.place, key.form), (place, form), "{name}");
        }
        for name in ["token", "sourcetoken", "dump-filters", "debug", "help", "compress"] {
            assert!(find(name).is_none(), "{name}");
        }
        assert!(keys.verbs_with(Place::Job, "delete").contains(&"sync"));
        assert!(!keys.verbs_with(Place::Job, "delete").contains(&"dump"));
    }

    #[test]
    fn every_verb_is_a_command() {
        let tree = Args::tree();
        for verb in VERBS {
            assert!(tree.find_subcommand(verb).is_some(), "{verb}");
        }
    }
}
