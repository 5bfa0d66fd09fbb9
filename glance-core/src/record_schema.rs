//! The record schema that a Glance publishes:
//! <https://docs.openstack.org/api-ref/image/v2/#show-image-schema>.
//!
//! A site adds rules for its own properties (`schema-image.json`). Parts of a rule that this module
//! does not understand are ignored: Glance itself makes the final check.

use std::collections::{BTreeMap, BTreeSet};

use regex::{Regex, RegexBuilder};
use serde_json::{Map, Value};

/// The rules of one Glance for records.
#[derive(Debug, Clone, Default)]
pub struct Schema {
    /// The rules for fields and properties, by name.
    pub properties: BTreeMap<String, SchemaRule>,
    /// Fields and properties that every record must have.
    pub required: BTreeSet<String>,
    /// Whether properties without a rule are allowed.
    pub additional: Additional,
}

/// Whether properties without a rule are allowed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Additional {
    /// Allowed, with text values.
    #[default]
    Text,
    /// Not allowed.
    Nothing,
}

/// The rule for one field or property.
#[derive(Debug, Clone, Default)]
pub struct SchemaRule {
    /// The allowed JSON types; any type if empty.
    pub types: Vec<String>,
    /// The allowed values.
    pub values: Option<Vec<Value>>,
    /// A pattern that must match a part of a text.
    pub pattern: Option<Regex>,
    /// The maximum number of characters of a text.
    pub max_length: Option<u64>,
    /// The rule for each item of a list.
    pub items: Option<Box<SchemaRule>>,
}

impl Schema {
    /// Parses a JSON schema.
    pub fn of(document: &Map<String, Value>) -> Self {
        let rules = document.get("properties").and_then(Value::as_object);
        let rules = rules.into_iter().flatten();
        let required = document.get("required").and_then(Value::as_array);
        let required = required.into_iter().flatten().filter_map(Value::as_str);
        let mut patterns = PATTERNS;
        let rules =
            rules.map(|(name, rule)| (name.clone(), SchemaRule::of(name, rule, &mut patterns)));
        Self {
            properties: rules.collect(),
            required: required.map(str::to_owned).collect(),
            additional: match document.get("additionalProperties") {
                Some(Value::Bool(false)) => Additional::Nothing,
                _ => Additional::Text,
            },
        }
    }
}

impl SchemaRule {
    /// Parses one rule. `patterns` is the number of further patterns that are compiled.
    fn of(name: &str, rule: &Value, patterns: &mut usize) -> Self {
        let types = match &rule["type"] {
            Value::String(one) => vec![one.clone()],
            Value::Array(several) => {
                several.iter().filter_map(Value::as_str).map(str::to_owned).collect()
            }
            _ => Vec::new(),
        };
        let pattern = rule["pattern"].as_str().and_then(|pattern| {
            // Glance uses Python's regular expressions, which support more than Rust's.
            let unknown =
                |error| tracing::debug!("Glance alone checks the pattern of {name}: {error}");
            *patterns = patterns.checked_sub(1)?;
            let mut pattern = RegexBuilder::new(pattern);
            pattern.size_limit(PATTERN).dfa_size_limit(PATTERN).build().map_err(unknown).ok()
        });
        Self {
            types,
            values: rule["enum"].as_array().cloned(),
            pattern,
            max_length: rule["maxLength"].as_u64(),
            items: rule["items"]
                .is_object()
                .then(|| Box::new(Self::of(name, &rule["items"], patterns))),
        }
    }

    /// Whether the rule allows values of this JSON type.
    pub fn takes_type(&self, kind: &str) -> bool {
        self.types.is_empty() || self.types.iter().any(|one| one == kind)
    }

    /// Checks `value` and returns the reason for rejecting it, in words that follow the value;
    /// `None` if it is allowed.
    pub fn refuses(&self, value: &Value) -> Option<String> {
        if !type_names(value).iter().any(|kind| self.takes_type(kind)) {
            return Some(format!("is not a valid {}", self.types.join(" or ")));
        }
        if let Some(values) = self.values.as_ref().filter(|values| !values.contains(value)) {
            let texts = values.iter().filter(|value| !value.is_null());
            let texts = texts.map(|value| value.as_str().map_or(value.to_string(), str::to_owned));
            return Some(format!("is not one of {}", texts.collect::<Vec<_>>().join(", ")));
        }
        match value {
            Value::String(text) => self.refuses_text(text),
            Value::Array(list) => {
                let rule = self.items.as_ref()?;
                let wrong =
                    |item| rule.refuses(item).map(|why| format!("contains {item}, which {why}"));
                list.iter().find_map(wrong)
            }
            _ => None,
        }
    }

    fn refuses_text(&self, text: &str) -> Option<String> {
        if let Some(limit) = self.max_length {
            let length = text.chars().count() as u64;
            if length > limit {
                return Some(format!("has {length} characters (limit {limit})"));
            }
        }
        let pattern = self.pattern.as_ref()?;
        (!pattern.is_match(text)).then(|| format!("does not match {pattern}"))
    }
}

/// The JSON Schema names of a value's type.
fn type_names(value: &Value) -> &'static [&'static str] {
    match value {
        Value::Null => &["null"],
        Value::Bool(_) => &["boolean"],
        Value::Number(number) if number.is_f64() => &["number"],
        Value::Number(_) => &["integer", "number"],
        Value::String(_) => &["string"],
        Value::Array(_) => &["array"],
        Value::Object(_) => &["object"],
    }
}

/// The maximum number of compiled patterns, and the memory limit of each in bytes: a short pattern
/// from a server can need a lot of memory.
const PATTERNS: usize = 200;
const PATTERN: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn rule(rule: &Value) -> SchemaRule {
        SchemaRule::of("p", rule, &mut 1)
    }

    #[test]
    fn values_are_judged_as_json_schema_says() {
        for (says, value, wrong) in [
            (json!({}), json!("x"), None),
            (json!({"type": "string"}), json!("x"), None),
            (json!({"type": ["null", "string"]}), json!(null), None),
            (json!({"type": "integer"}), json!("1"), Some("is not a valid integer")),
            (json!({"type": "number"}), json!(1), None),
            (json!({"enum": [null, "a", 1]}), json!("b"), Some("is not one of a, 1")),
            (json!({"enum": [null, "a"]}), json!(null), None),
            (json!({"maxLength": 2}), json!("éé"), None),
            (json!({"maxLength": 2}), json!("ééé"), Some("has 3 characters (limit 2)")),
            (json!({"pattern": "^a+$"}), json!("ab"), Some("does not match ^a+$")),
            (json!({"pattern": "b"}), json!("abc"), None),
            // Patterns that Rust does not support are left to Glance.
            (json!({"pattern": "(?=x)y"}), json!("z"), None),
            (
                json!({"type": "array", "items": {"maxLength": 1}}),
                json!(["a", "bb"]),
                Some(r#"contains "bb", which has 2 characters (limit 1)"#),
            ),
        ] {
            assert_eq!(rule(&says).refuses(&value).as_deref(), wrong, "{says} {value}");
        }
    }

    #[test]
    fn a_schema_that_says_odd_things_is_no_obstacle() {
        for odd in [json!({}), json!({"properties": {"a": 1}, "required": "a"})] {
            let schema = Schema::of(odd.as_object().unwrap());
            assert!(schema.required.is_empty() && schema.additional == Additional::Text);
        }
        let strict = json!({"additionalProperties": false, "required": ["name", "team"]});
        let strict = Schema::of(strict.as_object().unwrap());
        assert_eq!((strict.required.len(), strict.additional), (2, Additional::Nothing));
    }
}
