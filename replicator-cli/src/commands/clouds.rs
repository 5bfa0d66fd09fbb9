//! `clouds`: lists the configured clouds and their effective settings. Contacts no server.

use std::sync::{Arc, Mutex};

use keystone_auth::{Cloud, Clouds, ConfigError, Environment, Overrides, Prompt};

use crate::args::{Options, Trust};
use crate::error::CliError;
use crate::exit::Exit;
use crate::report::{self, CloudSettings, ConfiguredCloud};
use crate::resolve::endpoint::Side;
use crate::resolve::sign_in::no_cloud;
use crate::resolve::trust::{self, CloudTls};

/// Lists the clouds, or only one. A cloud that cannot be used is not a failure: it is listed with the
/// reason.
pub(crate) fn run(only: Option<&str>, options: &Options) -> Result<Exit, CliError> {
    let asked = Asked::default();
    let clouds = Clouds::load(Environment::of_process().asking(asked.prompt()))?;
    if let Some(unknown) = only.filter(|only| clouds.names().all(|name| name != *only)) {
        return Err(no_cloud(&clouds, unknown));
    }
    let configured: Vec<ConfiguredCloud> = clouds
        .names()
        .filter(|name| only.is_none_or(|only| only == *name))
        .map(|name| ConfiguredCloud {
            name: name.to_owned(),
            places: clouds.places(name).map(ToString::to_string).collect(),
            settings: settings(&clouds, name, &asked, &options.trust),
        })
        .collect();
    report::clouds(&configured, clouds.default_name(), &clouds.absence(""));
    Ok(Exit::Success)
}

fn settings(
    clouds: &Clouds,
    name: &str,
    asked: &Asked,
    options: &Trust,
) -> Result<CloudSettings, CliError> {
    let found: Result<Option<Cloud>, ConfigError> = clouds.cloud(name, &Overrides::default());
    let asks_for = asked.take();
    let Some(cloud) = found? else {
        let what = format!("cloud {name} was removed while it was being read");
        return Err(CliError::usage(what));
    };
    let (_, trust) = trust::policy(options, Side::Source, &CloudTls::of(&cloud))?;
    Ok(CloudSettings {
        auth_type: cloud.auth_type,
        auth_url: cloud.auth_url,
        user: cloud.user,
        project: cloud.project,
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
