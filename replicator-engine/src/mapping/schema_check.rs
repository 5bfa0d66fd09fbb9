//! Checks whether a target accepts a record, before any data is sent.

use serde_json::Value;

use crate::mapping::property_class::{Class, is_field};
use glance_core::image::Attributes;
use glance_core::record_schema::{Additional, Schema};

/// The records that a Glance accepts, according to its built-in limits and its site's schema.
///
/// The numbers of properties, tags and members are not checked: their limits are settings that no
/// client can read. Glance rejects a record with too many properties or tags before any data is
/// sent.
#[derive(Debug, Clone, Default)]
pub struct Fit {
    schema: Schema,
}

/// Why a Glance would reject a record, and what the operator can do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misfit {
    /// The field and the reason, as a sentence without a full stop.
    pub reason: String,
    /// What the operator can do about it.
    pub hint: String,
}

impl Fit {
    /// The records that a Glance with this schema accepts. The default is what any Glance accepts.
    pub fn of(schema: Schema) -> Self {
        Self { schema }
    }

    /// Whether the target accepts updates of its records. If a site's schema requires properties of
    /// every image, Glance rejects each update with status 400, because it looks for those
    /// properties in the update itself (measured on Glance 33). There, a record must be created in
    /// its final form.
    pub fn takes_changes(&self) -> bool {
        self.schema.required.is_empty()
    }

    /// Checks whether the target accepts the record.
    ///
    /// # Errors
    /// All reasons for which the target would reject it.
    pub fn check(&self, attributes: &Attributes) -> Result<(), Misfit> {
        let mut record = attributes.to_json();
        record.retain(|_, value| !value.is_null());
        // The id is not an attribute, and is always present.
        let is_missing = |name: &&String| *name != "id" && !record.contains_key(*name);
        let missing = self.schema.required.iter().filter(is_missing);
        let mut found: Vec<Misfit> = missing.map(|name| missing_misfit(name)).collect();
        for (name, value) in &record {
            let is_property = attributes.properties.contains_key(name);
            found.extend(self.refuses(name, value, is_property).map(|why| Misfit {
                reason: describe(name, value, is_property, &why),
                hint: remedy(name, is_property),
            }));
        }
        let Some(first) = found.first() else { return Ok(()) };
        let hint = first.hint.clone();
        let reasons: Vec<String> = found.into_iter().map(|misfit| misfit.reason).collect();
        Err(Misfit { reason: reasons.join("; "), hint })
    }

    /// Removes properties that carry no information but would be rejected: an empty id where the
    /// site's schema wants an id or null. `note` receives a message for each.
    pub(super) fn adapt(&self, attributes: &mut Attributes, mut note: impl FnMut(String)) {
        attributes.properties.retain(|name, value| {
            let Some(rule) = self.schema.properties.get(name).filter(|_| value.is_empty()) else {
                return true;
            };
            let as_absent = rule.takes_type("null") && rule.refuses(&"".into()).is_some();
            if as_absent {
                note(format!("property {name} is left out: the target refuses an empty value"));
            }
            !as_absent
        });
    }

    /// Why the target rejects a field or property, as text that follows its value.
    fn refuses(&self, name: &str, value: &Value, is_property: bool) -> Option<String> {
        if let Some(why) = limit(name, value, is_property) {
            return Some(why);
        }
        match (self.schema.properties.get(name), self.schema.additional) {
            (Some(rule), _) => rule.refuses(value),
            (None, Additional::Nothing) if is_property => {
                Some("is not a property that the target knows".to_owned())
            }
            (None, _) => None,
        }
    }
}

