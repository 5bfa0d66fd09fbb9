//! Records: create, show, change, delete; tags and actions.

use glance_core::ImageId;
use glance_core::body::Body;
use glance_core::image::{Attributes, Image, Status};
use glance_core::store::Activation;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, StatusCode};
use serde_json::{Map, Value, json};

use crate::answer::{Answer, Refusal, json, nothing};
use crate::api::GlanceApi;
use crate::patch::{self, Change};

impl GlanceApi {
    pub(crate) async fn create(&self, body: Body) -> Answer {
        let Value::Object(mut record) = read_json(body).await? else {
            return Err(Refusal::invalid("The body is not a JSON object"));
        };
        // Glance takes these two without a word and forgets them.
        record.remove("os_hash_algo");
        record.remove("os_hash_value");
        record.keys().try_for_each(|key| refuse_reserved(key))?;
        record.iter().try_for_each(|(key, value)| check_value(key, value))?;
        if record.get("id").is_none_or(Value::is_null) {
            record.insert("id".into(), uuid::Uuid::new_v4().to_string().into());
        }
        record.insert("status".into(), Status::Queued.as_str().into());
        record.entry("visibility").or_insert_with(|| "shared".into());
        let image = Image::from_json(record)?;
        check_quotas(&image.attributes)?;
        let made = self.store.create(&image).await?;
        Ok(json(StatusCode::CREATED, &Value::Object(shown(&made))))
    }

    pub(crate) async fn show(&self, id: &ImageId) -> Answer {
        let image = self.store.get(id).await?;
        Ok(json(StatusCode::OK, &Value::Object(shown(&image))))
    }

    pub(crate) async fn patch(&self, id: &ImageId, headers: &HeaderMap, body: Body) -> Answer {
        if headers.get(CONTENT_TYPE).is_none_or(|given| given != PATCH_TYPE) {
            let text = format!("The body's type must be {PATCH_TYPE}");
            return Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, text));
        }
        let changes = Change::parse_all(read_json(body).await?)?;
        let _writing = self.writing.lock().await;
        let current = self.store.get(id).await?;
        let wanted = patch::apply(&current, changes)?;
        check_quotas(&wanted)?;
        let written = self.store.update(&current, &wanted).await?;
        Ok(json(StatusCode::OK, &Value::Object(shown(&written))))
    }

    pub(crate) async fn delete(&self, id: &ImageId) -> Answer {
        let _writing = self.writing.lock().await;
        if self.store.get(id).await?.attributes.protected {
            let text = format!("Image {id} is protected and cannot be deleted.");
            return Err(Refusal::forbidden(text));
        }
        self.store.delete(id).await?;
        self.forget(id);
        Ok(nothing())
    }

    pub(crate) async fn add_tag(&self, id: &ImageId, tag: &str) -> Answer {
        check_value("tags", &json!([tag]))?;
        let _writing = self.writing.lock().await;
        let current = self.store.get(id).await?;
        let mut wanted = current.attributes.clone();
        wanted.tags.insert(tag.to_owned());
        check_quotas(&wanted)?;
        self.store.update(&current, &wanted).await?;
        Ok(nothing())
    }

    pub(crate) async fn remove_tag(&self, id: &ImageId, tag: &str) -> Answer {
        let _writing = self.writing.lock().await;
        let current = self.store.get(id).await?;
        let mut wanted = current.attributes.clone();
        if !wanted.tags.remove(tag) {
            return Err(Refusal::missing("The tag could not be found."));
        }
        self.store.update(&current, &wanted).await?;
        Ok(nothing())
    }

    pub(crate) async fn act(&self, id: &ImageId, action: &str) -> Answer {
        let activation = match action {
            "deactivate" => Activation::Deactivated,
            "reactivate" => Activation::Active,
            _ => return Err(Refusal::missing("The resource could not be found.")),
        };
        let image = self.store.get(id).await?;
        if !image.status.has_data() {
            let text = format!("Not allowed to {action} an image in status {}", image.status);
            return Err(Refusal::forbidden(text));
        }
        self.store.set_activation(id, activation).await?;
        Ok(nothing())
    }
}

/// The record with its links, as Glance shows it.
pub(crate) fn shown(image: &Image) -> Map<String, Value> {
    let mut record = image.to_json();
    let own = format!("/v2/images/{}", image.id);
    record.insert("file".into(), format!("{own}/file").into());
    record.insert("self".into(), own.into());
    record.insert("schema".into(), "/v2/schemas/image".into());
    record
}

