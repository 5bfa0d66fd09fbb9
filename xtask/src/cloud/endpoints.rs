//! `endpoints.json`: what tests need to know about the cloud.

use serde_json::{Map, Value, json};

use super::config::write_private;
use super::layout::{Layout, Port};
use super::nginx::FRONTS;
use crate::failure::Failure;

/// Writes `endpoints.json`.
pub(crate) fn write(layout: &Layout) -> Result<(), Failure> {
    let logs: Map<String, Value> = FRONTS
        .iter()
        .map(|front| {
            (
                front.name.to_owned(),
                json!(layout.log(&front.access_log())),
            )
        })
        .collect();
    let endpoints = json!({
        "keystone": format!("{}/v3", layout.https(Port::Keystone)),
        "a": layout.https(Port::GlanceA),
        "b": layout.https(Port::GlanceB),
        "ca": layout.path("pki/root.pem"),
        "other_ca": layout.path("pki/other.pem"),
        "clouds_yaml": layout.path("clouds.yaml"),
        "bad": {
            "expired": layout.https(Port::Expired),
            "wronghost": layout.https(Port::WrongHost),
            "selfsigned": layout.https(Port::SelfSigned),
            "nochain": layout.https(Port::NoChain),
        },
        "access_log": logs,
    });
    write_private(&layout.path("endpoints.json"), &format!("{endpoints:#}\n"))
}
