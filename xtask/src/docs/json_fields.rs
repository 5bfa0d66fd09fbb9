//! The list of fields in `docs/json.md`, which is made from the schemas in `docs/schema`.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::failure::{Context, Failure};
use crate::output::say;
use crate::workspace;

/// Makes the list from the schemas. With `write`, stores it; without, fails if it differs from the
/// stored one.
pub(super) fn run(write: bool) -> Result<(), Failure> {
    let docs = workspace::root().join("docs");
    let page = docs.join("json.md");
    let text = fs::read_to_string(&page).context(|| page.display().to_string())?;
    let head = text.find(HEADING).map(|at| &text[..at]);
    let head = head.ok_or_else(|| Failure::new(format!("{} has no {HEADING}", page.display())))?;
    let made = format!("{head}{HEADING}{}", list(&docs.join("schema"))?);
    if write {
        say(format_args!("docs: {}", page.display()));
        return fs::write(&page, made).context(|| page.display().to_string());
    }
    if made == text {
        return Ok(());
    }
    let what = format!("{} does not list the fields of the schemas", page.display());
    Err(Failure::new(format!("{what}; run cargo xtask docs --write")))
}

/// The sections: the fields of every document, the types, and the fields of each command.
fn list(directory: &Path) -> Result<String, Failure> {
    let envelope = read(directory, "envelope")?;
    let copies = read(directory, "copies")?;
    let mut list = section("Every document", &fields(&envelope));
    let types = [&envelope, &copies].into_iter().filter_map(|schema| schema["$defs"].as_object());
    for (name, schema) in types.flatten() {
        if ["completed", "time"].contains(&name.as_str()) {
            continue;
        }
        let (title, fields) = (format!("Type {name}"), fields(schema));
        if fields.is_empty() {
            list.extend(["\n### ", &title, "\n\n", &kind(schema), ". ", meaning(schema), "\n"]);
        } else {
            list += &section(&title, &fields);
        }
    }
    // Commands with the same fields share a section.
    let mut commands: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for name in names(directory)? {
        let schema = read(directory, &name)?;
        commands.entry(fields(&schema)).or_default().push(name.replace('-', " "));
    }
    let mut commands: Vec<_> = commands.into_iter().collect();
    commands.sort_by(|one, other| one.1.cmp(&other.1));
    for (fields, names) in commands {
        list += &section(&names.join(", "), &fields);
    }
    let events = read(directory, "events")?;
    for event in events["oneOf"].as_array().into_iter().flatten() {
        let name = event["properties"]["event"]["const"].as_str().unwrap_or_default();
        list += &section(&format!("Event {name}"), &fields(event));
    }
    Ok(list)
}

fn section(title: &str, fields: &str) -> String {
    if fields.is_empty() { String::new() } else { format!("\n### {title}\n\n{fields}") }
}

fn read(directory: &Path, name: &str) -> Result<Value, Failure> {
    let file = directory.join(name).with_extension("json");
    let text = fs::read_to_string(&file).context(|| file.display().to_string())?;
    serde_json::from_str(&text).context(|| file.display().to_string())
}

/// The names of the schemas of commands.
fn names(directory: &Path) -> Result<Vec<String>, Failure> {
    let mut names = Vec::new();
    for entry in fs::read_dir(directory).context(|| directory.display().to_string())? {
        let path = entry.context(|| directory.display().to_string())?.path();
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        if !["config", "copies", "envelope", "events"].contains(&&*name) {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

/// The items of the fields of a schema. The name of the command or of the event, and what every event
/// has, are left out.
fn fields(schema: &Value) -> String {
    let mut items = String::new();
    add(schema, "", &mut items);
    items
}

fn add(schema: &Value, path: &str, items: &mut String) {
    for choice in schema["anyOf"].as_array().into_iter().flatten() {
        add(choice, path, items);
    }
    if schema["items"].is_object() {
        add(&schema["items"], &format!("{path}[]"), items);
    }
    if schema["additionalProperties"].is_object() {
        add(&schema["additionalProperties"], &below(path, "NAME"), items);
    }
    let is_event = schema["properties"]["event"]["const"].is_string();
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        if path.is_empty()
            && (field["const"].is_string() || (is_event && OF_EVENTS.contains(&&**name)))
        {
            continue;
        }
        let field_path = below(path, name);
        let (kind, meaning) = (kind(field), meaning(field));
        items.extend(["- `", &field_path, "`: ", &kind]);
        if !meaning.is_empty() {
            items.extend([". ", meaning]);
        }
        items.push('\n');
        add(field, &field_path, items);
    }
}

fn below(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

fn meaning(schema: &Value) -> &str {
    schema["description"].as_str().unwrap_or_default()
}

/// The values that a field can have.
fn kind(schema: &Value) -> String {
    let joined = |values: &[Value], text: fn(&Value) -> String| {
        values.iter().map(text).collect::<Vec<_>>().join(" or ")
    };
    if let Some(target) = schema["$ref"].as_str() {
        let name = target.rsplit('/').next().unwrap_or_default();
        return match name {
            "time" => "time".to_owned(),
            "envelope.json" => "[document](#every-document)".to_owned(),
            _ => format!("[{name}](#type-{name})"),
        };
    }
    if let Some(choices) = schema["anyOf"].as_array() {
        return joined(choices, kind);
    }
    if let Some(values) = schema["enum"].as_array() {
        return joined(values, literal);
    }
    if !schema["const"].is_null() {
        return literal(&schema["const"]);
    }
    match &schema["type"] {
        Value::Array(types) => joined(types, |name| name.as_str().unwrap_or_default().to_owned()),
        Value::String(name) if name == "array" => format!("list of {}", kind(&schema["items"])),
        Value::String(name) if schema["additionalProperties"].is_object() => {
            format!("{name} of {}", kind(&schema["additionalProperties"]))
        }
        Value::String(name) => name.clone(),
        _ => "any".to_owned(),
    }
}

fn literal(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::String(text) => format!("`{text}`"),
        other => other.to_string(),
    }
}

/// The fields of every event.
const OF_EVENTS: &[&str] = &["at", "schema_version"];

const HEADING: &str = "## Every field\n";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_within_lists_and_choices_are_listed() {
        let schema = serde_json::json!({ "properties": {
            "command": { "const": "ls" },
            "images": { "type": "array", "items": { "type": "object", "properties": {
                "by": { "enum": ["a", null], "description": "One, two." },
                "losses": { "type": "array", "items": { "$ref": "envelope.json#/$defs/loss" } },
            } } },
            "tls": { "anyOf": [{ "type": "null" }, { "type": "object", "properties": {
                "fips": { "type": ["boolean", "null"] },
            } }] },
            "totals": { "type": "object", "additionalProperties": { "type": "object", "properties": {
                "bytes": { "type": "integer" },
            } } },
        } });
        let expected = [
            "- `images`: list of object",
            "- `images[].by`: `a` or null. One, two.",
            "- `images[].losses`: list of [loss](#type-loss)",
            "- `tls`: null or object",
            "- `tls.fips`: boolean or null",
            "- `totals`: object of object",
            "- `totals.NAME.bytes`: integer",
        ];
        assert_eq!(fields(&schema).lines().collect::<Vec<_>>(), expected);
    }
}