/// Limits of Glance that its schema does not contain: measured on Glance 33, and read in its
/// `glance/api/v2/images.py` and `no_4byte_params`.
fn limit(name: &str, value: &Value, is_property: bool) -> Option<String> {
    if is_property {
        if name.chars().count() > LONGEST {
            return Some(format!("has a name of more than {LONGEST} characters"));
        }
        if let Some(why) = forbidden(name) {
            return Some(format!("has a name with {why}"));
        }
    }
    let text = |text: &str| forbidden(text).map(|why| format!("has {why}"));
    match value {
        Value::String(one) if !is_property && one.chars().count() > LONGEST => {
            Some(format!("has more than {LONGEST} characters"))
        }
        Value::String(one) => text(one),
        Value::Array(tags) => tags.iter().filter_map(Value::as_str).find_map(|tag| {
            let long = tag.chars().count() > LONGEST;
            match long {
                true => Some(format!("have one of more than {LONGEST} characters")),
                false => forbidden(tag).map(|why| format!("have one with {why}")),
            }
        }),
        Value::Number(number) if number.as_u64() > Some(LARGEST) => {
            Some(format!("is more than {LARGEST}"))
        }
        _ => None,
    }
}

/// Characters that Glance's database does not accept.
fn forbidden(text: &str) -> Option<&'static str> {
    let what = |c: char| match c {
        '\0' => Some("a NUL character"),
        '\u{10000}'.. => Some("a character of 4 bytes, such as an emoji"),
        _ => None,
    };
    text.chars().find_map(what)
}

fn missing_misfit(name: &str) -> Misfit {
    Misfit {
        reason: format!("the image has no {name}, which the target requires"),
        hint: match is_field(name) {
            true => format!("give the image a {name} at the source"),
            false => format!("add one with --property set={name}=VALUE"),
        },
    }
}

fn describe(name: &str, value: &Value, is_property: bool, why: &str) -> String {
    let what = match is_property {
        true => format!("property {}", shown(name)),
        false => name.to_owned(),
    };
    match value {
        Value::String(text) => format!("the target refuses the {what}: {:?} {why}", shown(text)),
        Value::Number(_) => format!("the target refuses the {what}: {value} {why}"),
        _ => format!("the target refuses the {what}: they {why}"),
    }
}

/// The text, shortened to a readable length.
fn shown(text: &str) -> String {
    match text.chars().count() > SHOWN {
        true => text.chars().take(SHOWN).chain(['…']).collect(),
        false => text.to_owned(),
    }
}

fn remedy(name: &str, is_property: bool) -> String {
    match name {
        "disk_format" | "container_format" => format!(
            "have the target's administrator allow it (`{name}s` in glance-api.conf), or convert \
             the image at the source"
        ),
        _ if !is_property => {
            format!("change the field {name} at the source, or leave it out with -D {name}")
        }
        _ if Class::of(name) == Class::EncryptedVolume => {
            "have the target's administrator correct its schema-image.json".to_owned()
        }
        _ => {
            let name = shown(name);
            format!(
                "set another value with --property 'set={name}=VALUE', or leave the property out \
                 with \
                     --property 'drop={name}'"
            )
        }
    }
}

/// Maximum number of characters of a name, an owner, a tag, and a property's name.
const LONGEST: usize = 255;

/// Maximum value of `min_disk` and `min_ram`.
const LARGEST: u64 = i32::MAX as u64;

