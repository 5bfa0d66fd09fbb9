//! Imports by the target itself, and the stores that receive the data, on the real Glances (`cargo
//! xtask cloud up`).

mod download;
mod stores;
mod web;

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures_util::stream;
use glance_client::GlanceStore;
use glance_core::image::provenance;
use glance_core::image::{Attributes, Image, ImageId};
use glance_core::{Body, ImageStore};
use keystone_auth::Session;
use transport_hyper::TlsAcceptor;

use crate::support::real_cloud::{Cloud, STACKS, transport};

/// The two Glances of one Keystone. Images created by the test are deleted at its end.
pub(super) struct Scene {
    pub(super) cloud: Cloud,
    a: GlanceStore,
    b: GlanceStore,
    made: Mutex<Vec<ImageId>>,
}

impl Scene {
    pub(super) async fn new() -> Self {
        Self::at(Cloud::find_shared()).await
    }

    /// Like `new`, with exclusive access to the cloud.
    async fn alone() -> Self {
        Self::at(Cloud::find()).await
    }

    async fn at(cloud: Cloud) -> Self {
        let (a, b) = (glance(&cloud, "a").await, glance(&cloud, "b").await);
        Self { cloud, a, b, made: Mutex::default() }
    }

    /// A new image id; its images are deleted at the end.
    fn id(&self) -> ImageId {
        let id = ImageId::random();
        self.made.lock().unwrap().push(id.clone());
        id
    }

    /// Creates an image at A.
    pub(super) async fn image(&self, attributes: Attributes, data: Body) -> Image {
        let image = Image::queued(self.id(), attributes);
        self.a.create(&image).await.unwrap();
        self.a.upload(&image.id, data).await.unwrap()
    }

    /// The modifying requests to B about an image since a mark.
    fn writes_since(&self, mark: usize, id: &ImageId) -> Vec<String> {
        let writes = self.cloud.writes_since("b", mark).into_iter();
        writes.filter(|line| line.contains(id.as_str())).collect()
    }

    /// Fails the test unless `cloud/judge.py` finds A's image at B with every field equal.
    #[track_caller]
    fn assert_same(&self, id: &ImageId) {
        let judgement = self.cloud.judge("a", "b", &["--ignore", provenance::SOURCE]);
        assert_eq!(judgement.of(id.as_str())["state"], "same", "{}", judgement.of(id.as_str()));
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        let made = std::mem::take(&mut *self.made.lock().unwrap());
        let glances = [self.a.clone(), self.b.clone()];
        let clear = async move {
            for glance in &glances {
                for id in &made {
                    let Ok(image) = glance.get(id).await else { continue };
                    let unprotected = Attributes { protected: false, ..image.attributes.clone() };
                    let _ = glance.update(&image, &unprotected).await;
                    let _ = glance.delete(id).await;
                }
            }
        };
        let runtime = || tokio::runtime::Runtime::new().unwrap();
        let _ = std::thread::spawn(move || runtime().block_on(clear)).join();
    }
}

async fn glance(cloud: &Cloud, name: &str) -> GlanceStore {
    let configured = cloud.configured(name);
    let transport = transport(STACKS[0], &configured);
    let session = Arc::new(Session::new(Arc::clone(&transport), configured.auth));
    let endpoint = session.image_endpoint(&configured.image).await.unwrap().url;
    GlanceStore::new(name, transport, endpoint, session)
}

/// The TLS acceptor of a test server.
fn acceptor(chain: &[u8], key: &[u8]) -> Arc<dyn TlsAcceptor> {
    #[cfg(feature = "rustls")]
    return transport_rustls::acceptor(chain, key).unwrap();
    #[cfg(not(feature = "rustls"))]
    transport_native::acceptor(chain, key).unwrap()
}

pub(super) fn attributes(name: &str) -> Attributes {
    Attributes {
        name: Some(name.to_owned()),
        disk_format: Some("raw".to_owned()),
        container_format: Some("bare".to_owned()),
        ..Attributes::default()
    }
}

/// Data of `count` MiB in which all MiB differ from each other and from those of other seeds.
pub(super) fn mebibytes(count: u64, seed: u64) -> Body {
    let mut word = seed;
    let words = std::iter::from_fn(|| {
        word = word.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        Some(word.rotate_left(32).to_le_bytes())
    });
    let noise: Vec<u8> = words.take(1 << 17).flatten().collect();
    let chunk = move |number: u64| {
        let mut chunk = noise.clone();
        chunk[..8].copy_from_slice(&number.to_le_bytes());
        Ok(Bytes::from(chunk))
    };
    Body::from_stream(stream::iter((0..count).map(chunk)), Some(count << 20))
}
