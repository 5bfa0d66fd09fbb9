//! The command that an operator needs next.

use crate::args::shell_word;
use crate::exit::Exit;

/// The next command after one that ended with this exit, as a line for a shell. `arguments` are those
/// of the command itself. `None` if nothing has to be done.
pub(super) fn next_command(
    command: &str,
    arguments: &[String],
    stores: &[&str],
    exit: Exit,
) -> Option<String> {
    let of_pair = |verb: &str, options: &[&str]| match stores {
        [source, target, ..] => Some(shell_line(&[&[verb, *source, *target], options].concat())),
        _ => None,
    };
    let again = || match arguments.is_empty() {
        true => None,
        false => Some(shell_line(arguments)),
    };
    let next = match (exit, command) {
        (Exit::Success, _) | (Exit::Integrity, "verify") => None,
        (Exit::Connection | Exit::Authentication, _) if !stores.is_empty() => {
            let most = stores.len().min(2);
            Some(shell_line(&[&["doctor"], &stores[..most]].concat()))
        }
        (Exit::Usage, command) => Some(shell_line(&[command, "--help"])),
        (Exit::Differences, "compare") => of_pair("plan", &[]),
        (Exit::Differences, "plan") => of_pair("sync", &[]),
        (Exit::Differences, "verify") => of_pair("verify", &["--deep"]).or_else(again),
        (Exit::Differences, "resume" | "repair" | "metadefs") => {
            let is_rehearsal = |word: &&String| !["-n", "--dry-run"].contains(&word.as_str());
            let rest: Vec<&String> = arguments.iter().filter(is_rehearsal).collect();
            (!rest.is_empty()).then(|| shell_line(&rest))
        }
        (Exit::Integrity, _) => of_pair("verify", &["--deep"]),
        _ => again(),
    };
    next.map(|line| format!("glance-replicator {line}"))
}

/// Arguments as a line for a shell.
pub(crate) fn shell_line<T: AsRef<str>>(arguments: &[T]) -> String {
    arguments.iter().map(|word| shell_word(word.as_ref())).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_line_can_be_typed_again() {
        let words = ["sync", "a", "./b c", "it's", "--where=x>1", ""];
        assert_eq!(shell_line(&words), "sync a './b c' 'it'\\''s' '--where=x>1' ''");
    }

    #[test]
    fn the_next_command_fits_the_exit() {
        let next = |line: &[&str], exit| {
            let arguments: Vec<String> = line.iter().map(ToString::to_string).collect();
            let next = next_command(line[0], &arguments, &["a", "b"], exit);
            next.map(|line| line.trim_start_matches("glance-replicator ").to_owned())
        };
        let sync = ["sync", "a", "b", "--transfers", "2"];
        assert_eq!(next(&sync, Exit::Success), None);
        assert_eq!(next(&sync, Exit::SomeFailed).unwrap(), "sync a b --transfers 2");
        assert_eq!(next(&sync, Exit::Interrupted).unwrap(), "sync a b --transfers 2");
        assert_eq!(next(&sync, Exit::Integrity).unwrap(), "verify a b --deep");
        assert_eq!(next(&sync, Exit::Connection).unwrap(), "doctor a b");
        assert_eq!(next(&sync, Exit::Usage).unwrap(), "sync --help");
        assert_eq!(next(&["compare", "a", "b"], Exit::Differences).unwrap(), "plan a b");
        assert_eq!(next(&["plan", "a", "b"], Exit::Differences).unwrap(), "sync a b");
        assert_eq!(next(&["repair", "-n", "a", "b"], Exit::Differences).unwrap(), "repair a b");
        assert_eq!(next_command("size", &[], &[], Exit::Connection), None);
    }
}
