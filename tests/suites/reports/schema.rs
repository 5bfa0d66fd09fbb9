//! The published JSON Schemas, and documents judged by them.

use std::fs;

use serde_json::Value;

/// Fails the test unless the document is valid for the schema `docs/schema/NAME.json`.
#[track_caller]
pub(super) fn check(name: &str, document: &Value) {
    let validator = jsonschema::validator_for(&bundled(name)).unwrap();
    let errors = validator.iter_errors(document);
    let errors: Vec<String> =
        errors.map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(errors.is_empty(), "{name}: {}\n{document:#}", errors.join("\n"));
}

/// Fails the test unless the document is valid for the schema of its command.
#[track_caller]
pub(super) fn check_document(document: &Value) {
    match document["command"].as_str() {
        Some(command) => check(&command.replace(' ', "-"), document),
        None => check("envelope", document),
    }
    for run in document["runs"].as_array().into_iter().flatten() {
        check_document(run);
    }
}

/// Fails the test unless every line is a valid event. Returns the names of the events.
#[track_caller]
pub(super) fn check_events(lines: &str) -> Vec<String> {
    let mut names = Vec::new();
    for line in lines.lines() {
        let event = super::json(line);
        check("events", &event);
        names.push(event["event"].as_str().unwrap().to_owned());
    }
    names
}

/// A schema that contains the schemas it refers to.
fn bundled(name: &str) -> Value {
    let mut schema = read(name);
    resolve(&mut schema, "");
    for shared in ["envelope", "copies"] {
        let mut definitions = read(shared);
        resolve(&mut definitions, shared);
        definitions.as_object_mut().unwrap().remove("$schema");
        schema["$defs"][shared] = definitions;
    }
    schema
}

fn read(name: &str) -> Value {
    let path = format!("{}/../docs/schema/{name}.json", env!("CARGO_MANIFEST_DIR"));
    super::json(&fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}")))
}

/// Makes references to other files, and those of the part `inside`, point into one document.
fn resolve(schema: &mut Value, inside: &str) {
    match schema {
        Value::Object(fields) => {
            if let Some(Value::String(to)) = fields.get_mut("$ref") {
                let (file, place) = to.split_once('#').unwrap_or((to, ""));
                let part = file.strip_suffix(".json").unwrap_or(inside);
                let part = if part.is_empty() { String::new() } else { format!("/$defs/{part}") };
                *to = format!("#{part}{place}");
            }
            fields.values_mut().for_each(|field| resolve(field, inside));
        }
        Value::Array(items) => items.iter_mut().for_each(|item| resolve(item, inside)),
        _ => {}
    }
}

#[test]
fn an_unknown_field_and_a_missing_one_are_noticed() {
    let clouds = |change: fn(&mut Value)| {
        let mut document = serde_json::json!({
            "schema_version": 1, "command": "clouds", "arguments": ["clouds"],
            "tool": { "version": "1", "tls": null }, "global_request_id": null,
            "started": "2026-01-01T00:00:00.000Z", "ended": "2026-01-01T00:00:00.000Z",
            "seconds": 0.1, "source": null, "targets": [], "selection": [], "shard": null,
            "certificates": [], "errors": [], "exit_code": 0, "exit_meaning": "success",
            "next_command": null, "clouds": [], "default": null,
        });
        change(&mut document);
        jsonschema::validator_for(&bundled("clouds")).unwrap().is_valid(&document)
    };
    assert!(clouds(|_| {}));
    assert!(!clouds(|document| document["more"] = 1.into()));
    assert!(!clouds(|document| document["started"] = "2026-01-01T00:00:00Z".into()));
    for field in ["tool", "default", "exit_code"] {
        let mut document = serde_json::json!({ "schema_version": 1, "command": "clouds" });
        document[field] = Value::Null;
        assert!(!jsonschema::validator_for(&bundled("clouds")).unwrap().is_valid(&document));
    }
}
