//! Glances over HTTPS that inject faults, and the comparison of two of them.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use glance_client::GlanceStore;
use glance_core::Transport;
use glance_core::image::{Image, ImageId};
use glance_core::store::memory::MemoryStore;
use glance_core::store::{ByteRange, ImageStore};
use glance_server::GlanceApi;
use http::HeaderName;
use keystone_auth::auth::{AuthHeaders, Grant};
use keystone_auth::{AuthPlugin, Session, SignInError};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::support::fault::Faulty;
use crate::support::stack::Stack;
use crate::support::watch::Watch;

/// A Glance that keeps its images in memory; dropping the value stops it.
pub(crate) struct Site {
    pub(crate) url: String,
    pub(crate) kept: Arc<MemoryStore>,
    pub(crate) faulty: Arc<Faulty>,
    pub(crate) watch: Arc<Watch>,
    task: JoinHandle<io::Result<()>>,
}

impl Site {
    /// Starts an empty Glance whose records are watched for `images`.
    pub(crate) async fn open(stack: &Stack, images: &[Image]) -> Self {
        Self::open_behind(stack, images, |faulty| faulty).await
    }

    /// Like [`Self::open`], with a transport in front of the Glance.
    pub(crate) async fn open_behind(
        stack: &Stack,
        images: &[Image],
        before: impl FnOnce(Arc<Faulty>) -> Arc<dyn Transport>,
    ) -> Self {
        let kept = Arc::new(MemoryStore::new("kept"));
        let api = GlanceApi::new(Arc::clone(&kept) as Arc<dyn ImageStore>).with_token(TOKEN);
        let faulty = Arc::new(Faulty::new(Arc::new(api)));
        let watch = Watch::new(before(Arc::clone(&faulty)), Arc::clone(&kept), images);
        let watch = Arc::new(watch);
        let (url, task) = serve(stack, watch.clone()).await;
        Self { url, kept, faulty, watch, task }
    }

    /// The site as a store for a client.
    pub(crate) fn store(&self, transport: &Arc<dyn Transport>) -> Arc<dyn ImageStore> {
        let session = Session::new(Arc::clone(transport), Arc::new(Renewable::default()));
        let (url, session) = (self.url.clone(), Arc::new(session));
        Arc::new(GlanceStore::new(url.clone(), Arc::clone(transport), url, session))
    }

    /// The differences between an image here and at the source, in every byte and field, found
    /// without the engine's own comparison.
    pub(crate) async fn differences(&self, source: &Self, id: &ImageId) -> Vec<String> {
        let (Ok(image), Ok(replica)) = (source.kept.get(id).await, self.kept.get(id).await) else {
            return vec!["it is not there".to_owned()];
        };
        let mut found = Vec::new();
        let (ours, theirs) = (Value::Object(image.to_json()), Value::Object(replica.to_json()));
        let keys =
            [&ours, &theirs].into_iter().flat_map(|record| record.as_object().unwrap().keys());
        for key in keys.filter(|key| !matches!(key.as_str(), "created_at" | "updated_at")) {
            if ours[key] != theirs[key] && !found.contains(key) {
                found.push(key.clone());
            }
        }
        if data(source, id).await != data(self, id).await {
            found.push("data".to_owned());
        }
        if members(source, id).await != members(self, id).await {
            found.push(MEMBERS.to_owned());
        }
        found
    }
}

/// Serves `api` over HTTPS. Returns the URL, and the task; aborting the task stops the server.
pub(crate) async fn serve(
    stack: &Stack,
    api: Arc<dyn Transport>,
) -> (String, JoinHandle<io::Result<()>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    let acceptor = Some(Arc::clone(&stack.acceptor));
    let end = std::future::pending();
    (url, tokio::spawn(glance_server::serve(listener, acceptor, api, end)))
}

/// The name of a difference in members.
pub(crate) const MEMBERS: &str = "members";

async fn data(site: &Site, id: &ImageId) -> Option<Vec<u8>> {
    let data = site.kept.read(id, ByteRange::ALL).await.ok()?;
    Some(data.collect(usize::MAX).await.unwrap().to_vec())
}

async fn members(site: &Site, id: &ImageId) -> Vec<(String, &'static str)> {
    let members = site.kept.members(id).await.unwrap_or_default();
    let mut members: Vec<_> =
        members.into_iter().map(|member| (member.project, member.status.as_str())).collect();
    members.sort();
    members
}

impl Drop for Site {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A sign-in that returns a different valid proof each time.
#[derive(Debug, Default)]
struct Renewable(AtomicUsize);

#[async_trait]
impl AuthPlugin for Renewable {
    async fn sign_in(&self, _: &dyn Transport) -> Result<Grant, SignInError> {
        let number = self.0.fetch_add(1, Ordering::SeqCst).to_string();
        let proof = AuthHeaders::token(TOKEN.to_owned().into())?;
        Ok(Grant::lasting(proof.with(HeaderName::from_static("x-number"), number.into())?, None))
    }
}

/// The token that every site accepts.
pub(crate) const TOKEN: &str = "a-token-that-stays-secret";
