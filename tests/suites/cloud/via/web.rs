//! `--via web-download`: the target downloads the data from a web server.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use glance_core::body::Body;
use glance_core::error::BodyError;
use glance_core::image::{Image, ImageId, Status, Visibility};
use glance_core::store::ImageStore;
use glance_core::store::memory::MemoryStore;
use glance_core::transport::{Transport, TransportError};
use http::{Request, Response, StatusCode};
use replicator_engine::{
    ContentCheck, CopyError, DeliveryOptions, Fallback, ImportSource, Outcome, Placement, Policy,
    Replication, State,
};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use crate::suites::cloud::via::{Scene, attributes};
use crate::support::common::cleared;

/// A web server that serves the data at every path except `/none/…`. At `/slow/…` it sends the
/// second half only after the gate opens.
#[derive(Debug)]
struct Web {
    data: Bytes,
    gate: Arc<Semaphore>,
}

#[async_trait]
impl Transport for Web {
    async fn send(&self, request: Request<Body>) -> Result<Response<Body>, TransportError> {
        let path = request.uri().path();
        if path.starts_with("/none/") {
            let mut answer = Response::new(Body::empty());
            *answer.status_mut() = StatusCode::NOT_FOUND;
            return Ok(answer);
        }
        let half = self.data.len() / 2;
        let (first, rest) = (self.data.slice(..half), self.data.slice(half..));
        let gate = path.starts_with("/slow/").then(|| Arc::clone(&self.gate));
        let rest = stream::once(async move {
            if let Some(gate) = gate {
                drop(gate.acquire().await);
            }
            Ok::<_, BodyError>(rest)
        });
        let size = self.data.len();
        let data = stream::iter([Ok(first)]).chain(rest);
        let mut answer = Response::new(Body::from_stream(data, Some(size as u64)));
        answer.headers_mut().insert(http::header::CONTENT_LENGTH, size.into());
        Ok(answer)
    }
}

impl Web {
    /// Serves `data` with a certificate that the cloud trusts. Returns the URL and the gate.
    async fn serve(scene: &Scene, data: &Bytes) -> (String, Arc<Semaphore>) {
        let read = |name: &str| fs::read(scene.cloud.directory.join("pki").join(name)).unwrap();
        let acceptor =
            crate::suites::cloud::via::acceptor(&read("glance-a.pem"), &read("glance-a.key"));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://{}", listener.local_addr().unwrap());
        let gate = Arc::new(Semaphore::new(0));
        let web = Arc::new(Self { data: data.clone(), gate: Arc::clone(&gate) });
        tokio::spawn(glance_server::serve(listener, Some(acceptor), web, std::future::pending()));
        (url, gate)
    }
}

fn data(seed: u8) -> Bytes {
    (0..3_000_000_u32).map(|number| (number % 251) as u8 ^ seed).collect()
}

/// A command line that imports an image from a web server into B.
fn line<'a>(from: &'a str, template: &'a str, id: &'a ImageId) -> Vec<&'a str> {
    let line = ["sync", from, "b", "--via", "web-download", "--web-url", template, "--id"];
    [&line[..], &[id.as_str()]].concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_target_gets_what_a_web_server_has() {
    let scene = Scene::new().await;
    let (url, _gate) = Web::serve(&scene, &data(1)).await;
    let image = scene.image(attributes("a name/ü"), data(1).into()).await;
    let template = format!("{url}/{{id}}?{{name}}");
    let run = scene.cloud.replicator(&line("a", &template, &image.id)).exits(0);
    assert!(run.stdout.contains("verified (sha512), imported by the target"), "{}", run.stdout);
    scene.assert_same(&image.id);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_web_server_has_is_sent_from_here() {
    let scene = Scene::new().await;
    let (url, _gate) = Web::serve(&scene, &data(2)).await;
    let image = scene.image(attributes("not there"), data(2).into()).await;
    let template = format!("{url}/none/{{id}}");
    let run = scene.cloud.replicator(&line("a", &template, &image.id)).exits(0);
    let note = "streamed through this process, not imported by the target: web-download: the import \
                failed";
    assert!(run.stdout.contains(note), "{}", run.stdout);
    scene.assert_same(&image.id);
}

#[tokio::test(flavor = "multi_thread")]
async fn other_data_is_found_and_quarantined() {
    let scene = Scene::new().await;
    let (url, _gate) = Web::serve(&scene, &data(3)).await;
    let mut image = attributes("public");
    image.visibility = Visibility::Public;
    let image = scene.image(image, data(4).into()).await;
    let template = format!("{url}/{{id}}");
    let run = scene.cloud.replicator(&line("a", &template, &image.id)).exits(6);
    assert!(run.stderr.contains("the replica is quarantined"), "{}", run.stderr);
    let there = scene.b.get(&image.id).await.unwrap();
    let (status, visibility) = (there.status, there.attributes.visibility);
    assert_eq!((status, visibility), (Status::Deactivated, Visibility::Private));
    scene.cloud.replicator(&line("a", &template, &image.id)).exits(6);
}

/// The records have no digest algorithm in common, so the source's data is read.
#[tokio::test(flavor = "multi_thread")]
async fn what_records_do_not_prove_is_proven_by_reading() {
    let scene = Scene::new().await;
    let (url, _gate) = Web::serve(&scene, &data(5)).await;
    let template = format!("{url}/{{id}}");
    let dump = tempfile::tempdir().unwrap();
    let path = dump.path().to_str().unwrap();
    let old = |seed| {
        let id = scene.id();
        let record = serde_json::json!({
            "id": id.as_str(), "name": "old", "status": "active", "size": data(seed).len(),
            "disk_format": "raw", "container_format": "bare", "is_public": true, "deleted": false,
            "protected": false, "min_disk": 0, "min_ram": 0, "checksum": null, "properties": {},
        });
        fs::write(dump.path().join(id.as_str()), record.to_string()).unwrap();
        fs::write(dump.path().join(format!("{id}.img")), data(seed)).unwrap();
        id
    };
    let (good, bad) = (old(5), old(6));
    let run = scene.cloud.replicator(&line(path, &template, &good)).exits(0);
    assert!(
        run.stdout.contains("size only: the source has no digest, imported by the target"),
        "{}",
        run.stdout
    );
    assert_eq!(scene.b.get(&good).await.unwrap().attributes.visibility, Visibility::Public);
    scene.cloud.replicator(&line(path, &template, &bad)).exits(6);
    assert_eq!(scene.b.get(&bad).await.unwrap().attributes.visibility, Visibility::Private);
}

/// A failed import would leave an unusable record at Glance.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_target_would_refuse_is_refused_before() {
    let scene = Scene::new().await;
    let (url, _gate) = Web::serve(&scene, &data(7)).await;
    let source = Arc::new(MemoryStore::new("memory"));
    let mut mislabelled = attributes("mislabelled");
    mislabelled.disk_format = Some("qcow2".to_owned());
    let image = Image::queued(scene.id(), mislabelled);
    source.create(&image).await.unwrap();
    source.upload(&image.id, data(7).into()).await.unwrap();
    let replication = replication(&scene, source, &format!("{url}/{{id}}"));
    let mut failed = 0;
    let observe = |outcome: Outcome| {
        assert!(matches!(outcome.result, Err(CopyError::FormatRejected { .. })), "{outcome:?}");
        failed += 1;
    };
    replication.run(observe).await.unwrap();
    assert_eq!(failed, 1);
    assert!(scene.b.get(&image.id).await.is_err());
}

