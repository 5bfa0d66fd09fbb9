//! Interprets the settings of a cloud for a Glance client.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::options::check_url;
use super::plugin;
use super::settings::Settings;
use super::yaml::truth;
use super::{Clouds, ConfigError, Environment, Overrides, Place};
use crate::ImageService;
use crate::auth::AuthPlugin;
use glance_core::transport::RetryPolicy;
use tls_policy::files::inline;

/// A cloud configured in files or in the environment. `Debug` shows no secret.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Cloud {
    /// The name of the cloud.
    pub name: String,
    /// Where the cloud is configured.
    pub place: Place,
    /// Selects the image service.
    pub image: ImageService,
    /// A file of CA certificates to trust instead of the system's.
    pub cacert: Option<PathBuf>,
    /// The client certificate (PEM), for servers that request one.
    pub cert: Option<PathBuf>,
    /// The private key of `cert`, if it is in a separate file.
    pub key: Option<PathBuf>,
    /// The configured retries.
    pub retries: CloudRetries,
    /// The URL of Keystone, if configured.
    pub auth_url: Option<String>,
    /// The value of `auth_type`: the name of the auth plugin.
    pub auth_type: String,
    /// The configured user, by name or else by id.
    pub user: Option<String>,
    /// The configured project, by name or else by id.
    pub project: Option<String>,
    /// The auth plugin.
    pub auth: Arc<dyn AuthPlugin>,
}

/// The retries configured for a cloud. Settings that are not configured are `None`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct CloudRetries {
    /// The number of retries after a failure to connect.
    pub connect: Option<u32>,
    /// The pause before each of those.
    pub connect_delay: Option<Duration>,
    /// The number of retries after one of `status_codes`. The default of openstacksdk is 5.
    pub status: Option<u32>,
    /// The pause before each of those.
    pub status_delay: Option<Duration>,
    /// The status codes to retry.
    pub status_codes: Option<Vec<u16>>,
}

impl CloudRetries {
    /// The retry policy: the configured values over the defaults.
    pub fn persistence(&self) -> RetryPolicy {
        let mut wanted = RetryPolicy::default();
        wanted.unanswered.times = self.connect.unwrap_or(wanted.unanswered.times);
        wanted.unanswered.pause = self.connect_delay;
        wanted.refused.times = self.status.unwrap_or(wanted.refused.times);
        wanted.refused.pause = self.status_delay;
        if let Some(codes) = &self.status_codes {
            wanted.statuses.clone_from(codes);
        }
        wanted
    }
}

impl Cloud {
    /// Reads the cloud `name` from the files and the environment of this process, as openstacksdk
    /// does. [`Clouds`] has more ways.
    ///
    /// # Errors
    /// When there is no such cloud, or its configuration has an error.
    pub fn load(name: &str) -> Result<Self, ConfigError> {
        let clouds = Clouds::load(Environment::of_process())?;
        let found = clouds.cloud(name, &Overrides::default())?;
        found.ok_or_else(|| ConfigError {
            place: Place::Environment,
            reason: clouds.absence(name),
            hint: None,
        })
    }

    pub(super) fn new(settings: &Settings, said: &Overrides) -> Result<Self, ConfigError> {
        check_verification(settings)?;
        let auth_type = plugin::kind(settings)?;
        if said.project.is_some() {
            plugin::check_project_counts(settings, &auth_type)?;
        }
        Ok(Self {
            name: settings.name.into(),
            place: settings.place.clone(),
            image: image_service(settings)?,
            cacert: path(settings, "cacert")?,
            cert: path(settings, "cert")?,
            key: path(settings, "key")?,
            retries: retries(settings)?,
            auth_url: auth_url(settings)?,
            user: first_of(settings, &["username", "user_name", "user_id"]),
            project: first_of(settings, &["project_name", "project_id"]),
            auth: plugin::plugin(settings, &auth_type)?,
            auth_type,
        })
    }
}

/// The first of these options that is set, for display. A plugin that uses an option checks it.
fn first_of(settings: &Settings, keys: &[&str]) -> Option<String> {
    let set = |key: &&str| settings.option(key).ok().flatten().map(str::to_owned);
    keys.iter().find_map(set)
}

/// The path of a file. A value that looks like the file's content is rejected, a common mistake of
/// templates and CI systems.
fn path(settings: &Settings, key: &str) -> Result<Option<PathBuf>, ConfigError> {
    let Some(text) = settings.plain_text(key)? else { return Ok(None) };
    match inline::held_by(text) {
        Some(held) => settings.fail(
            &format!("`{key}` contains {held} instead of the path of a file"),
            "write the contents to a file (a key: readable only by you), and set the path",
        ),
        None => Ok(settings.text(key)?.map(|path| settings.environment.expand(&path))),
    }
}

