//! Answers to words and options that this tool does not have, but that other tools or the old tool
//! have: the error says how the tool does it.

use std::ffi::OsString;
use std::path::Path;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, Command};
use keystone_auth::{Clouds, Environment};

mod nearest;
mod old_tool;

pub(crate) use nearest::{nearest, suggestion};
pub use old_tool::OldOptions;

/// The command line, with the old tool's `--shell_completion SHELL` understood as `completion SHELL`.
pub(super) fn understood<T: Into<OsString>>(line: impl IntoIterator<Item = T>) -> Vec<OsString> {
    let mut line: Vec<OsString> = line.into_iter().map(Into::into).collect();
    if let Some(first) = line.get_mut(1).filter(|first| *first == "--shell_completion") {
        *first = "completion".into();
    }
    line
}

/// The answer to an error about a word or an option that is a known guess.
pub(super) fn answer(
    error: &clap::Error,
    line: &[OsString],
    tree: &Command,
) -> Option<clap::Error> {
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.as_str()),
        _ => None,
    };
    let known = |table: &[Guess], typed: &str| {
        table.iter().find(|(guesses, _)| guesses.contains(&typed)).map(|(_, answer)| *answer)
    };
    let (what, hint) = match error.kind() {
        ErrorKind::InvalidSubcommand => {
            let word = text(ContextKind::InvalidSubcommand)?;
            (format!("there is no command {word}"), known(WORDS, word)?.to_owned())
        }
        ErrorKind::UnknownArgument => {
            let typed = text(ContextKind::InvalidArg)?;
            match (typed.starts_with('-'), known(OPTIONS, typed)) {
                (true, Some(answer)) => (format!("there is no option {typed}"), answer.to_owned()),
                (true, None) => one_dash(typed, line, tree)?,
                (false, _) => one_image(typed, line, tree)?,
            }
        }
        _ => return None,
    };
    Some(clap::Error::raw(error.kind(), format!("{what}\n  hint: {hint}\n")))
}

/// The answer to a long option with one dash, of which `typed` is one letter.
fn one_dash(typed: &str, line: &[OsString], tree: &Command) -> Option<(String, String)> {
    let letter = typed.strip_prefix('-').filter(|rest| !rest.starts_with('-'))?;
    let words = line.iter().skip(1).filter_map(|word| word.to_str());
    let words = words.take_while(|word| *word != "--").filter_map(|word| word.strip_prefix('-'));
    let mut names = words.filter_map(|word| word.split('=').next());
    let is_option = |name: &str| {
        let is_it = |option: &Arg| option.get_long() == Some(name) && !option.is_hide_set();
        tree.get_subcommands().any(|command| command.get_opts().any(is_it))
    };
    let name = names.find(|name| name.len() > 1 && name.contains(letter) && is_option(name))?;
    let option = format!("-{name}");
    Some((format!("there is no option {option}"), format!("write -{option}, with two dashes")))
}

/// The error of clap without suggestions of hidden commands.
pub(super) fn without_hidden(mut error: clap::Error, tree: &Command) -> clap::Error {
    let is_shown =
        |name: &&String| tree.find_subcommand(name).is_none_or(|command| !command.is_hide_set());
    let shown: Option<Vec<String>> = match error.get(ContextKind::SuggestedSubcommand) {
        Some(ContextValue::Strings(names)) => {
            Some(names.iter().filter(is_shown).cloned().collect())
        }
        Some(ContextValue::String(name)) => {
            Some([name].into_iter().filter(is_shown).cloned().collect())
        }
        _ => None,
    };
    match shown {
        Some(shown) if shown.is_empty() => drop(error.remove(ContextKind::SuggestedSubcommand)),
        Some(shown) => {
            error.insert(ContextKind::SuggestedSubcommand, ContextValue::Strings(shown));
        }
        None => {}
    }
    error
}

/// The answer to one argument too many after the stores of a command that selects images.
fn one_image(typed: &str, line: &[OsString], tree: &Command) -> Option<(String, String)> {
    let mut words = line.iter().skip(1).filter_map(|word| word.to_str());
    let command = words.find_map(|word| tree.find_subcommand(word))?;
    let selects = command.get_opts().any(|option| option.get_id() == "image");
    // The argument is shown as it was typed, so that a secret in it can be recognized.
    let is_plain = !typed.contains('\'') && !typed.contains(char::is_control);
    (selects && is_plain).then(|| {
        let what =
            format!("unexpected argument '{typed}' after the stores of {}", command.get_name());
        let stores = match command.get_positionals().count() {
            1 => "one store",
            _ => "one source and one target",
        };
        let hint = match is_a_store(typed) {
            true => format!("run {0} once for each store: {0} takes {stores}", command.get_name()),
            false => format!("to select one image, write --image {}", shell_word(typed)),
        };
        (what, hint)
    })
}

/// Whether the word is an address, an existing directory or a configured cloud.
fn is_a_store(word: &str) -> bool {
    let cloud = word.rsplit_once('@').map_or(word, |(cloud, _)| cloud);
    let is_cloud = |clouds: Clouds| clouds.names().any(|name| name == cloud);
    word.contains([':', '/'])
        || Path::new(word).is_dir()
        || Clouds::load(Environment::of_process()).is_ok_and(is_cloud)
}

