//! Image records: create, show, change, delete; tags and actions.

use glance_core::ImageId;
use glance_core::body::Body;
use glance_core::clock::now;
use glance_core::image::{Attributes, Image, NO_PROJECT, Owner, Status};
use glance_core::store::Activation;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue, LOCATION};
use http::{HeaderMap, StatusCode, Uri};
use serde_json::{Map, Value, json};

use crate::api::answer::{Answer, Refusal, json, nothing};
use crate::api::patch::{self, Change, Syntax};
use crate::api::rules::{check_quotas, check_value, refuse_reserved};
use crate::api::{GlanceApi, origin};

impl GlanceApi {
    pub(crate) async fn create(&self, uri: &Uri, body: Body) -> Answer {
        let Value::Object(mut record) = read_json(body).await? else {
            return Err(Refusal::invalid("The body is not a JSON object"));
        };
        // Glance silently ignores these two.
        record.remove("os_hash_algo");
        record.remove("os_hash_value");
        record.keys().try_for_each(|key| refuse_reserved(key))?;
        record.iter().try_for_each(|(key, value)| check_value(key, value))?;
        if record.get("id").is_none_or(Value::is_null) {
            record.insert("id".into(), uuid::Uuid::new_v4().to_string().into());
        }
        record.insert("status".into(), Status::Queued.as_str().into());
        record.entry("visibility").or_insert_with(|| "shared".into());
        let mut image = Image::from_json(record)?;
        check_quotas(&image.attributes)?;
        image.created_at = Some(now());
        image.updated_at.clone_from(&image.created_at);
        let made = self.store.create(&image).await?;
        let mut answer = json(StatusCode::CREATED, &Value::Object(shown(&made)));
        let location = format!("{}/v2/images/{}", origin(uri), made.id);
        answer.headers_mut().extend(HeaderValue::try_from(location).ok().map(|it| (LOCATION, it)));
        Ok(answer)
    }

    pub(crate) async fn show(&self, id: &ImageId) -> Answer {
        let image = self.store.get(id).await?;
        Ok(json(StatusCode::OK, &Value::Object(shown(&image))))
    }

    pub(crate) async fn patch(&self, id: &ImageId, headers: &HeaderMap, body: Body) -> Answer {
        let media_type = headers.get(CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
        let syntax = Syntax::of(media_type).ok_or_else(no_patch)?;
        let changes = Change::parse_all(read_json(body).await?, syntax)?;
        let _writing = self.writing.lock().await;
        let current = self.store.get(id).await?;
        let wanted = patch::apply(&current, changes)?;
        check_quotas(&wanted)?;
        let written = self.update(current, wanted).await?;
        Ok(json(StatusCode::OK, &Value::Object(shown(&written))))
    }

    /// Replaces the attributes by those of `wanted` and sets the time of the update.
    async fn update(&self, mut current: Image, wanted: Attributes) -> Result<Image, Refusal> {
        if wanted != current.attributes {
            current.updated_at = Some(now());
        }
        Ok(self.store.update(&current, &wanted).await?)
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
        self.update(current, wanted).await?;
        Ok(nothing())
    }

    pub(crate) async fn remove_tag(&self, id: &ImageId, tag: &str) -> Answer {
        let _writing = self.writing.lock().await;
        let current = self.store.get(id).await?;
        let mut wanted = current.attributes.clone();
        if !wanted.tags.remove(tag) {
            return Err(Refusal::missing("The tag could not be found."));
        }
        self.update(current, wanted).await?;
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
    let mut record = fields(image);
    let own = format!("/v2/images/{}", image.id);
    record.insert("file".into(), format!("{own}/file").into());
    record.insert("self".into(), own.into());
    record.insert("schema".into(), "/v2/schemas/image".into());
    record
}

/// The record without its links. Adds what Glance always shows and a store may not know: the owner,
/// and the virtual size of raw data.
pub(crate) fn fields(image: &Image) -> Map<String, Value> {
    let mut record = image.to_json();
    if image.attributes.owner == Owner::Unsaid {
        record.insert("owner".into(), NO_PROJECT.into());
    }
    let is_raw = image.attributes.disk_format.as_deref() == Some("raw");
    if is_raw && image.virtual_size.is_none() {
        record.insert("virtual_size".into(), image.size.into());
    }
    record
}

fn no_patch() -> Refusal {
    let text = format!("Image PATCH expects Content-Type one of: {PATCH_TYPES}");
    let header = (HeaderName::from_static("accept-patch"), HeaderValue::from_static(PATCH_TYPES));
    Refusal::With(StatusCode::UNSUPPORTED_MEDIA_TYPE, text, header)
}

/// Reads the JSON body of a request.
pub(crate) async fn read_json(body: Body) -> Result<Value, Refusal> {
    if body.size().is_some_and(|size| size > MAX_JSON as u64) {
        return Err(Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "The body is too large"));
    }
    let bytes = body.collect(MAX_JSON).await.map_err(Refusal::Body)?;
    if bytes.is_empty() {
        return Err(Refusal::invalid("Body expected in request."));
    }
    serde_json::from_slice(&bytes)
        .map_err(|error| Refusal::invalid(format!("Malformed JSON in request body: {error}")))
}

const PATCH_TYPES: &str = "application/openstack-images-v2.0-json-patch, \
                           application/openstack-images-v2.1-json-patch";

/// Maximum bytes of a JSON body.
const MAX_JSON: usize = 1 << 20;
