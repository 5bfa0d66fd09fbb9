//! The configuration of clouds: `clouds.yaml`, `secure.yaml`, `clouds-public.yaml` and the
//! environment.
//!
//! The rules are those of openstacksdk 4.22.0 (`openstack/config/loader.py`); a suite in `tests/`
//! compares the results with openstacksdk's own and lists each deliberate difference.
//!
//! In reading order: `environment` holds the variables; `files` finds the files and parses them
//! with `yaml` and `json`; `settings` merges the layers of one cloud; `cloud` and `plugin` turn the
//! result into a [`Cloud`], with `options` for the settings of an auth plugin; `overrides` holds
//! the operator's settings for one run.

mod cloud;
mod environment;
mod files;
mod json;
mod options;
mod overrides;
mod plugin;
mod settings;
mod tls;
mod yaml;

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;
use std::path::PathBuf;

pub use cloud::{Cloud, CloudRetries};
pub use environment::{Environment, Prompt};
pub use overrides::Overrides;

use files::Entry;
use settings::Settings;
use yaml::Node;

/// All clouds configured in files and in the environment.
///
/// The variables of the environment (`OS_AUTH_URL` and so on) form a cloud of their own, named
/// `envvars` or by `OS_CLOUD_NAME`. They are never mixed into a cloud of a file.
#[allow(clippy::struct_field_names, reason = "the key of the file")]
pub struct Clouds {
    environment: Environment,
    clouds: BTreeMap<String, Entry>,
    file: Option<PathBuf>,
}

impl Clouds {
    /// Reads the same files as openstacksdk.
    pub fn load(environment: Environment) -> Result<Self, ConfigError> {
        let files::Read { mut clouds, file } = files::clouds(&environment)?;
        let own = environment.get("OS_CLOUD_NAME").unwrap_or(ENVIRONMENT);
        if let Some(entry) = clouds.get(own) {
            return Err(ConfigError {
                place: entry.place.clone(),
                reason: format!("the name `{own}` is reserved for the cloud of the OS_* variables"),
                hint: Some(
                    "rename the cloud, or give the cloud of the variables another name with \
                     OS_CLOUD_NAME"
                        .into(),
                ),
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

    /// The cloud to use if none is named: that of `OS_CLOUD`, that of the environment, or the only
    /// one.
    pub fn default_name(&self) -> Option<&str> {
        let only = || self.names().next().filter(|_| self.clouds.len() == 1);
        let environment = || {
            let mut entries = self.clouds.iter();
            let found = entries.find(|(_, entry)| entry.place == Place::Environment);
            found.map(|(name, _)| name.as_str())
        };
        self.environment.get("OS_CLOUD").or_else(environment).or_else(only)
    }

    /// Where the cloud `name` is configured: one file, two files, or the environment.
    pub fn places(&self, name: &str) -> impl Iterator<Item = &Place> {
        let entry = self.clouds.get(name);
        entry.into_iter().flat_map(|entry| [&entry.place].into_iter().chain(&entry.secure))
    }

    /// Explains why the cloud `name` does not exist: which file was read, and which other one
    /// defines it. A fragment of a sentence.
    pub fn absence(&self, name: &str) -> String {
        let Some(file) = &self.file else {
            let searched = files::directories(&self.environment);
            let searched: Vec<_> = searched.iter().map(|path| path.display().to_string()).collect();
            return format!(
                "no clouds.yaml in {}: create one, or set OS_CLIENT_CONFIG_FILE",
                searched.join(", ")
            );
        };
        let of_file = Place::File(file.clone());
        let is_empty = !self.clouds.values().any(|cloud| cloud.place == of_file);
        let file = file.display();
        let found = match is_empty {
            true => format!("{file} defines no cloud"),
            false => format!("{file} does not define `{name}`"),
        };
        match files::hidden(&self.environment, name) {
            Some(other) => format!(
                "{found}; the file takes precedence over {}, which defines `{name}`",
                other.display()
            ),
            None => found,
        }
    }

    /// The regions that the configuration of the cloud `name` lists, the default first. Empty if the
    /// cloud does not exist or its configuration has an error.
    pub fn regions(&self, name: &str) -> Vec<String> {
        let Some(entry) = self.clouds.get(name) else { return Vec::new() };
        Settings::region_names(name, entry, &self.environment).unwrap_or_default()
    }

    /// The cloud `name` with the overrides of this run. `None` if there is no such cloud.
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

/// The `OS_*` variables as a cloud, if any of them does more than select one.
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
        // `OS_CLOUD` selects a cloud; as a setting, `cloud` is the old name of `profile`.
        .filter(|(name, _)| *name != "CLOUD")
        .map(|(name, value)| (name.to_lowercase(), Node::text(value)))
        .collect();
    Some(Entry { place: Place::Environment, secure: None, settings })
}

/// The location of a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Place {
    /// A file.
    File(PathBuf),
    /// The environment variables.
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

/// The error for an unusable configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConfigError {
    /// The location of the fault.
    pub place: Place,
    /// What is wrong, as a fragment of a sentence. Never contains a secret.
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

/// The name of the environment as a cloud, unless `OS_CLOUD_NAME` sets another.
const ENVIRONMENT: &str = "envvars";

/// Variables that select a cloud without configuring one; without their prefix `OS_`.
const SELECTORS: &[&str] =
    &["CLIENT_CONFIG_FILE", "CLIENT_SECURE_FILE", "CLOUD", "CLOUD_NAME", "REGION_NAME"];

/// Prefixes of other tools' variables, after `OS_`.
const NOT_OURS: &[&str] = &["LOG", "STD", "TEST"];

#[cfg(test)]
mod tests;
