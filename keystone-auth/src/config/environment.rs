//! The environment in which a configuration is looked up.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use secrecy::SecretString;
use secrecy::zeroize::Zeroizing;

/// Asks the operator for a secret that is missing from the configuration. The arguments are the
/// name of the cloud and that of the option, such as `password`. Returns `None` if no operator can
/// be asked.
pub type Prompt = Arc<dyn Fn(&str, &str) -> Option<SecretString> + Send + Sync>;

/// The environment variables and the working directory from which clouds are looked up.
///
/// An empty variable counts as unset. `Debug` shows names only, because the values include
/// `OS_PASSWORD`.
#[derive(Clone, Default)]
pub struct Environment {
    variables: BTreeMap<String, Zeroizing<String>>,
    directory: PathBuf,
    prompt: Option<Prompt>,
}

impl Environment {
    /// An environment of these variables and this working directory.
    pub fn new(
        variables: impl IntoIterator<Item = (String, String)>,
        directory: impl Into<PathBuf>,
    ) -> Self {
        let set = variables.into_iter().filter(|(_, value)| !value.is_empty());
        let variables = set.map(|(name, value)| (name, Zeroizing::new(value))).collect();
        Self { variables, directory: directory.into(), prompt: None }
    }

    /// Sets the prompt for missing secrets.
    #[must_use]
    pub fn asking(self, prompt: Prompt) -> Self {
        Self { prompt: Some(prompt), ..self }
    }

    pub(super) fn ask(&self, cloud: &str, option: &str) -> Option<SecretString> {
        self.prompt.as_ref().and_then(|prompt| prompt(cloud, option))
    }

    /// The environment of this process. Variables that are not Unicode are omitted.
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

    /// Replaces a leading `~` with the home directory.
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
