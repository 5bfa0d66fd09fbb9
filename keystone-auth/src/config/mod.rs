//! What `clouds.yaml`, `secure.yaml`, `clouds-public.yaml` and the environment say about clouds.
//!
//! The rules are those of openstacksdk 4.22.0 (`openstack/config/loader.py`); a suite in `tests/`
//! compares the outcome with openstacksdk's own and lists each deliberate difference.
//!
//! In reading order: `environment` holds the variables, `files` finds and reads the files by
//! `yaml` and `json`, `settings` lays the layers of one cloud over each other, `cloud` and `plugin` make a
//! [`Cloud`] of the result, with `options` to look up what an auth plugin needs; `overrides` are
//! what an operator says for one run.

mod cloud;
mod environment;
mod files;
mod json;
mod options;
mod overrides;
mod plugin;
mod settings;
mod yaml;

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;
use std::path::PathBuf;

pub use cloud::{Cloud, Retries};
pub use environment::{Environment, Prompt};
pub use overrides::Overrides;

use files::Entry;
use settings::Settings;
use yaml::Node;

/// All clouds that the files and the environment name.
///
/// The environment (`OS_AUTH_URL` and so on) is a cloud of its own: `envvars`, or what
/// `OS_CLOUD_NAME` says. Nothing of it is ever mixed into a cloud of a file.
#[allow(clippy::struct_field_names, reason = "the key of the file")]
pub struct Clouds {
    environment: Environment,
    clouds: BTreeMap<String, Entry>,
    file: Option<PathBuf>,
}

impl Clouds {
    /// Reads the files that openstacksdk would read.
    pub fn load(environment: Environment) -> Result<Self, ConfigError> {
        let files::Read { mut clouds, file } = files::clouds(&environment)?;
        let own = environment.get("OS_CLOUD_NAME").unwrap_or(ENVIRONMENT);
        if let Some(entry) = clouds.get(own) {
            return Err(ConfigError {
                place: entry.place.clone(),
                reason: format!("a cloud is called `{own}`, which means the environment"),
                hint: Some("rename the cloud, or the environment by OS_CLOUD_NAME".into()),
            });
        }
        if let Some(entry) = environment_entry(&environment) {
            clouds.insert(own.to_owned(), entry);
        }
        Ok(Self { environment, clouds, file })
    }

    /// The names of all clouds, in alphabetical order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.clouds.keys().map(String::as_str)
    }

    /// The cloud to use where none is named: that of `OS_CLOUD`, that of the environment, or the
    /// only one there is.
    pub fn default_name(&self) -> Option<&str> {
        let only = || self.names().next().filter(|_| self.clouds.len() == 1);
        let environment = || {
            let mut entries = self.clouds.iter();
            let found = entries.find(|(_, entry)| entry.place == Place::Environment);
            found.map(|(name, _)| name.as_str())
        };
        self.environment.get("OS_CLOUD").or_else(environment).or_else(only)
    }

    /// What tells of the cloud called `name`: a file, two files, or the environment.
    pub fn places(&self, name: &str) -> impl Iterator<Item = &Place> {
        let entry = self.clouds.get(name);
        entry.into_iter().flat_map(|entry| [&entry.place].into_iter().chain(&entry.secure))
    }

    /// Why there is no cloud called `name`: what was read, and what else has one. A fragment of a
    /// sentence.
    pub fn absence(&self, name: &str) -> String {
        let Some(file) = &self.file else { return self.others("no clouds.yaml was found") };
        let of_file = Place::File(file.clone());
        let is_empty = !self.clouds.values().any(|cloud| cloud.place == of_file);
        let file = file.display();
        let found = match is_empty {
            true => format!("{file} names no cloud"),
            false => format!("{file} does not name `{name}`"),
        };
        match files::hidden(&self.environment, name) {
            Some(other) => format!("{found}, and hides {}, which has `{name}`", other.display()),
            None => self.others(&found),
        }
    }

    fn others(&self, found: &str) -> String {
        let names: Vec<&str> = self.names().collect();
        match names.is_empty() {
            true => found.to_owned(),
            false => format!("{found}; the clouds are {}", names.join(", ")),
        }
    }

    /// The cloud called `name`, with what is said of it for this run. `None` when there is none of
    /// that name.
    pub fn cloud(&self, name: &str, said: &Overrides) -> Result<Option<Cloud>, ConfigError> {
        let Some(entry) = self.clouds.get(name) else { return Ok(None) };
        let settings = Settings::resolve(name, entry.clone(), said, &self.environment)?;
        Cloud::new(&settings, said).map(Some)
    }
}

impl fmt::Debug for Clouds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.names()).finish()
    }
}

/// The `OS_*` variables as a cloud, if there are any that do more than choose one.
fn environment_entry(environment: &Environment) -> Option<Entry> {
    let ours = |name: &str| !NOT_OURS.iter().any(|prefix| name.starts_with(prefix));
    let variables: Vec<(&str, &str)> = environment
        .iter()
        .filter_map(|(name, value)| Some((name.strip_prefix("OS_")?, value)))
        .filter(|(name, _)| ours(name))
        .collect();
    if variables.iter().all(|(name, _)| SELECTORS.contains(name)) {
        return None;
    }
    let settings = variables
        .into_iter()
        // OS_CLOUD chooses a cloud of a file; as a setting, `cloud` once meant a profile.
        .filter(|(name, _)| *name != "CLOUD")
        .map(|(name, value)| (name.to_lowercase(), Node::text(value)))
        .collect();
    Some(Entry { place: Place::Environment, secure: None, settings })
}

/// Where a configuration stands.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Place {
    /// In a file.
    File(PathBuf),
    /// In the variables of the environment.
    Environment,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Environment => f.write_str("the environment"),
        }
    }
}

/// A configuration that can't be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// What is at fault.
    pub place: Place,
    /// What is wrong with it, a fragment of a sentence; never a secret.
    pub reason: String,
    /// What the operator can do about it.
    pub hint: Option<String>,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.reason)
    }
}

impl Error for ConfigError {}

/// The environment's name as a cloud, unless `OS_CLOUD_NAME` says another.
const ENVIRONMENT: &str = "envvars";

/// Variables that choose among clouds and are none, without their `OS_`.
const SELECTORS: &[&str] =
    &["CLIENT_CONFIG_FILE", "CLIENT_SECURE_FILE", "CLOUD", "CLOUD_NAME", "REGION_NAME"];

/// What the names of other tools' variables begin with, without their `OS_`.
const NOT_OURS: &[&str] = &["LOG", "STD", "TEST"];

#[cfg(test)]
mod tests;
