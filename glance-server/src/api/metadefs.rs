//! Metadata definitions, read-only: namespaces with their properties, objects, tags and resource
//! types. <https://docs.openstack.org/api-ref/image/v2/metadefs-index.html>.

use std::collections::{BTreeMap, BTreeSet};

use glance_core::metadefs::Namespace;
use http::StatusCode;
use serde_json::{Value, json};
use url::form_urlencoded;

use crate::api::answer::{Answer, Refusal, json};

/// Namespaces by name, in the form that the API shows.
#[derive(Debug, Default)]
pub(crate) struct Definitions(BTreeMap<String, Value>);

impl FromIterator<Namespace> for Definitions {
    fn from_iter<I: IntoIterator<Item = Namespace>>(namespaces: I) -> Self {
        let shown = |namespace: Namespace| (namespace.name().to_owned(), shown(&namespace));
        Self(namespaces.into_iter().map(shown).collect())
    }
}

impl Definitions {
    /// The resource at `/v2/metadefs/` followed by these segments.
    pub(crate) fn show(&self, segments: &[&str], query: &str) -> Answer {
        let found = match segments {
            ["namespaces"] => self.list(query)?,
            ["namespaces", name] => prefixed(self.namespace(name)?, query),
            ["namespaces", name, "resource_types"] => {
                json!({ASSOCIATIONS: self.namespace(name)?[ASSOCIATIONS]})
            }
            ["namespaces", name, "properties"] => {
                json!({"properties": self.namespace(name)?["properties"]})
            }
            ["namespaces", name, kind @ ("objects" | "tags")] => {
                json!({*kind: self.namespace(name)?[*kind]})
            }
            ["namespaces", name, "properties", property] => {
                named_property(self.namespace(name)?, property, query)?
            }
            ["namespaces", name, kind @ ("objects" | "tags"), one] => {
                let entries = self.namespace(name)?[*kind].as_array().into_iter().flatten();
                let found = entries.into_iter().find(|entry| entry["name"] == **one);
                found.cloned().ok_or_else(|| missing(one))?
            }
            ["resource_types"] => json!({"resource_types": self.resource_types()}),
            _ => return Err(Refusal::missing("The resource could not be found.")),
        };
        Ok(json(StatusCode::OK, &found))
    }

    fn namespace(&self, name: &str) -> Result<&Value, Refusal> {
        self.0.get(name).ok_or_else(|| {
            Refusal::missing(format!("Metadata definition namespace={name} was not found."))
        })
    }

    /// One page of namespaces, sorted by name.
    fn list(&self, query: &str) -> Result<Value, Refusal> {
        let given: Vec<(String, String)> =
            form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        let wanted = Wanted::parse(&given)?;
        if let Some(marker) = wanted.marker {
            self.namespace(marker)?;
        }
        let after = |name: &str| wanted.marker.is_none_or(|marker| name > marker);
        let fitting = self.0.iter().filter(|(name, one)| after(name) && wanted.admits(one));
        let page: Vec<(&String, &Value)> = fitting.take(wanted.limit).collect();
        let heads: Vec<Value> = page.iter().map(|(_, namespace)| head(namespace)).collect();
        let mut listed = json!({
            "namespaces": heads,
            "schema": "/v2/schemas/metadefs/namespaces",
            "first": link(&given, None),
        });
        // A full page has a link to the next, as with images.
        if let Some((last, _)) = page.last().filter(|_| page.len() == wanted.limit) {
            listed["next"] = link(&given, Some(last)).into();
        }
        Ok(listed)
    }

    fn resource_types(&self) -> Vec<Value> {
        let names: BTreeSet<&str> = self.0.values().flat_map(resource_types).collect();
        names.into_iter().map(|name| json!({ "name": name })).collect()
    }
}

/// The criteria for listing namespaces. Other parameters are ignored, as in Glance.
struct Wanted<'a> {
    limit: usize,
    marker: Option<&'a str>,
    visibility: Option<&'a str>,
    resource_types: Option<BTreeSet<&'a str>>,
}

impl<'a> Wanted<'a> {
    fn parse(given: &'a [(String, String)]) -> Result<Self, Refusal> {
        let value = |key| given.iter().rev().find(|(name, _)| name == key).map(|(_, it)| &**it);
        let number = |text: &str| {
            text.parse().map_err(|_| Refusal::invalid("limit param must be an integer"))
        };
        let visibility = value("visibility");
        if let Some(other) = visibility.filter(|it| !["public", "private"].contains(it)) {
            return Err(Refusal::invalid(format!("Invalid visibility value: {other}")));
        }
        Ok(Self {
            limit: value("limit").map_or(Ok(LIMIT), number)?.min(MAX_LIMIT),
            marker: value("marker"),
            visibility,
            resource_types: value("resource_types").map(|list| list.split(',').collect()),
        })
    }

