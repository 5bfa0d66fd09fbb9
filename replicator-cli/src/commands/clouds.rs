//! `clouds`: lists the configured clouds and their effective settings. Contacts no server.

use std::sync::{Arc, Mutex};

use keystone_auth::{Cloud, Clouds, ConfigError, Environment, Overrides, Prompt};

use crate::args::{Options, Trust};
use crate::error::CliError;
use crate::exit::Exit;
use crate::report;
use crate::resolve::endpoint::Side;
use crate::resolve::trust::{self, CloudTls};

/// A configured cloud.
#[derive(Debug)]
pub(crate) struct Configured {
    pub(crate) name: String,
    /// The files and variables that configure the cloud.
    pub(crate) places: Vec<String>,
    /// The effective settings, or the reason why the cloud cannot be used.
    pub(crate) meaning: Result<Meaning, CliError>,
}

/// The effective settings of a cloud, without secrets.
#[derive(Debug)]
pub(crate) struct Meaning {
    pub(crate) auth_type: String,
    pub(crate) auth_url: Option<String>,
    pub(crate) region: Option<String>,
    pub(crate) interfaces: Vec<String>,
    /// The configured URL of Glance; `None` if the service catalog provides the URL.
    pub(crate) endpoint: Option<String>,
    /// The trusted certificates, and the setting that names them.
    pub(crate) trust: String,
    /// The secrets that no file contains, which are asked for on the terminal.
    pub(crate) asks_for: Vec<String>,
}

/// Lists the clouds. A cloud that cannot be used is not a failure: it is listed with the reason.
pub(crate) fn run(options: &Options) -> Result<Exit, CliError> {
    let asked = Asked::default();
    let clouds = Clouds::load(Environment::of_process().asking(asked.prompt()))?;
    let configured: Vec<Configured> = clouds
        .names()
        .map(|name| Configured {
            name: name.to_owned(),
            places: clouds.places(name).map(ToString::to_string).collect(),
            meaning: meaning(&clouds, name, &asked, &options.trust),
        })
        .collect();
    report::clouds(options.output, &configured, clouds.default_name(), &clouds.absence(""));
    Ok(Exit::Success)
}

fn meaning(
    clouds: &Clouds,
    name: &str,
    asked: &Asked,
    options: &Trust,
) -> Result<Meaning, CliError> {
    let found: Result<Option<Cloud>, ConfigError> = clouds.cloud(name, &Overrides::default());
    let asks_for = asked.take();
    let Some(cloud) = found? else { return Err(CliError::usage("it is gone")) };
    let (_, trust) = trust::policy(options, Side::Source, &CloudTls::of(&cloud))?;
    Ok(Meaning {
        auth_type: cloud.auth_type,
        auth_url: cloud.auth_url,
        region: cloud.image.region,
        interfaces: cloud.image.interfaces,
        endpoint: cloud.image.endpoint_override,
        trust: trust.to_string(),
        asks_for,
    })
}

/// Records the secrets that would be asked for on the terminal, without asking.
#[derive(Debug, Clone, Default)]
struct Asked(Arc<Mutex<Vec<String>>>);

impl Asked {
    fn prompt(&self) -> Prompt {
        let Self(asked) = self.clone();
        Arc::new(move |_, option| {
            asked.lock().ok()?.push(option.to_owned());
            Some("".into())
        })
    }

    fn take(&self) -> Vec<String> {
        self.0.lock().map(|mut asked| std::mem::take(&mut *asked)).unwrap_or_default()
    }
}
