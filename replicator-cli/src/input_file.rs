//! Input files that options, environment variables and clouds.yaml name. An operator may give the
//! contents, such as a private key, instead of the path, so a value that may be a secret is never
//! shown.

use std::path::Path;

use secrecy::zeroize::Zeroizing;
use tls_policy::files::inline;

use crate::error::CliError;
use crate::recorded_args::may_be_secret;

/// Reads the file at `path`. `named_by` is the option or variable that names it.
pub(crate) fn read(named_by: &str, path: &Path) -> Result<Zeroizing<Vec<u8>>, CliError> {
    check(named_by, path)?;
    std::fs::read(path).map(Zeroizing::new).map_err(|error| {
        CliError::usage(format!("cannot read {}", path.display())).caused_by(error)
    })
}

/// Fails unless `path` exists, is in an existing directory or looks like a path.
pub(crate) fn check(named_by: &str, path: &Path) -> Result<(), CliError> {
    refuse_contents(named_by, path)?;
    match is_in_a_directory(path) || path.to_str().is_none_or(looks_like_a_path) {
        true => Ok(()),
        false => Err(not_shown(named_by)),
    }
}

/// Like [`check`], for the file of a token or a passphrase. A word may be the secret itself, so
/// `path` has to exist or be in a directory that is written as part of it.
pub(crate) fn check_secret(named_by: &str, path: &Path) -> Result<(), CliError> {
    refuse_contents(named_by, path)?;
    match is_in_a_directory(path) {
        true => Ok(()),
        false => Err(not_shown(named_by)),
    }
}

fn refuse_contents(named_by: &str, path: &Path) -> Result<(), CliError> {
    match path.to_str().and_then(inline::held_by) {
        Some(held) => Err(CliError::usage(format!(
            "{named_by} contains {held}; give the path of a file instead"
        ))),
        None => Ok(()),
    }
}

fn is_in_a_directory(path: &Path) -> bool {
    path.exists() || path.parent().is_some_and(Path::is_dir)
}

/// Whether no part of `text` is as long as a key, a certificate or a token in base64 or hex.
fn looks_like_a_path(text: &str) -> bool {
    let is_coded = |letter: char| letter.is_ascii_alphanumeric() || "+=".contains(letter);
    let is_short = |part: &str| part.len() < SHORTEST_SECRET;
    !may_be_secret(text) && text.split(|letter| !is_coded(letter)).all(is_short)
}

fn not_shown(named_by: &str) -> CliError {
    let what = format!(
        "{named_by} is not the path of an existing file; its value may be a secret and is not shown"
    );
    CliError::usage(what).hint("give the path of an existing file, such as ./NAME or /PATH/NAME")
}

/// The length of a Keystone token in hex, in bytes. Keys and certificates in base64 are longer.
const SHORTEST_SECRET: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_that_may_be_a_secret_is_not_shown() {
        let hex = "0123456789abcdef".repeat(2);
        let pem = format!("MIIE/{}/hush", "Ab9+".repeat(10));
        for value in ["gAAAAAhush", &"gAAAAA".repeat(1000), &hex, &pem, "hush\nhush"] {
            let error = read("--key", Path::new(value)).unwrap_err();
            let said = format!("{error:?}");
            assert!(said.contains("--key"), "{said}");
            assert!(!said.contains("hush") && !said.contains(&value[..5]), "{said}");
        }
        for value in ["hush", "dir-that-is-not-there/hush", "hush\nhush"] {
            let said = format!("{:?}", check_secret("--token-file", Path::new(value)).unwrap_err());
            assert!(said.contains("--token-file") && !said.contains("hush"), "{said}");
        }
    }

    #[test]
    fn a_path_is_shown_with_what_is_wrong_with_it() {
        let long = format!("{}/ca.pem", "dir/".repeat(50));
        for path in ["/missing", "./missing", "src/missing", "ca.pem", "ca", "no-dir/ca.pem", &long]
        {
            let error = read("--key", Path::new(path)).unwrap_err();
            assert_eq!(error.to_string(), format!("cannot read {path}"));
        }
        assert!(read("--key", Path::new("Cargo.toml")).is_ok());
        assert!(check_secret("--token-file", Path::new("./missing")).is_ok());
    }
}
