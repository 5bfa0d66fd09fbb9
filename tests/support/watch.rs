//! Checks a target's records after every request.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt;
use glance_core::image::{Image, ImageId, Visibility};
use glance_core::store::ImageStore;
use glance_core::store::memory::MemoryStore;
use glance_core::{Body, Transport, TransportError};
use http::{Method, Request, Response};
use serde_json::Value;

/// A Glance that records when a user could see an unproven image, and when an image id is burned.
#[derive(Debug)]
pub(crate) struct Watch {
    inner: Arc<dyn Transport>,
    kept: Arc<MemoryStore>,
    images: Vec<Image>,
    /// The images that an answer showed complete, with the source's digest.
    proven: Arc<Mutex<BTreeSet<ImageId>>>,
    violations: Mutex<Vec<String>>,
}

impl Watch {
    /// Wraps a Glance that keeps its images in `kept` and is to receive `images`.
    pub(crate) fn new(inner: Arc<dyn Transport>, kept: Arc<MemoryStore>, images: &[Image]) -> Self {
        let images = images.to_vec();
        Self { inner, kept, images, proven: Arc::default(), violations: Mutex::default() }
    }

    /// Treats this image as already proven.
    pub(crate) fn trust(&self, id: &ImageId) {
        self.proven.lock().unwrap().insert(id.clone());
    }

    pub(crate) fn violations(&self) -> Vec<String> {
        self.violations.lock().unwrap().clone()
    }

    /// Checks the images that a request is about.
    async fn look(&self, method: &Method, path: &str) {
        let named = self.images.iter().find(|image| path.contains(image.id.as_str()));
        for image in named.map_or(self.images.as_slice(), std::slice::from_ref) {
            let Ok(replica) = self.kept.get(&image.id).await else { continue };
            let other = replica.status.has_data() && replica.os_hash_value != image.os_hash_value;
            let proven = !other && self.proven.lock().unwrap().contains(&image.id);
            let is_seen = match replica.attributes.visibility {
                Visibility::Private => false,
                // A shared image without members is visible to its owner only: see
                // `shared_without_members` in the suite `cloud_smoke`.
                Visibility::Shared => !self.kept.members(&image.id).await.unwrap().is_empty(),
                _ => true,
            };
            if is_seen && !proven {
                let id = &image.id;
                self.violation(format!("{id} can be seen, not proven, after {method} {path}"));
            }
        }
    }

    fn violation(&self, what: String) {
        self.violations.lock().unwrap().push(what);
    }

    /// The same answer, with its records read in passing.
    fn reading(&self, answer: Response<Body>) -> Response<Body> {
        let (proven, images) = (Arc::clone(&self.proven), self.images.clone());
        answer.map(|body| {
            let size = body.size();
            let mut text = Vec::new();
            let chunks = body.map(move |chunk: Result<Bytes, _>| {
                text.extend(chunk.as_ref().map(|chunk| chunk.to_vec()).unwrap_or_default());
                let shown = serde_json::from_slice(&text).unwrap_or(Value::Null);
                let shown = images.iter().filter(|image| shows(&shown, image));
                proven.lock().unwrap().extend(shown.map(|image| image.id.clone()));
                chunk
            });
            Body::from_stream(chunks, size)
        })
    }
}

/// Whether a record, or a list of records, shows the image with its data.
fn shows(answer: &Value, image: &Image) -> bool {
    let shown = |record: &Value| {
        record["id"] == image.id.as_str()
            && record["size"] == Value::from(image.size)
            && record["os_hash_value"] == Value::from(image.os_hash_value.clone())
    };
    shown(answer) || answer["images"].as_array().is_some_and(|all| all.iter().any(shown))
}

#[async_trait]
impl Transport for Watch {
    async fn send(&self, request: Request<Body>) -> Result<Response<Body>, TransportError> {
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        let is_data = path.ends_with("/file");
        if method == Method::DELETE && !path.contains("/members/") {
            self.violation(format!("{path} was deleted: its id is burned"));
        }
        let answer = self.inner.send(request).await;
        self.look(&method, &path).await;
        let answer = answer?;
        Ok(if answer.status().is_success() && !is_data { self.reading(answer) } else { answer })
    }
}
