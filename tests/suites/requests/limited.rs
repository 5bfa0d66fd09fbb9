//! The tool against an nginx that limits the request rate as operators configure it: 503 with
//! `Retry-After`.

use std::sync::Arc;

use bytes::Bytes;
use glance_core::Body;
use glance_core::image::{Attributes, Image, ImageId, Status, Visibility};
use glance_core::store::memory::MemoryStore;
use glance_core::store::{ByteRange, ImageStore};
use glance_server::GlanceApi;
use http::Method;
use tempfile::TempDir;
use tests::pki::{Authority, Leaf};
use tokio::net::TcpListener;

use crate::support::common::{Run, replicator_with};
use crate::support::fault::Faulty;
use crate::support::programs::nginx::Nginx;

/// A Glance behind an nginx with a rate limit.
struct Site {
    url: String,
    kept: Arc<MemoryStore>,
    /// The requests that nginx passed on.
    passed: Arc<Faulty>,
    _nginx: Nginx,
}

impl Site {
    async fn open(pki: &Pki, rate: &str, burst: u8) -> Self {
        let kept = Arc::new(MemoryStore::new("kept"));
        let api = GlanceApi::new(Arc::clone(&kept) as Arc<dyn ImageStore>);
        let passed = Arc::new(Faulty::new(Arc::new(api)));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let behind = listener.local_addr().unwrap().to_string();
        let served = Arc::clone(&passed);
        tokio::spawn(glance_server::serve(listener, None, served, std::future::pending()));
        let directory = pki.directory.path().join(&behind);
        std::fs::create_dir(&directory).unwrap();
        std::fs::write(directory.join("server.pem"), &pki.server.0).unwrap();
        std::fs::write(directory.join("server.key"), &pki.server.1).unwrap();
        let burst = if burst == 0 { String::new() } else { format!("burst={burst} nodelay") };
        let http = HTTP.replace("BEHIND", &behind).replace("RATE", rate).replace("BURST", &burst);
        let nginx = Nginx::begin(&directory, &http).await;
        let url = format!("https://127.0.0.1:{}", nginx.port);
        Self { url, kept, passed, _nginx: nginx }
    }
}

struct Pki {
    directory: TempDir,
    server: (String, String),
}

impl Pki {
    fn new() -> Self {
        let root = Authority::root("the CA of the tests").unwrap();
        let server = root.issue(&Leaf::new("server", &["127.0.0.1"])).unwrap();
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("ca.pem"), root.pem()).unwrap();
        Self { directory, server: (server.chain_pem, server.key_pem) }
    }

    async fn run(&self, stack: &'static str, words: &[&str]) -> Run {
        let mut line: Vec<String> = words.iter().map(ToString::to_string).collect();
        let ca = self.directory.path().join("ca.pem").to_str().unwrap().to_owned();
        line.extend(["--tls", stack, "--verbose", "--cacert", &ca].map(str::to_owned));
        let run = tokio::task::spawn_blocking(move || {
            let line: Vec<&str> = line.iter().map(String::as_str).collect();
            replicator_with(&line, &[])
        });
        run.await.unwrap()
    }
}

const DATA: &[u8] = &[7; 100_000];

async fn image(site: &Site) -> ImageId {
    let id: ImageId = "00000000-0000-4000-8000-000000000001".parse().unwrap();
    let attributes = Attributes {
        visibility: Visibility::Public,
        disk_format: Some("raw".into()),
        container_format: Some("bare".into()),
        ..Attributes::default()
    };
    site.kept.create(&Image::queued(id.clone(), attributes)).await.unwrap();
    site.kept.upload(&id, Body::from(Bytes::from_static(DATA))).await.unwrap();
    id
}

/// Both sides accept two requests per second; earlier requests are refused.
async fn a_copy_goes_on_at_the_pace_that_servers_set(stack: &'static str) {
    let pki = Pki::new();
    let (a, b) = (Site::open(&pki, "2r/s", 1).await, Site::open(&pki, "2r/s", 1).await);
    let id = image(&a).await;
    let run = pki.run(stack, &["livecopy", &a.url, &b.url, "--owner", "caller"]).await.exits(0);
    assert!(run.stdout.contains("1 copied and verified"), "{}", run.stdout);
    let waits = run.stderr.matches("503 Service Unavailable; attempt 2 in 1.").count();
    assert!(waits >= 1, "{}", run.stderr);
    let replica = b.kept.get(&id).await.unwrap();
    assert_eq!(replica.status, Status::Active);
    assert_eq!(replica.attributes.visibility, Visibility::Public);
    let data = b.kept.read(&id, ByteRange::ALL).await.unwrap().collect(1 << 20).await.unwrap();
    assert_eq!(data, DATA);
    // Glance never received the requests that nginx refused.
    let uploads = |method: &Method, path: &str| method == Method::PUT && path.ends_with("/file");
    let passed = b.passed.requests();
    assert_eq!(passed.iter().filter(|(method, path)| uploads(method, path)).count(), 1);
    assert_eq!(passed.iter().filter(|(method, _)| method == Method::POST).count(), 1);
}

/// Without request retries, the first refusal ends the run.
async fn without_repeating_the_first_refusal_is_the_end(stack: &'static str) {
    let pki = Pki::new();
    let a = Site::open(&pki, "1r/m", 0).await;
    let words = ["size", a.url.as_str(), "--low-level-retries", "0"];
    pki.run(stack, &words).await;
    let run = pki.run(stack, &words).await.exits(3);
    assert!(run.stderr.contains("503 Service Unavailable: later"), "{}", run.stderr);
    assert!(!run.stderr.contains("attempt") && !run.stderr.contains("tried"), "{}", run.stderr);
    assert_eq!(a.passed.requests().len(), 1);
}

/// The client's rate limit is below the server's.
async fn a_client_that_limits_itself_is_not_refused(stack: &'static str) {
    let pki = Pki::new();
    let (a, b) = (Site::open(&pki, "10r/s", 4).await, Site::open(&pki, "10r/s", 4).await);
    image(&a).await;
    let words = ["livecopy", &a.url, &b.url, "--owner", "caller", "--tpslimit", "5"];
    let run = pki.run(stack, &words).await.exits(0);
    assert!(!run.stderr.contains("attempt 2"), "{}", run.stderr);
}

macro_rules! for_each_stack {
    ($($case:ident)*) => {
        #[cfg(feature = "rustls")]
        mod rustls { $(
            #[tokio::test(flavor = "multi_thread")]
            async fn $case() { super::$case("rustls").await; }
        )* }
        #[cfg(feature = "native-tls")]
        mod native { $(
            #[tokio::test(flavor = "multi_thread")]
            async fn $case() { super::$case("native").await; }
        )* }
    };
}

for_each_stack! {
    a_client_that_limits_itself_is_not_refused
    a_copy_goes_on_at_the_pace_that_servers_set
    without_repeating_the_first_refusal_is_the_end
}

const HTTP: &str = r#"
    limit_req_zone "all" zone=all:64k rate=RATE;
    server {
        listen 127.0.0.1:PORT ssl;
        ssl_certificate server.pem;
        ssl_certificate_key server.key;
        client_max_body_size 0;
        limit_req zone=all BURST;
        limit_req_status 503;
        error_page 503 @later;
        location / {
            proxy_pass http://BEHIND;
        }
        location @later {
            internal;
            add_header Retry-After 1 always;
            return 503 "later";
        }
    }
"#;
