//! The store that speaks the Glance v2 API, over any [`Transport`].

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use glance_core::record_schema::Schema;
use http::Method;
use serde_json::Value;

use glance_core::body::Body;
use glance_core::image::{Attributes, Image, ImageId, Member};
use glance_core::selection::Selection;
use glance_core::store::{Activation, ByteRange, ImageStore, ImageStream, StoreError};
use glance_core::transport::Transport;
use keystone_auth::Session;

mod data;
mod import;
mod json_patch;
mod listing;
mod members;
mod metadefs;
mod query;
mod record_stream;
mod request;
mod schema;
mod status;

use request::{Client, Operation};

pub use import::COPY_IMAGE;

/// What a Glance is asked for when it lists what `selection` admits: the queries for the first pages
/// of its listings. What comes is judged again.
pub fn queries(selection: &Selection) -> impl Iterator<Item = String> {
    query::Queries::of(selection).groups().flatten()
}

/// Images in a Glance service.
#[derive(Debug, Clone)]
pub struct GlanceStore {
    client: Client,
    /// Which of its stores new data is put in; else it chooses.
    placement: Option<String>,
}

impl GlanceStore {
    /// A store at `endpoint` (`https://host[:port][/prefix]`, without `/v2`), signed in by
    /// `session`. `name` is how messages call it, such as the cloud's name.
    pub fn new(
        name: impl Into<String>,
        transport: Arc<dyn Transport>,
        endpoint: impl Into<String>,
        session: Arc<Session>,
    ) -> Self {
        let client = Client::new(name.into(), transport, &endpoint.into(), session);
        Self { client, placement: None }
    }

    /// The same store, expecting that the data of one image passes with so many bytes per second.
    /// A token that an upload could outlive at this rate is renewed before.
    #[must_use]
    pub fn expecting(mut self, rate: u64) -> Self {
        self.client.rate = rate;
        self
    }
}

impl fmt::Display for GlanceStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.client.fmt(f)
    }
}

#[async_trait]
impl ImageStore for GlanceStore {
    async fn list(&self, selection: &Selection) -> Result<ImageStream<'_>, StoreError> {
        listing::list(&self.client, selection).await
    }

    async fn get(&self, id: &ImageId) -> Result<Image, StoreError> {
        let operation = Operation::new("read the record", id);
        self.client.image(Method::GET, &image_path(id), None, &operation).await
    }

    async fn read(&self, id: &ImageId, range: ByteRange) -> Result<Body, StoreError> {
        data::read(self, id, range).await
    }

    async fn create(&self, image: &Image) -> Result<Image, StoreError> {
        let operation = Operation::new(status::CREATE, &image.id);
        let mut record = json_patch::writable(&image.attributes);
        record.insert("id".into(), image.id.as_str().into());
        let record = Some(Value::Object(record));
        self.client.image(Method::POST, "/v2/images", record, &operation).await
    }

    async fn upload(&self, id: &ImageId, data: Body) -> Result<Image, StoreError> {
        let operation = Operation::new(status::UPLOAD, id);
        let path = format!("{}/file", image_path(id));
        let store = self.placement.clone().map(|store| (import::STORE, store));
        let answer = self.client.put_data(&path, store, data, &operation).await?;
        let stored = self.get(id).await?;
        match stored.status.has_data() {
            true => Ok(stored),
            // Who answers success without storing the data is in front of the Glance.
            false => Err(self.client.not_stored(&answer, stored.status, &operation)),
        }
    }

    /// Glance keeps nothing of an upload that broke off.
    async fn begun(&self, _id: &ImageId) -> Result<Body, StoreError> {
        Ok(Body::empty())
    }

    async fn update(&self, current: &Image, wanted: &Attributes) -> Result<Image, StoreError> {
        let changes = json_patch::changes(&current.attributes, wanted);
        if changes.is_empty() {
            return Ok(current.clone());
        }
        let operation = Operation::new("change the record", &current.id);
        let path = image_path(&current.id);
        self.client.patch(&path, &Value::Array(changes), &operation).await
    }

    async fn set_activation(&self, id: &ImageId, activation: Activation) -> Result<(), StoreError> {
        let (operation, action) = match activation {
            Activation::Active => ("reactivate the data", "reactivate"),
            Activation::Deactivated => ("deactivate the data", "deactivate"),
        };
        let operation = Operation::new(operation, id);
        let path = format!("{}/actions/{action}", image_path(id));
        self.client.call(Method::POST, &path, None, &operation).await
    }

    async fn delete(&self, id: &ImageId) -> Result<(), StoreError> {
        let operation = Operation::new("delete the record", id);
        self.client.call(Method::DELETE, &image_path(id), None, &operation).await
    }

    async fn members(&self, id: &ImageId) -> Result<Vec<Member>, StoreError> {
        members::list(&self.client, id).await
    }

    async fn set_members(&self, id: &ImageId, members: &[Member]) -> Result<(), StoreError> {
        members::replace(&self.client, id, members).await
    }
}

impl GlanceStore {
    /// What this Glance takes as a record; `None` where it does not say.
    pub async fn schema(&self) -> Option<Schema> {
        schema::read(&self.client).await
    }
}

fn image_path(id: &ImageId) -> String {
    format!("/v2/images/{id}")
}