/// Reads a request's JSON body.
pub(crate) async fn read_json(body: Body) -> Result<Value, Refusal> {
    if body.size().is_some_and(|size| size > MAX_JSON as u64) {
        return Err(Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "The body is too large"));
    }
    let bytes = body.collect(MAX_JSON).await.map_err(Refusal::Body)?;
    serde_json::from_slice(&bytes)
        .map_err(|error| Refusal::invalid(format!("Malformed JSON in request body: {error}")))
}

/// Refuses a key that only Glance itself writes.
pub(crate) fn refuse_reserved(key: &str) -> Result<(), Refusal> {
    if READ_ONLY.contains(&key) {
        return Err(Refusal::forbidden(format!("Attribute '{key}' is read-only.")));
    }
    if RESERVED.contains(&key) || key.starts_with("os_glance") {
        return Err(Refusal::forbidden(format!("Attribute '{key}' is reserved.")));
    }
    Ok(())
}

/// Refuses a value that the schema does not allow. What is left to check, reading the record
/// checks.
pub(crate) fn check_value(key: &str, value: &Value) -> Result<(), Refusal> {
    if is_beyond_the_database(key) || texts(value).any(is_beyond_the_database) {
        return Err(Refusal::invalid("Can't contain 4 byte unicode characters."));
    }
    let short = |value: &Value| value.as_str().is_some_and(|text| text.chars().count() <= 255);
    let fits = match key {
        "name" | "owner" => value.is_null() || short(value),
        "tags" => value.as_array().is_some_and(|tags| tags.iter().all(short)),
        "protected" | "os_hidden" => value.is_boolean(),
        "min_disk" | "min_ram" => value.is_u64(),
        _ if BASE.contains(&key) => true,
        _ => value.is_string() && key.chars().count() <= 255,
    };
    let refusal =
        || Refusal::invalid(format!("Provided object does not match schema 'image': {key}"));
    fits.then_some(()).ok_or_else(refusal)
}

/// A real Glance refuses what `MySQL`'s `utf8` can't hold, with any database.
fn is_beyond_the_database(text: &str) -> bool {
    text.chars().any(|char| char.len_utf8() > 3)
}

/// A value that is a text, or the texts of a list.
fn texts(value: &Value) -> impl Iterator<Item = &str> {
    let list = value.as_array().into_iter().flatten();
    value.as_str().into_iter().chain(list.filter_map(Value::as_str))
}

fn check_quotas(attributes: &Attributes) -> Result<(), Refusal> {
    if attributes.properties.len().max(attributes.tags.len()) > QUOTA {
        let text = format!("More than {QUOTA} properties or tags");
        return Err(Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, text));
    }
    Ok(())
}

/// The schema of an image, as far as clients look at it.
pub(crate) fn schema() -> Value {
    let text = json!({"type": ["null", "string"], "maxLength": 255});
    let fact = json!({"type": ["null", "string", "integer"], "readOnly": true});
    let mut properties: Map<String, Value> =
        BASE.iter().map(|key| ((*key).to_owned(), text.clone())).collect();
    properties.extend(READ_ONLY.iter().map(|key| ((*key).to_owned(), fact.clone())));
    let number = json!({"type": "integer", "minimum": 0});
    let visibility =
        json!({"type": "string", "enum": ["community", "public", "private", "shared"]});
    let tags = json!({"type": "array", "items": {"type": "string", "maxLength": 255}});
    let special = [
        ("min_disk", number.clone()),
        ("min_ram", number),
        ("protected", json!({"type": "boolean"})),
        ("os_hidden", json!({"type": "boolean"})),
        ("visibility", visibility),
        ("tags", tags),
    ];
    properties.extend(special.map(|(key, value)| (key.to_owned(), value)));
    json!({
        "name": "image",
        "properties": properties,
        "additionalProperties": {"type": "string"},
    })
}

/// Keys that a client may write and that are no custom properties.
pub(crate) const BASE: &[&str] = &[
    "id",
    "name",
    "owner",
    "visibility",
    "protected",
    "os_hidden",
    "disk_format",
    "container_format",
    "min_disk",
    "min_ram",
    "tags",
];

/// Keys that Glance alone writes.
pub(crate) const READ_ONLY: &[&str] = &[
    "status",
    "size",
    "virtual_size",
    "checksum",
    "created_at",
    "updated_at",
    "self",
    "file",
    "schema",
    "stores",
    "direct_url",
    "locations",
];

/// Keys of the first API version, which nobody writes.
const RESERVED: &[&str] = &["location", "deleted", "deleted_at"];

const PATCH_TYPE: &str = "application/openstack-images-v2.1-json-patch";

/// Properties, or tags, of one image.
const QUOTA: usize = 128;

/// Bytes of a JSON body: 128 properties of 64 KiB and some.
const MAX_JSON: usize = 16 << 20;
