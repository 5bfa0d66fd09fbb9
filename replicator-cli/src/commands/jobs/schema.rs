//! The JSON Schema of job files, from the keys.

use serde_json::{Map, Value, json};

use super::keys::{Form, Key, Keys, Place, VERBS};

/// The schema. It cannot tell which keys act on which verb: `config check` does.
pub(super) fn schema(keys: &Keys) -> Value {
    let table = |place| {
        json!({
            "type": "object", "additionalProperties": false, "properties": properties(keys, place),
        })
    };
    let mut defs = Map::new();
    for place in Place::TABLES {
        defs.extend(place.table().map(|name| (name.to_owned(), table(place))));
    }
    let mut job = of_job(keys);
    defs.insert("defaults".to_owned(), object(&job));
    job.insert(
        "name".to_owned(),
        json!({
            "type": "string", "pattern": "^[A-Za-z0-9_.-]+$",
            "description": "Name of the job, for --job, reports and metrics",
        }),
    );
    let mut one = object(&job);
    one["required"] = json!(["name"]);
    defs.insert("job".to_owned(), one);
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Job file of glance-replicator",
        "type": "object",
        "additionalProperties": false,
        "required": ["jobs"],
        "properties": {
            "defaults": {
                "$ref": "#/$defs/defaults",
                "description": "Settings of every job that they have an effect on",
            },
            "jobs": {
                "type": "array", "minItems": 1, "items": { "$ref": "#/$defs/job" },
                "description": "Jobs, in the order in which they run",
            },
        },
        "$defs": defs,
    })
}

fn object(properties: &Map<String, Value>) -> Value {
    json!({ "type": "object", "additionalProperties": false, "properties": properties })
}

/// The keys of a job, except its name.
fn of_job(keys: &Keys) -> Map<String, Value> {
    let mut all = properties(keys, Place::Job);
    let store = json!({ "type": "string" });
    let about = |text: &str, schema: &Value| {
        let mut schema = schema.clone();
        schema["description"] = json!(text);
        schema
    };
    all.insert("verb".to_owned(), about("Command to run", &json!({ "enum": VERBS })));
    all.insert("from".to_owned(), about("Source store, or the directory of load", &store));
    let stores = json!({ "oneOf": [store, { "type": "array", "items": store }] });
    all.insert("to".to_owned(), about("Target stores, or the directory of dump", &stores));
    for name in Place::TABLES.into_iter().filter_map(Place::table) {
        all.insert(name.to_owned(), json!({ "$ref": format!("#/$defs/{name}") }));
    }
    all
}

fn properties(keys: &Keys, place: Place) -> Map<String, Value> {
    let own = keys.all().filter(|key| key.place == place);
    own.map(|key| (key.name.clone(), property(key))).collect()
}

fn property(key: &Key) -> Value {
    let one = match key.choices.as_slice() {
        [] => json!({ "type": ["string", "number", "boolean"] }),
        choices => json!({ "enum": choices }),
    };
    let mut schema = match key.form {
        Form::Flag => json!({ "type": "boolean" }),
        Form::One => one,
        Form::Many => json!({ "oneOf": [one, { "type": "array", "items": one }] }),
    };
    schema["description"] = json!(key.help);
    schema
}