/// Number of characters of a value that a message shows.
const SHOWN: usize = 40;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn fit(schema: &Value) -> Fit {
        Fit::of(Schema::of(schema.as_object().unwrap()))
    }

    fn properties(pairs: &[(&str, &str)]) -> Attributes {
        let pairs = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Attributes { properties: pairs.collect(), ..Attributes::default() }
    }

    #[track_caller]
    fn refused(fit: &Fit, attributes: &Attributes, reason: &str, hint: &str) {
        let misfit = fit.check(attributes).unwrap_err();
        assert_eq!((misfit.reason.as_str(), misfit.hint.as_str()), (reason, hint));
    }

    #[test]
    fn values_beyond_glances_limits_are_refused() {
        let any = Fit::default();
        let name = |name: String| Attributes { name: Some(name), ..Attributes::default() };
        assert!(any.check(&name("é".repeat(255))).is_ok());
        assert!(any.check(&properties(&[("", ""), ("a/b ~", &"x".repeat(70_000))])).is_ok());
        let leave = "change the field name at the source, or leave it out with -D name";
        let long = format!(
            "the target refuses the name: \"{}…\" has more than 255 characters",
            "x".repeat(40)
        );
        refused(&any, &name("x".repeat(256)), &long, leave);
        let emoji =
            "the target refuses the name: \"a😀\" has a character of 4 bytes, such as an emoji";
        refused(&any, &name("a😀".to_owned()), emoji, leave);
        let nul = properties(&[("a", "x\0")]);
        let another = "set another value with --property 'set=a=VALUE', or leave the property out \
            with --property \
            'drop=a'";
        let said = "the target refuses the property a: \"x\\0\" has a NUL character";
        refused(&any, &nul, said, another);
        let tags = Attributes { tags: [String::from("😀")].into(), ..Attributes::default() };
        let said = "the target refuses the tags: they have one with a character of 4 bytes, such \
            as an emoji";
        refused(
            &any,
            &tags,
            said,
            "change the field tags at the source, or leave it out with -D tags",
        );
        assert!(any.check(&properties(&[("😀", "")])).is_err());
        assert!(any.check(&properties(&[(&"x".repeat(256), "")])).is_err());
        let tags = Attributes { tags: ["x".repeat(256)].into(), ..Attributes::default() };
        assert!(any.check(&tags).is_err());
        let numbers = |min_ram| Attributes { min_ram, ..Attributes::default() };
        assert!(any.check(&numbers(LARGEST)).is_ok() && any.check(&numbers(LARGEST + 1)).is_err());
    }

    #[test]
    fn values_that_the_sites_schema_forbids_are_refused() {
        let site = fit(&json!({"properties": {
            "disk_format": {"type": ["null", "string"], "enum": [null, "raw", "qcow2"]},
            "team": {"type": "string", "pattern": "^[a-z]+$"},
            "cores": {"type": "integer"},
        }, "required": ["team", "id"]}));
        let good = properties(&[("team", "web"), ("more", "x")]);
        assert!(site.check(&good).is_ok());
        let vdi = Attributes { disk_format: Some("vdi".to_owned()), ..good };
        refused(
            &site,
            &vdi,
            "the target refuses the disk_format: \"vdi\" is not one of raw, qcow2",
            "have the target's administrator allow it (`disk_formats` in glance-api.conf), or \
             convert the image at the source",
        );
        refused(
            &site,
            &properties(&[("cores", "4")]),
            "the image has no team, which the target requires; the target refuses the \
             property cores: \"4\" is not a valid integer",
            "add one with --property set=team=VALUE",
        );
        let strict = fit(&json!({"additionalProperties": false}));
        assert!(strict.check(&Attributes::default()).is_ok());
        assert!(strict.check(&properties(&[("a", "")])).is_err());
    }

    #[test]
    fn an_empty_id_is_absent_where_the_target_wants_one_or_null() {
        let uuid = "^([0-9a-fA-F]){8}-";
        let site = fit(&json!({"properties": {
            "kernel_id": {"type": ["null", "string"], "pattern": uuid},
            "instance_uuid": {"type": "string", "pattern": uuid},
            "free": {"type": ["null", "string"]},
        }}));
        let mut notes = Vec::new();
        let empty = [("kernel_id", ""), ("instance_uuid", ""), ("free", ""), ("other", "")];
        let mut attributes = properties(&empty);
        site.adapt(&mut attributes, |note| notes.push(note));
        let left: Vec<&String> = attributes.properties.keys().collect();
        assert_eq!(left, ["free", "instance_uuid", "other"]);
        assert_eq!(notes, ["property kernel_id is left out: the target refuses an empty value"]);
        assert!(site.check(&attributes).is_err());
    }
}
