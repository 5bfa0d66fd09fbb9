//! The envelope of the document: the fields that every command has.

use std::time::SystemTime;

use glance_core::clock;
use serde_json::{Map, Value, json};

use super::escape::escaped_json;
use super::next::next_command;
use crate::args::Stack;
use crate::certificates;
use crate::exit::Exit;
use crate::tls;

/// What a document is about.
#[derive(Debug)]
pub(super) struct Subject {
    pub(super) command: Option<String>,
    /// The arguments, without secrets.
    arguments: Vec<String>,
    tool: Value,
    started: String,
    pub(super) selection: Vec<String>,
    pub(super) shard: Option<String>,
    pub(super) source: Option<StoreName>,
    pub(super) targets: Vec<StoreName>,
}

/// A store, by its argument on the command line, and its address once the store is open.
#[derive(Debug)]
pub(super) struct StoreName {
    pub(super) name: String,
    pub(super) address: Option<String>,
}

impl Subject {
    /// A command that begins now.
    pub(super) fn new(
        command: Option<String>,
        arguments: &[String],
        chosen: Option<Stack>,
    ) -> Self {
        Self {
            command,
            arguments: arguments.to_vec(),
            tool: tool(chosen),
            started: now(),
            selection: Vec::new(),
            shard: None,
            source: None,
            targets: Vec::new(),
        }
    }

    /// The first fields of the document.
    pub(super) fn fields(&self) -> Vec<(&'static str, Value)> {
        let store = |store: &StoreName| json!({ "name": store.name, "address": store.address });
        vec![
            ("schema_version", json!(SCHEMA_VERSION)),
            ("command", json!(self.command)),
            ("arguments", json!(self.arguments)),
            ("tool", self.tool.clone()),
            ("global_request_id", json!(tls::global_request_id())),
            ("started", json!(self.started)),
            ("source", self.source.as_ref().map_or(Value::Null, store)),
            ("targets", self.targets.iter().map(store).collect()),
            ("selection", json!(self.selection)),
            ("shard", json!(self.shard)),
        ]
    }

    /// The last fields of the document.
    pub(super) fn last_fields(
        &self,
        errors: &[Value],
        seconds: f64,
        exit: Exit,
    ) -> [(&'static str, Value); 7] {
        let stores: Vec<&str> =
            self.source.iter().chain(&self.targets).map(|store| store.name.as_str()).collect();
        let command = self.command.as_deref().unwrap_or("help");
        let next = next_command(command, &self.arguments, &stores, exit);
        [
            ("certificates", certificates::seen_as_json()),
            ("errors", json!(errors)),
            ("ended", json!(now())),
            ("seconds", json!(seconds)),
            ("exit_code", json!(exit as u8)),
            ("exit_meaning", json!(exit.meaning())),
            ("next_command", json!(next)),
        ]
    }
}

/// A line of NDJSON.
pub(super) fn line<'a>(event: &str, fields: impl IntoIterator<Item = (&'a str, Value)>) -> String {
    let mut object: Map<String, Value> =
        fields.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
    object.insert("schema_version".to_owned(), json!(SCHEMA_VERSION));
    object.insert("event".to_owned(), json!(event));
    object.insert("at".to_owned(), json!(now()));
    format!("{}\n", escaped_json(&Value::Object(object).to_string()))
}

/// The field `tool`.
fn tool(chosen: Option<Stack>) -> Value {
    let tls = tls::in_use(chosen).map(
        |tls| json!({ "stack": tls.stack, "library": tls.library, "fips": tls.is_in_fips_mode }),
    );
    json!({ "version": env!("CARGO_PKG_VERSION"), "tls": tls })
}

/// The current time.
pub(super) fn now() -> String {
    clock::text(SystemTime::now())
}

/// The version of the documents. A new version changes or removes fields.
const SCHEMA_VERSION: u32 = 1;
