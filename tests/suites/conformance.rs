//! Runs the conformance suite on every store: memory, a directory, an OCI image layout, and Glance over HTTPS with each
//! TLS stack.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use format_dump::{DumpStore, Encoding};
use format_oci::LayoutStore;
use glance_client::GlanceStore;
use glance_core::conformance;
use glance_core::image::{Attributes, Image, ImageId};
use glance_core::store::memory::MemoryStore;
use glance_core::transport::Transport;
use glance_core::{Body, ImageStore};
use glance_server::GlanceApi;
use keystone_auth::Session;
use keystone_auth::auth::NoAuth;
use tests::pki::{Authority, Leaf};
use tls_policy::{self, TlsPolicy};
use transport_hyper::{ClientOptions, TlsAcceptor};

#[tokio::test(flavor = "multi_thread")]
async fn memory() {
    passes(Arc::new(MemoryStore::new("memory"))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn directory() {
    let directory = tempfile::tempdir().unwrap();
    let store = DumpStore::create(directory.path().join("dump")).unwrap();
    passes(Arc::new(store)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn compressed_directory() {
    let directory = tempfile::tempdir().unwrap();
    let store = DumpStore::create(directory.path().join("dump")).unwrap();
    passes(Arc::new(store.encoding_as(Encoding::Zstd))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn layout() {
    let directory = tempfile::tempdir().unwrap();
    let store = LayoutStore::create(directory.path().join("layout")).unwrap();
    passes(Arc::new(store)).await;
}

/// A truncated file, a missing file, and a compressed file with other content.
#[tokio::test(flavor = "multi_thread")]
async fn a_directory_reports_damaged_data() {
    let truncate = |file: &Path| {
        std::fs::OpenOptions::new().write(true).open(file).unwrap().set_len(1000).unwrap();
    };
    let remove = |file: &Path| std::fs::remove_file(file).unwrap();
    let garble = |file: &Path| {
        let mut bytes = std::fs::read(file).unwrap();
        bytes[10..].fill(0);
        std::fs::write(file, bytes).unwrap();
    };
    for (encoding, suffix, damage) in [
        (Encoding::Identity, "img", &truncate as &dyn Fn(&Path)),
        (Encoding::Identity, "img", &remove),
        (Encoding::Zstd, "img.zst", &truncate),
        (Encoding::Zstd, "img.zst", &remove),
        (Encoding::Zstd, "img.zst", &garble),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let store = DumpStore::create(directory.path()).unwrap().encoding_as(encoding);
        let image = Image::queued(ImageId::random(), Attributes::default());
        let id = store.create(&image).await.unwrap().id;
        let data: Vec<u8> =
            (0..100_000_u32).flat_map(|it| it.wrapping_mul(it).to_le_bytes()).collect();
        store.upload(&id, Body::from(Bytes::from(data))).await.unwrap();
        damage(&directory.path().join(format!("{id}.{suffix}")));
        // As a run reads a dump: a record whose file is missing is not taken for a queued one.
        let store = DumpStore::open(directory.path()).unwrap().expecting_data();
        conformance::damaged_data(&store, &id).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn glance_in_process() {
    let api = GlanceApi::new(Arc::new(MemoryStore::new("memory")));
    passes(glance(Arc::new(api), "https://in-process")).await;
}

#[cfg(feature = "rustls")]
#[tokio::test(flavor = "multi_thread")]
async fn glance_over_rustls() {
    over_https(
        |policy| transport_rustls::transport(policy, ClientOptions::default()).unwrap(),
        |chain, key| transport_rustls::acceptor(chain, key).unwrap(),
    )
    .await;
}

#[cfg(feature = "native-tls")]
#[tokio::test(flavor = "multi_thread")]
async fn glance_over_native_tls() {
    over_https(
        |policy| transport_native::transport(policy, ClientOptions::default()).unwrap(),
        |chain, key| transport_native::acceptor(chain, key).unwrap(),
    )
    .await;
}

async fn over_https(
    transport: impl Fn(&TlsPolicy) -> Arc<dyn Transport>,
    acceptor: impl Fn(&[u8], &[u8]) -> Arc<dyn TlsAcceptor>,
) {
    let root = Authority::root("test CA").unwrap();
    let server = root.issue(&Leaf::new("server", &["localhost", "127.0.0.1"])).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let bundle = directory.path().join("ca.pem");
    std::fs::write(&bundle, root.pem()).unwrap();
    let (policy, _) = tls_policy::resolve(&[("the test", Some(bundle))], &|_| None).unwrap();

    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    let acceptor = acceptor(server.chain_pem.as_bytes(), server.key_pem.as_bytes());
    let api = Arc::new(GlanceApi::new(Arc::new(MemoryStore::new("memory"))));
    let serving = glance_server::serve(listener, Some(acceptor), api, std::future::pending());
    let serving = tokio::spawn(serving);
    passes(glance(transport(&policy), &url)).await;
    serving.abort();
}

async fn passes(store: Arc<dyn ImageStore>) {
    let report = conformance::image_store(&|| Arc::clone(&store)).await;
    assert!(report.passed(), "{report}");
}

fn glance(transport: Arc<dyn Transport>, url: &str) -> Arc<dyn ImageStore> {
    let session = Arc::new(Session::new(Arc::clone(&transport), Arc::new(NoAuth::default())));
    Arc::new(GlanceStore::new(url, transport, url, session))
}