fn replication(scene: &Scene, source: Arc<MemoryStore>, template: &str) -> Replication {
    let glance = Arc::new(scene.b.clone());
    let delivery = DeliveryOptions {
        target: glance.clone(),
        origin: Some(ImportSource::Web(template.parse().unwrap())),
        fallback: Fallback::Stream,
        placement: Placement::default(),
    };
    let policy =
        Policy { content: ContentCheck::Glance, delivery: Some(delivery), ..Policy::default() };
    Replication { source, target: glance, policy }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_whose_run_was_killed_is_finished_by_the_next() {
    let scene = Scene::new().await;
    let (url, gate) = Web::serve(&scene, &data(8)).await;
    let mut image = attributes("killed");
    image.visibility = Visibility::Public;
    image.properties.insert("own".to_owned(), "value".to_owned());
    let image = scene.image(image, data(8).into()).await;
    let template = format!("{url}/slow/{{id}}");
    let line = line("a", &template, &image.id);
    let tool = env!("CARGO_BIN_EXE_glance-replicator-under-test");
    let mut run = cleared(std::process::Command::new(tool))
        .args(&line)
        .env("OS_CLIENT_CONFIG_FILE", scene.cloud.text("clouds_yaml"))
        .spawn()
        .unwrap();
    let importing = async |image: &Image| image.status == Status::Importing;
    until(&scene, &image.id, importing).await;
    run.kill().unwrap();
    run.wait().unwrap();

    // No run touches the record while the import is under way, with or without `--via`.
    let stream = ["sync", "a", "b", "--id", image.id.as_str()];
    for line in [&line[..], &stream] {
        let run = scene.cloud.replicator(line).exits(3);
        assert!(run.stderr.contains("the target's record has status importing"), "{}", run.stderr);
    }
    let run = scene.cloud.replicator(&["plan", "a", "b", "--id", image.id.as_str()]).exits(1);
    assert!(run.stdout.contains("partial: "), "{}", run.stdout);
    gate.add_permits(1);
    let ended = async |image: &Image| image.status == Status::Active && !image.is_importing();
    let left = until(&scene, &image.id, ended).await;
    assert_eq!(left.attributes.visibility, Visibility::Private);

    let mark = scene.cloud.mark("b");
    let run = scene.cloud.replicator(&line).exits(0);
    assert!(run.stdout.contains("updated: "), "{}", run.stdout);
    let writes = scene.writes_since(mark, &image.id);
    assert!(writes.iter().all(|write| write.contains(" PATCH ")), "{writes:?}");
    scene.assert_same(&image.id);
}

/// Waits until B's record satisfies the condition, and returns it.
async fn until(scene: &Scene, id: &ImageId, is_so: impl AsyncFn(&Image) -> bool) -> Image {
    for _ in 0..300 {
        match scene.b.get(id).await {
            Ok(image) if is_so(&image).await => return image,
            _ => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
    panic!("the image {id} never came to that state");
}

/// A newly requested import is visible only by its lock property.
#[tokio::test]
async fn a_record_that_waits_for_its_import_is_left_alone() {
    let (a, b) = (Arc::new(MemoryStore::new("a")), Arc::new(MemoryStore::new("b")));
    let image = Image::queued(ImageId::random(), attributes("image"));
    a.create(&image).await.unwrap();
    a.upload(&image.id, data(9).into()).await.unwrap();
    let mut waiting = image.clone();
    waiting.attributes.properties.insert("os_glance_import_task".to_owned(), "task".to_owned());
    b.create(&waiting).await.unwrap();
    let replication = Replication { source: a, target: b.clone(), policy: Policy::default() };
    let mut states = Vec::new();
    replication.plan(|entry| states.push((entry.state, entry.action()))).await.unwrap();
    assert_eq!(states, [(State::Partial, "nothing")]);
    replication.run(drop).await.unwrap();
    assert_eq!(b.get(&image.id).await.unwrap().status, Status::Queued);
}