/// The word as a shell reads it.
pub(crate) fn shell_word(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@%+=,".contains(c);
    match !word.is_empty() && word.chars().all(is_plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

/// Words or options, and the answer to each of them.
type Guess = (&'static [&'static str], &'static str);

const WORDS: &[Guess] = &[
    (&["copy", "cp", "transfer"], "`glance-replicator livecopy SOURCE TARGET` copies images"),
    (&["diff"], "`glance-replicator compare SOURCE TARGET` shows how two stores differ"),
    (&["list", "images"], "`glance-replicator ls STORE` lists the images of a store"),
    (
        &["delete", "remove", "rm"],
        "`glance-replicator sync SOURCE TARGET --delete HOW` removes images that the source no longer \
         has",
    ),
    (&["mirror"], "`glance-replicator sync SOURCE TARGET` makes the target equal to the source"),
    (&["version"], "`glance-replicator --version` prints the version"),
];

const OPTIONS: &[Guess] = &[
    (
        &["--insecure", "-k", "--no-verify", "--no-check-certificate"],
        "every server is verified; name the certificate of its CA with --cacert FILE, or with \
         cacert: in clouds.yaml; `glance-replicator doctor STORE` shows the server's certificates",
    ),
    (
        &["--cafile", "--ca-file", "--ca-bundle", "--ca-cert"],
        "--cacert FILE names the CA certificates to trust",
    ),
    // Options of the old tool.
    (&["--shell_completion", "--shell-completion"], COMPLETION),
    (
        &["--log-dir", "--log_dir", "--logdir"],
        "name a file with --logfile FILE, such as --logfile DIR/glance-replicator.log",
    ),
    (
        &["--log-config-append", "--log_config_append", "--log-config", "--log_config"],
        "the log needs no configuration file: --debug sets its level, --logfile FILE or --syslog \
         its destination",
    ),
    (
        &["--log-date-format", "--log_date_format"],
        "leave it out: the times of log messages have the format of RFC 3339",
    ),
    (
        &["--syslog-log-facility", "--syslog_log_facility"],
        "leave it out: --syslog sends log messages with the facility `user`",
    ),
    (
        &["--use-journal", "--use_journal"],
        "use --syslog, which journald receives, too; journald also stores the standard error of a \
         service",
    ),
    (
        &["--use-json", "--use_json"],
        "log messages are text; --output json writes the report as JSON",
    ),
];

const COMPLETION: &str =
    "`glance-replicator completion SHELL` prints the completion script of a shell";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::Args;

    /// The message for a command line that is refused.
    fn refused(line: &[&str]) -> String {
        let line = ["glance-replicator"].iter().chain(line);
        Args::parsed(Args::tree(), line).unwrap_err().to_string()
    }

    #[test]
    fn guesses_are_answered() {
        for (words, answer) in WORDS {
            for word in *words {
                let said = refused(&[word, "a"]);
                assert!(said.contains(&format!("there is no command {word}")), "{said}");
                assert!(said.contains(answer), "{said}");
            }
        }
        for (options, answer) in OPTIONS {
            for option in *options {
                for line in [&["size", "a", option, "x"][..], &["--debug", option, "size", "a"]] {
                    let said = refused(line);
                    assert!(said.contains(&format!("there is no option {option}")), "{said}");
                    assert!(said.contains(answer), "{said}");
                }
            }
        }
    }

    #[test]
    fn one_argument_too_many_may_be_an_image() {
        for line in [&["size", "a", "seed-ova"][..], &["--debug", "compare", "a", "b", "seed-ova"]]
        {
            let said = refused(line);
            assert!(said.contains("unexpected argument 'seed-ova' after the stores of"), "{said}");
            assert!(said.contains("hint: to select one image, write --image seed-ova"), "{said}");
        }
        let said = refused(&["compare", "a", "b", "src"]);
        assert!(
            said.contains(
                "hint: run compare once for each store: compare takes one source and one target"
            ),
            "{said}"
        );
        assert!(refused(&["ls", "a", "https://b"]).contains("ls takes one store"));
        assert!(refused(&["dump", "a", "d", "deb*"]).contains("--image 'deb*'"));
        assert!(!refused(&["config", "schema", "seed-ova"]).contains("--image"));
        assert!(!refused(&["size", "a", "it's"]).contains("--image"));
    }

    #[test]
    fn a_long_option_needs_two_dashes() {
        for line in [
            &["livecopy", "a", "b", "-image", "x"][..],
            &["livecopy", "a", "b", "-image=x"],
            &["ls", "a", "-image", "x"],
        ] {
            let said = refused(line);
            assert!(said.contains("there is no option -image"), "{line:?}: {said}");
            assert!(said.contains("hint: write --image, with two dashes"), "{line:?}: {said}");
        }
        assert!(!refused(&["ls", "a", "-z"]).contains("two dashes"));
    }

    #[test]
    fn hidden_commands_are_not_suggested() {
        let said = refused(&["complet", "a"]);
        assert!(said.contains("'completion'") && !said.contains("'complete'"), "{said}");
        assert!(!refused(&["deleet", "a"]).contains("complete"));
    }

    #[test]
    fn words_are_quoted_for_a_shell() {
        for (word, quoted) in
            [("a-1.2", "a-1.2"), ("a b", "'a b'"), ("it's", r"'it'\''s'"), ("", "''")]
        {
            assert_eq!(shell_word(word), quoted);
        }
    }
}
