#![doc = include_str!("../README.md")]

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

mod connect;
mod data;
mod import;
mod json_patch;
mod listing;
mod members;
mod metadefs;
mod permission;
mod query;
mod record_stream;
mod request;
mod schema;
mod status;

use request::{Client, Operation};

pub use connect::ConnectError;
pub use import::COPY_IMAGE;

/// The query strings that a [`GlanceStore`] sends to list `selection`: the first page of each
/// listing. The queries may match more images than `selection` admits, so the store filters the
/// results again.
pub fn queries(selection: &Selection) -> impl Iterator<Item = String> {
    query::Queries::of(selection).groups().flatten()
}

/// The images of a Glance service.
#[derive(Debug, Clone)]
pub struct GlanceStore {
    client: Client,
    /// The Glance store (backend) that receives new data; `None` leaves the choice to Glance.
    placement: Option<String>,
}

impl GlanceStore {
    /// Creates a store for the Glance at `endpoint` (`https://host[:port][/prefix]`, without `/v2`)
    /// that signs in through `session`. `name` identifies the store in messages, such as the
    /// cloud's name.
    pub fn new(
        name: impl Into<String>,
        transport: Arc<dyn Transport>,
        endpoint: impl Into<String>,
        session: Arc<Session>,
    ) -> Self {
        let client = Client::new(name.into(), transport, &endpoint.into(), session);
        Self { client, placement: None }
    }

    /// Sets the expected throughput of one image's data, in bytes per second. A token that would
    /// expire during an upload at this rate is renewed before the upload.
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
            // A server in front of Glance reported success without storing the data.
            false => Err(self.client.not_stored(&answer, stored.status, &operation)),
        }
    }

    /// Always empty: Glance discards the data of an interrupted upload.
    async fn partial_data(&self, _id: &ImageId) -> Result<Body, StoreError> {
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
    /// The schema that this Glance accepts for image records; `None` if Glance does not provide it.
    pub async fn schema(&self) -> Option<Schema> {
        schema::read(&self.client).await
    }
}

fn image_path(id: &ImageId) -> String {
    format!("/v2/images/{id}")
}