    fn admits(&self, namespace: &Value) -> bool {
        self.visibility.is_none_or(|wanted| namespace["visibility"] == wanted)
            && self
                .resource_types
                .as_ref()
                .is_none_or(|wanted| resource_types(namespace).any(|it| wanted.contains(it)))
    }
}

fn resource_types(namespace: &Value) -> impl Iterator<Item = &str> {
    let associations = namespace[ASSOCIATIONS].as_array().into_iter().flatten();
    associations.filter_map(|association| association["name"].as_str())
}

/// A namespace with its links and all kinds of definitions.
fn shown(namespace: &Namespace) -> Value {
    let mut shown = namespace.to_json();
    let own = format!("/v2/metadefs/namespaces/{}", namespace.name());
    for (kind, none) in [
        (ASSOCIATIONS, json!([])),
        ("properties", json!({})),
        ("objects", json!([])),
        ("tags", json!([])),
    ] {
        if shown[kind].is_null() {
            shown[kind] = none;
        }
    }
    for object in shown["objects"].as_array_mut().into_iter().flatten() {
        object["self"] =
            format!("{own}/objects/{}", object["name"].as_str().unwrap_or_default()).into();
        object["schema"] = "/v2/schemas/metadefs/object".into();
    }
    shown["self"] = own.into();
    shown["schema"] = "/v2/schemas/metadefs/namespace".into();
    shown
}

/// The fields of a namespace that a list shows.
fn head(namespace: &Value) -> Value {
    let mut head = namespace.as_object().cloned().unwrap_or_default();
    for kind in ["properties", "objects", "tags"] {
        head.remove(kind);
    }
    head.into()
}

/// The namespace as a resource of the type in the query sees it: names have that type's prefix.
fn prefixed(namespace: &Value, query: &str) -> Value {
    let mut shown = namespace.clone();
    let Some(prefix) = prefix(namespace, query) else { return shown };
    let rename = |properties: &mut Value| {
        let Some(properties) = properties.as_object_mut() else { return };
        let before = std::mem::take(properties);
        properties.extend(before.into_iter().map(|(name, it)| (format!("{prefix}{name}"), it)));
    };
    rename(&mut shown["properties"]);
    for object in shown["objects"].as_array_mut().into_iter().flatten() {
        object.get_mut("properties").map(rename);
        let required = object.get_mut("required").and_then(Value::as_array_mut);
        for name in required.into_iter().flatten() {
            *name = format!("{prefix}{}", name.as_str().unwrap_or_default()).into();
        }
    }
    shown
}

fn named_property(namespace: &Value, asked: &str, query: &str) -> Result<Value, Refusal> {
    let name = match prefix(namespace, query) {
        None => asked,
        Some(prefix) => asked.strip_prefix(&prefix).ok_or_else(|| {
            let text = format!("Property {asked} does not begin with the prefix {prefix:?}");
            Refusal::missing(text)
        })?,
    };
    let mut property = namespace["properties"].get(name).cloned().ok_or_else(|| missing(asked))?;
    property["name"] = name.into();
    Ok(property)
}

/// The prefix that the namespace defines for the resource type in the query, if any.
fn prefix(namespace: &Value, query: &str) -> Option<String> {
    let mut given = form_urlencoded::parse(query.as_bytes());
    let (_, wanted) = given.find(|(key, _)| key == "resource_type")?;
    let mut associations = namespace[ASSOCIATIONS].as_array()?.iter();
    let association = associations.find(|association| association["name"] == *wanted)?;
    association["prefix"].as_str().map(str::to_owned)
}

fn missing(name: &str) -> Refusal {
    Refusal::missing(format!("Could not find metadata definition {name}"))
}

fn link(given: &[(String, String)], marker: Option<&str>) -> String {
    let kept = given.iter().filter(|(key, _)| key != "marker");
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(kept);
    query.extend_pairs(marker.map(|marker| ("marker", marker)));
    match query.finish().as_str() {
        "" => "/v2/metadefs/namespaces".to_owned(),
        query => format!("/v2/metadefs/namespaces?{query}"),
    }
}

const ASSOCIATIONS: &str = "resource_type_associations";

/// Namespaces per page: the default and the maximum.
const LIMIT: usize = 25;
const MAX_LIMIT: usize = 1000;