fn auth_url(settings: &Settings) -> Result<Option<String>, ConfigError> {
    let Some(url) = settings.option("auth_url")? else { return Ok(None) };
    let url = settings.format("auth_url", url)?;
    // The URL is shown in messages.
    check_url(settings, "auth_url", &url)?;
    Ok(Some(url))
}

/// Verification cannot be turned off; a file that asks for that is rejected.
fn check_verification(settings: &Settings) -> Result<(), ConfigError> {
    for (key, safe) in [("verify", true), ("insecure", false)] {
        let Some(text) = settings.text(key)? else { continue };
        match truth(&text) {
            Some(value) if value == safe => {}
            Some(value) => {
                return settings.fail(
                    &format!("`{key}: {value}` is set, but there is no insecure mode"),
                    &format!("remove `{key}`, and trust the server's CA with `cacert: FILE`"),
                );
            }
            None => {
                return settings.fail(
                    &format!("`{key}` is neither true nor false"),
                    &format!("remove `{key}`; trust a CA with `cacert: FILE`"),
                );
            }
        }
    }
    Ok(())
}

fn image_service(settings: &Settings) -> Result<ImageService, ConfigError> {
    let endpoint_override = match settings.text("image_endpoint_override")? {
        Some(endpoint) => Some(endpoint),
        None => settings.text("image_endpoint")?,
    };
    if let Some(endpoint) = &endpoint_override {
        check_url(settings, "image_endpoint_override", endpoint)?;
    }
    let version = settings.text("image_api_version")?;
    if version.as_ref().is_some_and(|version| version.split('.').next() != Some("2")) {
        return settings.fail(
            "the `image_api_version` is not 2",
            "remove it: this tool uses version 2, which every supported Glance offers",
        );
    }
    Ok(ImageService {
        region: settings.image_text("region_name")?,
        interfaces: interfaces(settings)?,
        service_type: settings.text("image_service_type")?.unwrap_or_else(|| "image".into()),
        service_name: settings.text("image_service_name")?,
        endpoint_override,
        version_is_known: version.is_some(),
    })
}

/// The interfaces in order of preference. Keystone v2 used names such as `publicURL`.
fn interfaces(settings: &Settings) -> Result<Vec<String>, ConfigError> {
    let names = settings.image_list("interface")?.unwrap_or_else(|| vec!["public".into()]);
    names
        .iter()
        .map(|name| match name.strip_suffix("URL").unwrap_or(name) {
            known @ ("public" | "internal" | "admin") => Ok(known.to_owned()),
            other => settings.fail(
                &format!("`{other}` is not an interface"),
                "set `public`, `internal` or `admin`, or a list of these",
            ),
        })
        .collect()
}

fn retries(settings: &Settings) -> Result<CloudRetries, ConfigError> {
    let codes = settings.image_list("retriable_status_codes")?;
    let codes: Option<Vec<u16>> = codes
        .map(|codes| {
            let each = codes.iter().flat_map(|codes| codes.split(','));
            each.map(|code| number(settings, "retriable_status_codes", code.trim())).collect()
        })
        .transpose()?;
    Ok(CloudRetries {
        connect: count(settings, "connect_retries")?,
        connect_delay: seconds(settings, "connect_retry_delay")?,
        status: count(settings, "status_code_retries")?,
        status_delay: seconds(settings, "status_code_retry_delay")?,
        status_codes: codes,
    })
}

fn count(settings: &Settings, key: &str) -> Result<Option<u32>, ConfigError> {
    settings.image_text(key)?.map(|text| number(settings, key, &text)).transpose()
}

fn seconds(settings: &Settings, key: &str) -> Result<Option<Duration>, ConfigError> {
    let Some(text) = settings.image_text(key)? else { return Ok(None) };
    let seconds = number::<f64>(settings, key, &text)?;
    match Duration::try_from_secs_f64(seconds) {
        Ok(duration) => Ok(Some(duration)),
        Err(_) => {
            settings.fail(&format!("`{key}` is not a duration"), "write seconds, such as `0.5`")
        }
    }
}

fn number<T: std::str::FromStr>(
    settings: &Settings,
    key: &str,
    text: &str,
) -> Result<T, ConfigError> {
    match text.parse() {
        Ok(number) => Ok(number),
        Err(_) => {
            settings.fail(&format!("`{key}` is not a number"), "write digits after the colon")
        }
    }
}
