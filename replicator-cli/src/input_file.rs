//! Input files that options, environment variables and clouds.yaml name. An operator may give the
//! contents, such as a private key, instead of the path, so a value that is not a path is never
//! shown.

use std::path::Path;

use secrecy::zeroize::Zeroizing;
use tls_policy::files::inline;

use crate::error::CliError;

/// Reads the file at `path`. `named_by` is the option or variable that names it.
pub(crate) fn read(named_by: &str, path: &Path) -> Result<Zeroizing<Vec<u8>>, CliError> {
    check(named_by, path)?;
    std::fs::read(path).map(Zeroizing::new).map_err(|error| {
        CliError::usage(format!("cannot read {}", path.display())).caused_by(error)
    })
}

/// Fails unless `path` exists or is in an existing directory.
pub(crate) fn check(named_by: &str, path: &Path) -> Result<(), CliError> {
    if let Some(held) = path.to_str().and_then(inline::held_by) {
        return Err(CliError::usage(format!(
            "{named_by} contains {held}; give the path of a file instead"
        )));
    }
    if path.exists() || path.parent().is_some_and(Path::is_dir) {
        return Ok(());
    }
    let what =
        format!("{named_by} is not the path of a file; its value may be a secret and is not shown");
    Err(CliError::usage(what)
        .hint("give the path of an existing file, such as ./NAME or /PATH/NAME"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_that_is_not_a_path_is_not_shown() {
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
