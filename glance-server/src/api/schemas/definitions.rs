//! Metadata definitions: namespaces and their contents.

use serde_json::{Map, Value, json};

use super::{list, page, time};

pub(super) fn find(kind: &str) -> Option<Value> {
    let with = |mut schema: Value, definitions: Value| {
        schema["definitions"] = definitions;
        schema
    };
    Some(match kind {
        "namespace" => with(namespace(), definitions_with_property()),
        "namespaces" => with(page("namespaces", &list(&namespace())), definitions_with_property()),
        "object" => with(object(), definitions_with_property()),
        "objects" => with(page("objects", &list(&object())), definitions_with_property()),
        "property" => {
            with(property(&["type", "title", "name"]), definitions(&required_properties()))
        }
        "properties" => {
            let by_name =
                json!({"type": "object", "additionalProperties": property(&["type", "title"])});
            with(page("properties", &by_name), definitions(&required_properties()))
        }
        "tag" => tag(),
        "tags" => page("tags", &list(&tag())),
        "resource_type" => resource_type(),
        "resource_types" => page("resource_type_associations", &list(&resource_type())),
        _ => return None,
    })
}

fn namespace() -> Value {
    let text = json!({"type": "string"});
    let resource_type = json!({
        "type": "object",
        "properties": {"name": text, "prefix": text, "properties_target": text},
    });
    let object = json!({
        "type": "object",
        "properties": {
            "name": text, "description": text, "required": TEXTS.reference(),
            "properties": PROPERTY.reference(),
        },
    });
    let tag = json!({"type": "object", "properties": {"name": text}});
    let described = |length: u32, description: &str| json!({"type": "string", "maxLength": length, "description": description});
    json!({
        "name": "namespace",
        "properties": {
            "namespace": described(80, "The namespace's name, which no other has"),
            "display_name": described(80, "The name that people are shown"),
            "description": described(500, "What it is for"),
            "visibility": {
                "type": "string", "enum": ["public", "private"],
                "description": "Who can see it",
            },
            "protected": {"type": "boolean", "description": "Whether it cannot be deleted"},
            "owner": described(255, "The owning project"),
            "created_at": time("When it was made"),
            "updated_at": time("When it changed last"),
            "schema": {"type": "string", "readOnly": true},
            "self": {"type": "string", "readOnly": true},
            "resource_type_associations": list(&resource_type),
            "properties": PROPERTY.reference(),
            "objects": list(&object),
            "tags": list(&tag),
        },
        "additionalProperties": false,
        "required": ["namespace"],
    })
}

fn object() -> Value {
    json!({
        "name": "object",
        "properties": {
            "name": {"type": "string", "maxLength": 80},
            "description": {"type": "string"},
            "required": TEXTS.reference(),
            "properties": PROPERTY.reference(),
            "schema": {"type": "string", "readOnly": true},
            "self": {"type": "string", "readOnly": true},
            "created_at": time("When it was made"),
            "updated_at": time("When it changed last"),
        },
        "additionalProperties": false,
        "required": ["name"],
    })
}

fn property(required: &[&str]) -> Value {
    json!({
        "name": "property",
        "properties": property_fields(),
        "additionalProperties": false,
        "required": required,
    })
}

/// The schema of a property, which is itself a JSON schema.
fn property_fields() -> Value {
    let types = json!(["array", "boolean", "integer", "number", "object", "string", null]);
    let text = json!({"type": "string"});
    json!({
        "name": {"type": "string", "maxLength": 80},
        "title": text,
        "description": text,
        "operators": list(&text),
        "type": {"type": "string", "enum": types},
        "required": TEXTS.reference(),
        "minimum": {"type": "number"},
        "maximum": {"type": "number"},
        "maxLength": COUNT.reference(),
        "minLength": COUNT_OR_NONE.reference(),
        "pattern": {"type": "string", "format": "regex"},
        "enum": {"type": "array"},
        "readonly": {"type": "boolean"},
        "default": {},
        "items": {
            "type": "object",
            "properties": {"type": {"type": "string", "enum": types}, "enum": {"type": "array"}},
        },
        "maxItems": COUNT.reference(),
        "minItems": COUNT_OR_NONE.reference(),
        "uniqueItems": {"type": "boolean", "default": false},
        "additionalItems": {"type": "boolean"},
    })
}

fn tag() -> Value {
    json!({
        "name": "tag",
        "properties": {
            "name": {"type": "string", "maxLength": 80},
            "created_at": time("When it was made"),
            "updated_at": time("When it changed last"),
        },
        "additionalProperties": false,
        "required": ["name"],
    })
}

fn resource_type() -> Value {
    let described =
        |description: &str| json!({"type": "string", "maxLength": 80, "description": description});
    json!({
        "name": "resource_type_association",
        "properties": {
            "name": described("The name of the type of resource, such as OS::Glance::Image"),
            "prefix": described("What stands before the names of properties at such a resource"),
            "properties_target": described("Which of the resource's several sets of properties"),
            "created_at": time("When it was associated"),
            "updated_at": time("When that changed last"),
        },
        "additionalProperties": false,
        "required": ["name"],
    })
}

/// The name of a schema under `definitions`.
#[derive(Clone, Copy)]
struct Definition(&'static str);

impl Definition {
    fn reference(self) -> Value {
        json!({"$ref": format!("#/definitions/{}", self.0)})
    }
}

const COUNT: Definition = Definition("positiveInteger");
const COUNT_OR_NONE: Definition = Definition("positiveIntegerDefault0");
const TEXTS: Definition = Definition("stringArray");
const PROPERTY: Definition = Definition("property");

fn definitions(texts: &Value) -> Value {
    let entries = [
        (COUNT, json!({"type": "integer", "minimum": 0})),
        (COUNT_OR_NONE, json!({"allOf": [COUNT.reference(), {"default": 0}]})),
        (TEXTS, texts.clone()),
    ];
    entries
        .map(|(name, schema)| (name.0.to_owned(), schema))
        .into_iter()
        .collect::<Map<_, _>>()
        .into()
}

fn definitions_with_property() -> Value {
    let mut all =
        definitions(&json!({"type": "array", "items": {"type": "string"}, "uniqueItems": true}));
    let by_name = json!({
        "type": "object",
        "required": ["title", "type"],
        "properties": property_fields(),
    });
    all[PROPERTY.0] = json!({"type": "object", "additionalProperties": by_name});
    all
}

/// The names of the required members of an object property.
fn required_properties() -> Value {
    json!({"type": "array", "items": {"type": "string"}, "minItems": 1, "uniqueItems": true})
}
