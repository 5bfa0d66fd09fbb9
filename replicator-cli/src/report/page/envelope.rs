//! The fields of a report that the page shows without JavaScript. Each may be absent.

use serde::Deserialize;
use serde_json::{Map, Value};

/// The fields that are the same for every command, without the lists of images.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Envelope {
    pub(super) command: Option<String>,
    pub(super) arguments: Option<Vec<String>>,
    pub(super) tool: Option<Tool>,
    pub(super) global_request_id: Option<String>,
    pub(super) started: Option<String>,
    pub(super) seconds: Option<f64>,
    pub(super) source: Option<Store>,
    pub(super) targets: Option<Vec<Store>>,
    pub(super) selection: Option<Vec<String>>,
    pub(super) shard: Option<String>,
    pub(super) summary: Option<Map<String, Value>>,
    pub(super) errors: Option<Vec<Problem>>,
    pub(super) exit_code: Option<u8>,
    pub(super) exit_meaning: Option<String>,
    pub(super) next_command: Option<String>,
}

impl Envelope {
    pub(super) fn command(&self) -> &str {
        self.command.as_deref().unwrap_or("report")
    }

    pub(super) fn targets(&self) -> &[Store] {
        self.targets.as_deref().unwrap_or_default()
    }
}

/// The version of the tool, and its TLS library.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Tool {
    pub(super) version: Option<String>,
    pub(super) tls: Option<Tls>,
}

/// The TLS library.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Tls {
    pub(super) library: Option<String>,
    pub(super) fips: Option<bool>,
}

/// A store: the argument that names it, and its address.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Store {
    pub(super) name: String,
    pub(super) address: Option<String>,
}

/// An error of the run.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Problem {
    pub(super) message: String,
    pub(super) causes: Vec<String>,
    pub(super) hint: Option<String>,
    pub(super) request_ids: Vec<String>,
}
