//! The report of `clouds`.

use serde_json::{Value, json};

use crate::error::CliError;
use crate::output::{JsonWriter, chain};

/// A configured cloud.
#[derive(Debug)]
pub(crate) struct ConfiguredCloud {
    pub(crate) name: String,
    /// The files and variables that configure the cloud.
    pub(crate) places: Vec<String>,
    /// The effective settings, or the reason why the cloud cannot be used.
    pub(crate) settings: Result<CloudSettings, CliError>,
}

/// The effective settings of a cloud, without secrets.
#[derive(Debug)]
pub(crate) struct CloudSettings {
    pub(crate) auth_type: String,
    pub(crate) auth_url: Option<String>,
    /// The configured user and project, by name or by id.
    pub(crate) user: Option<String>,
    pub(crate) project: Option<String>,
    pub(crate) region: Option<String>,
    pub(crate) interfaces: Vec<String>,
    /// The configured URL of Glance; `None` if the service catalog provides the URL.
    pub(crate) endpoint: Option<String>,
    /// The trusted certificates, and the setting that names them.
    pub(crate) trust: String,
    /// The secrets that no file contains, which are asked for on the terminal.
    pub(crate) asks_for: Vec<String>,
}

/// Prints the result of `clouds`. `default` is the cloud that is used if a command line names none;
/// `absence` explains an empty list.
pub(crate) fn clouds(clouds: &[ConfiguredCloud], default: Option<&str>, absence: &str) {
    if clouds.is_empty() {
        out!("no cloud is configured: {absence}");
    }
    let mut json = JsonWriter::to_results();
    for cloud in clouds {
        text_cloud(cloud);
        json.entry("clouds", &json_cloud(cloud));
    }
    json.end_list("clouds");
    json.field("default", &json!(default));
    json.finish();
}

fn text_cloud(cloud: &ConfiguredCloud) {
    out!("{}", cloud.name);
    let line = |topic: &str, text: &str| out!("  {topic:9} {text}");
    line("from", &cloud.places.join(", "));
    let settings = match &cloud.settings {
        Ok(settings) => settings,
        Err(error) => {
            line("unusable", &chain(error).join(": "));
            error.hint.iter().for_each(|hint| line("hint", hint));
            return;
        }
    };
    let at = |url: &Option<String>| url.as_ref().map(|url| format!(" at {url}"));
    line(
        "sign-in",
        &format!("{}{}", settings.auth_type, at(&settings.auth_url).unwrap_or_default()),
    );
    for (topic, text) in [("user", &settings.user), ("project", &settings.project)] {
        if let Some(text) = text {
            line(topic, text);
        }
    }
    if !settings.asks_for.is_empty() {
        line("asks for", &settings.asks_for.join(", "));
    }
    let region = settings.region.as_ref().map(|region| format!(" in region {region}"));
    line(
        "Glance",
        &match &settings.endpoint {
            Some(url) => url.clone(),
            None => format!(
                "{}{}, from the service catalog",
                settings.interfaces.join(" or "),
                region.unwrap_or_default()
            ),
        },
    );
    line("trust", &settings.trust);
}

fn json_cloud(cloud: &ConfiguredCloud) -> Value {
    let ConfiguredCloud { name, places, settings } = cloud;
    match settings {
        Ok(settings) => json!({
            "name": name, "from": places, "usable": true, "auth_type": settings.auth_type,
            "auth_url": settings.auth_url, "user": settings.user, "project": settings.project,
            "region": settings.region,
            "interfaces": settings.interfaces, "endpoint_override": settings.endpoint,
            "trust": settings.trust, "asks_for": settings.asks_for,
        }),
        Err(error) => json!({
            "name": name, "from": places, "usable": false, "error": chain(error),
            "hint": error.hint,
        }),
    }
}
