//! Files that options, variables and clouds.yaml name. What should be a path may be the secret that
//! belongs into the file, such as a private key: such a value is never shown.

use std::path::Path;

use glance_core::tls::files::inline;
use secrecy::zeroize::Zeroizing;

use crate::error::CliError;

/// The bytes of a file that `named_by` names.
pub(crate) fn read(named_by: &str, path: &Path) -> Result<Zeroizing<Vec<u8>>, CliError> {
    check(named_by, path)?;
    std::fs::read(path).map(Zeroizing::new).map_err(|error| {
        CliError::usage(format!("cannot read {}", path.display())).caused_by(error)
    })
}

/// Fails with a value that is not the path of a file, or of one in a directory that is there.
pub(crate) fn check(named_by: &str, path: &Path) -> Result<(), CliError> {
    if let Some(held) = path.to_str().and_then(inline::held_by) {
        return Err(CliError::usage(format!(
            "{named_by} holds {held}; it takes the path of a file"
        )));
    }
    if path.exists() || path.parent().is_some_and(Path::is_dir) {
        return Ok(());
    }
    let what = format!("{named_by} names no file; its value is not shown, it may be a secret");
    Err(CliError::usage(what).hint("give the path of a file, such as ./NAME or /PATH/NAME"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_that_is_no_path_is_not_shown() {
        let long = "gAAAAA".repeat(1000);
        for value in ["gAAAAAhush", "hush", "dir-that-is-not-there/hush", &long, "hush\nhush"] {
            let error = read("--token-file", Path::new(value)).unwrap_err();
            let said = format!("{error:?}");
            assert!(said.contains("--token-file"), "{said}");
            assert!(!said.contains("hush") && !said.contains("gAAAAA"), "{said}");
        }
        for path in ["/missing", "./missing", "src/missing"] {
            let error = read("--key", Path::new(path)).unwrap_err();
            assert_eq!(error.to_string(), format!("cannot read {path}"));
        }
        assert!(read("--key", Path::new("Cargo.toml")).is_ok());
    }
}
