//! The environment that a configuration is looked up in.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use secrecy::SecretString;
use secrecy::zeroize::Zeroizing;

/// Asks the operator for a secret that no file holds: given the cloud's name and the option's,
/// such as `password`. `None` when there is nobody to ask.
pub type Prompt = Arc<dyn Fn(&str, &str) -> Option<SecretString> + Send + Sync>;

/// Environment variables and the working directory, as far as clouds are looked up by them.
///
/// An empty variable counts as unset. `Debug` shows names only: `OS_PASSWORD` is among them.
#[derive(Clone, Default)]
pub struct Environment {
    variables: BTreeMap<String, Zeroizing<String>>,
    directory: PathBuf,
    prompt: Option<Prompt>,
}

impl Environment {
    /// These variables, and this working directory.
    pub fn new(
        variables: impl IntoIterator<Item = (String, String)>,
        directory: impl Into<PathBuf>,
    ) -> Self {
        let set = variables.into_iter().filter(|(_, value)| !value.is_empty());
        let variables = set.map(|(name, value)| (name, Zeroizing::new(value))).collect();
        Self { variables, directory: directory.into(), prompt: None }
    }

    /// The same, with somebody to ask for secrets that are missing.
    #[must_use]
    pub fn asking(self, prompt: Prompt) -> Self {
        Self { prompt: Some(prompt), ..self }
    }

    pub(super) fn ask(&self, cloud: &str, option: &str) -> Option<SecretString> {
        self.prompt.as_ref().and_then(|prompt| prompt(cloud, option))
    }

    /// What this process was started with. Variables that are not Unicode are left out.
    pub fn of_process() -> Self {
        let variables = std::env::vars_os().filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        });
        Self::new(variables, ".")
    }

    /// The value of a variable that is set and not empty.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(|value| value.as_str())
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.variables.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Replaces a leading `~` by the home directory.
    pub(super) fn expand(&self, path: &str) -> PathBuf {
        let home = self.get("HOME").map(Path::new);
        match (path.strip_prefix('~'), home) {
            (Some(""), Some(home)) => home.to_owned(),
            (Some(rest), Some(home)) if rest.starts_with('/') => {
                home.join(rest.trim_start_matches('/'))
            }
            _ => path.into(),
        }
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&String> = self.variables.keys().collect();
        f.debug_struct("Environment")
            .field("variables", &names)
            .field("directory", &self.directory)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_shown_and_empty_is_unset() {
        let variables = [("OS_PASSWORD", "hush"), ("HOME", "/h"), ("OS_CLOUD", "")];
        let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let environment = Environment::new(variables, "/w");
        assert!(!format!("{environment:?}").contains("hush"));
        assert!(environment.get("OS_CLOUD").is_none());
        assert_eq!(environment.expand("~/ca.pem"), Path::new("/h/ca.pem"));
        assert_eq!(environment.expand("~other/ca.pem"), Path::new("~other/ca.pem"));
    }
}
