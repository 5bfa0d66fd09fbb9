//! The report of `clouds`.

use serde_json::{Value, json};

use crate::args::Output;
use crate::commands::clouds::Configured;
use crate::output::chain;

/// Prints the result of `clouds`. `default` is the cloud that is used if a command line names none;
/// `absence` explains an empty list.
pub(crate) fn clouds(output: Output, clouds: &[Configured], default: Option<&str>, absence: &str) {
    match output {
        Output::Text if clouds.is_empty() => out!("no cloud is configured: {absence}"),
        Output::Text => clouds.iter().for_each(text_cloud),
        Output::Json => {
            let clouds: Vec<Value> = clouds.iter().map(json_cloud).collect();
            out_json!("{:#}", json!({ "clouds": clouds, "default": default }));
        }
    }
}

fn text_cloud(cloud: &Configured) {
    out!("{}", cloud.name);
    let line = |topic: &str, text: &str| out!("  {topic:9} {text}");
    line("from", &cloud.places.join(", "));
    let meaning = match &cloud.meaning {
        Ok(meaning) => meaning,
        Err(error) => {
            line("unusable", &chain(error).join(": "));
            error.hint.iter().for_each(|hint| line("hint", hint));
            return;
        }
    };
    let at = |url: &Option<String>| url.as_ref().map(|url| format!(" at {url}"));
    line("sign-in", &format!("{}{}", meaning.auth_type, at(&meaning.auth_url).unwrap_or_default()));
    if !meaning.asks_for.is_empty() {
        line("asks for", &meaning.asks_for.join(", "));
    }
    let region = meaning.region.as_ref().map(|region| format!(" in region {region}"));
    line(
        "Glance",
        &match &meaning.endpoint {
            Some(url) => url.clone(),
            None => format!(
                "{}{}, by the catalogue",
                meaning.interfaces.join(" or "),
                region.unwrap_or_default()
            ),
        },
    );
    line("trust", &meaning.trust);
}

fn json_cloud(cloud: &Configured) -> Value {
    let Configured { name, places, meaning } = cloud;
    match meaning {
        Ok(meaning) => json!({
            "name": name, "from": places, "usable": true, "auth_type": meaning.auth_type,
            "auth_url": meaning.auth_url, "region": meaning.region,
            "interfaces": meaning.interfaces, "endpoint_override": meaning.endpoint,
            "trust": meaning.trust, "asks_for": meaning.asks_for,
        }),
        Err(error) => json!({
            "name": name, "from": places, "usable": false, "error": chain(error),
            "hint": error.hint,
        }),
    }
}
