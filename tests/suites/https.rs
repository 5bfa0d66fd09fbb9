//! The tool between two faulty HTTPS servers: exit codes, messages, and leftovers.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use format_dump::DumpStore;
use futures_util::stream;
use glance_core::Selection;
use glance_core::body::Body;
use glance_core::image::{Attributes, Image, ImageId, Status, Visibility};
use glance_core::store::memory::MemoryStore;
use glance_core::store::{ByteRange, ImageStore};
use glance_server::GlanceApi;
use http::Method;
use tempfile::TempDir;
use tests::pki::{Authority, Leaf};
use tokio::net::TcpListener;
use transport_hyper::TlsAcceptor;

use crate::support::common::{self, Run, peak_memory, replicator_with, start, with_options};
use crate::support::fault::{Fault, Faulty};
use crate::support::stack::acceptor;

const DATA: &[u8] = b"the data of an image, long enough to be broken in the middle";
const TOKEN: &str = "a-token-that-stays-secret";

/// A Glance over HTTPS.
struct Site {
    url: String,
    kept: Arc<dyn ImageStore>,
    faulty: Arc<Faulty>,
}

impl Site {
    async fn open(acceptor: Option<Arc<dyn TlsAcceptor>>, kept: Arc<dyn ImageStore>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://{}", listener.local_addr().unwrap());
        let api = GlanceApi::new(Arc::clone(&kept)).with_token(TOKEN);
        let faulty = Arc::new(Faulty::new(Arc::new(api)));
        let served = Arc::clone(&faulty);
        tokio::spawn(glance_server::serve(listener, acceptor, served, std::future::pending()));
        Self { url, kept, faulty }
    }

    async fn image(&self, number: u8, data: Body) -> ImageId {
        self.image_of("raw", number, data).await
    }

    async fn image_of(&self, disk_format: &str, number: u8, data: Body) -> ImageId {
        let id: ImageId = format!("00000000-0000-4000-8000-0000000000{number:02}").parse().unwrap();
        let attributes = Attributes {
            name: Some(format!("image {number}")),
            visibility: Visibility::Public,
            disk_format: Some(disk_format.into()),
            container_format: Some("bare".into()),
            ..Attributes::default()
        };
        self.kept.create(&Image::queued(id.clone(), attributes)).await.unwrap();
        self.kept.upload(&id, data).await.unwrap();
        id
    }
}

/// Two Glances, and the files that clients need to reach them with one of the TLS stacks.
struct Pair {
    a: Site,
    b: Site,
    directory: TempDir,
    stack: &'static str,
}

impl Pair {
    async fn new(stack: &'static str) -> Self {
        Self::between(stack, memory("a"), memory("b")).await
    }

    async fn between(stack: &'static str, a: Arc<dyn ImageStore>, b: Arc<dyn ImageStore>) -> Self {
        let root = Authority::root("the CA of the tests").unwrap();
        let server = root.issue(&Leaf::new("server", &["127.0.0.1"])).unwrap();
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("ca.pem"), root.pem()).unwrap();
        std::fs::write(directory.path().join("token"), TOKEN).unwrap();
        let acceptor = acceptor(stack, server.chain_pem.as_bytes(), server.key_pem.as_bytes());
        let a = Site::open(Some(Arc::clone(&acceptor)), a).await;
        let b = Site::open(Some(acceptor), b).await;
        Self { a, b, directory, stack }
    }

    fn file(&self, name: &str) -> String {
        self.directory.path().join(name).to_str().unwrap().to_owned()
    }

    fn line<'a>(&'a self, words: &[&'a str]) -> Vec<String> {
        let (ca, token) = (self.file("ca.pem"), self.file("token"));
        // No Keystone is available to compare the projects of both sides.
        let owner = ["--owner", "caller"];
        let more = [["--tls", self.stack], ["--cacert", &ca], ["--token-file", &token], owner];
        let line = [&with_options(words, &more)[..], &["--debug"]].concat();
        line.iter().map(ToString::to_string).collect()
    }

    async fn run(&self, words: &[&str]) -> Run {
        let line = self.line(words);
        let run = tokio::task::spawn_blocking(move || {
            let line: Vec<&str> = line.iter().map(String::as_str).collect();
            replicator_with(&line, &[])
        });
        let run = run.await.unwrap();
        assert!(!format!("{}{}", run.stdout, run.stderr).contains(TOKEN), "the token was shown");
        run
    }

    /// Copies without any retry.
    async fn livecopy_once(&self) -> Run {
        let (once, none) = (["--retries", "0"], ["--low-level-retries", "0"]);
        let words = [&["livecopy", &self.a.url, &self.b.url], &once[..], &none].concat();
        self.run(&words).await
    }

    async fn livecopy(&self) -> Run {
        self.run(&["livecopy", &self.a.url, &self.b.url]).await
    }

    /// Checks that the record at B is queued again, that another run completes it under the same
    /// id, and that a further run has nothing to do.
    async fn completes(&self, id: &ImageId) {
        // The server notices the broken upload with a delay.
        for _ in 0..1000 {
            if self.b.kept.get(id).await.unwrap().status != Status::Saving {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert_eq!(self.b.kept.get(id).await.unwrap().status, Status::Queued);
        let run = self.livecopy().await.exits(0);
        assert!(run.stdout.contains(&format!("completed: {id}")), "{}", run.stdout);
        let replica = self.b.kept.get(id).await.unwrap();
        assert_eq!(replica.status, Status::Active);
        assert_eq!(replica.attributes.visibility, Visibility::Public);
        let run = self.livecopy().await.exits(0);
        assert!(run.stdout.starts_with("0 copied and verified"), "{}", run.stdout);
    }
}

fn is_file(path: &str) -> bool {
    path.ends_with("/file")
}

fn memory(name: &str) -> Arc<dyn ImageStore> {
    Arc::new(MemoryStore::new(name))
}

async fn a_flipped_byte_from_the_source_is_exit_6(stack: &'static str) {
    let pair = Pair::new(stack).await;
    let id = pair.a.image(1, data()).await;
    pair.a.faulty.inject(Method::GET, is_file, 1, Fault::CorruptDownload { at: 5 });
    let run = pair.livecopy().await.exits(6);
    for words in [id.as_str(), "image 1", &pair.a.url, "hint: "] {
        assert!(run.stderr.contains(words), "no {words:?} in {}", run.stderr);
    }
    pair.completes(&id).await;
}

async fn a_source_cut_short_is_exit_3(stack: &'static str) {
    let pair = Pair::new(stack).await;
    // A fault before the upload begins leaves no record at the target.
    let id = pair.a.image(1, data()).await;
    pair.a.faulty.inject(Method::GET, is_file, 1, Fault::CutDownload { after: 7 });
    pair.livecopy_once().await.exits(3);
    assert!(pair.b.kept.get(&id).await.is_err());
    pair.livecopy().await.exits(0);

    let long = Bytes::from(vec![7; 4 << 20]);
    let id = pair.a.image(2, long.into()).await;
    pair.a.faulty.inject(Method::GET, is_file, 1, Fault::CutDownload { after: 3 << 20 });
    let run = pair.livecopy_once().await.exits(3);
    assert!(run.stderr.contains(id.as_str()), "{}", run.stderr);
    assert!(run.stderr.contains(&pair.a.url), "{}", run.stderr);
    pair.completes(&id).await;
}

async fn a_target_that_stored_something_else_is_exit_6_and_quarantined(stack: &'static str) {
    let pair = Pair::new(stack).await;
    let id = pair.a.image(1, data()).await;
    pair.b.faulty.inject(Method::PUT, is_file, 1, Fault::StoreOther);
    for _ in 0..2 {
        let run = pair.livecopy().await.exits(6);
        for words in [id.as_str(), &pair.b.url, "hint: ", "purge_images_table"] {
            assert!(run.stderr.contains(words), "no {words:?} in {}", run.stderr);
        }
        let replica = pair.b.kept.get(&id).await.unwrap();
        assert_eq!(replica.status, Status::Deactivated);
        assert_eq!(replica.attributes.visibility, Visibility::Private);
    }
}

async fn mislabelled_data_is_exit_3_before_the_upload(stack: &'static str) {
    let pair = Pair::new(stack).await;
    let id = pair.a.image_of("qcow2", 1, data()).await;
    let run = pair.livecopy().await.exits(3);
    let said = "the record says qcow2, but the data is in no format that Glance knows";
    for words in [id.as_str(), &pair.b.url, said, "hint: ", "--content-check off"] {
        assert!(run.stderr.contains(words), "no {words:?} in {}", run.stderr);
    }
    assert!(pair.b.faulty.requests().iter().all(|(method, _)| method == Method::GET));

    // A directory accepts the image, and the record can be corrected there.
    let dump = pair.file("dump");
    pair.run(&["dump", &pair.a.url, &dump]).await.exits(0);
    let record = Path::new(&dump).join(format!("{id}.json"));
    let text = std::fs::read_to_string(&record).unwrap().replace("qcow2", "raw");
    std::fs::write(&record, text).unwrap();
    pair.run(&["load", &dump, &pair.b.url]).await.exits(0);

    // Without the check, Glance refuses the data at the end of the upload.
    pair.a.image_of("qcow2", 2, data()).await;
    let words = ["livecopy", &pair.a.url, &pair.b.url, "--content-check", "off"];
    let run = pair.run(&words).await.exits(3);
    assert!(run.stderr.contains("415"), "{}", run.stderr);
}

async fn an_unknown_ca_and_plain_http_are_exit_4_and_see_nothing(stack: &'static str) {
    let mut pair = Pair::new(stack).await;
    let other = Authority::root("another CA").unwrap();
    std::fs::write(pair.file("ca.pem"), other.pem()).unwrap();
    for plain in [false, true] {
        if plain {
            pair.a = Site::open(None, memory("plain")).await;
        }
        let run = pair.run(&["size", &pair.a.url]).await.exits(4);
        for words in [pair.a.url.as_str(), "hint: "] {
            assert!(run.stderr.contains(words), "no {words:?} in {}", run.stderr);
        }
        assert_eq!(pair.a.faulty.requests(), []);
    }
}

async fn a_dump_that_was_killed_is_completed(stack: &'static str) {
    let pair = Pair::new(stack).await;
    pair.a.image(1, data()).await;
    let id = pair.a.image(2, data()).await;
    let path = format!("/v2/images/{id}/file");
    pair.a.faulty.inject(
        Method::GET,
        move |asked| asked == path,
        1,
        Fault::StallDownload { after: 9 },
    );
    let dump = pair.file("dump");
    let line = pair.line(&["dump", &pair.a.url, &dump]);
    let mut child = start(&line);
    let done = Path::new(&dump).join("00000000-0000-4000-8000-000000000001.img");
    while !done.exists() || pair.a.faulty.pending() > 0 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!DumpStore::open(&dump).unwrap().is_complete().unwrap());

    let run = pair.run(&["size", &dump]).await.exits(0);
    assert!(run.stderr.contains("is unfinished; run the dump again"), "{}", run.stderr);

    pair.run(&["dump", &pair.a.url, &dump]).await.exits(0);
    assert!(DumpStore::open(&dump).unwrap().is_complete().unwrap());
    pair.run(&["compare", &pair.a.url, &dump]).await.exits(0);
}

/// Runs `dump A - | load - B`, with a pipe that passes the first `cut` bytes.
async fn piped(pair: &Pair, cut: Option<u64>) -> [Run; 2] {
    let from = pair.line(&["dump", &pair.a.url, "-"]);
    let to = pair.line(&["load", "-", &pair.b.url]);
    let run = tokio::task::spawn_blocking(move || common::piped(&from, cut, &to));
    run.await.unwrap()
}

async fn a_stream_passes_from_one_glance_to_another(stack: &'static str) {
    let pair = Pair::new(stack).await;
    let long = |byte| Bytes::from(vec![byte; (3 << 20) + 7]);
    let mut images = Vec::new();
    for number in 1..=4 {
        images.push(pair.a.image(number, long(number).into()).await);
    }
    // The stream is cut in the data of the second image; the third image fails at the source once.
    let [writer, reader] = piped(&pair, Some(5 << 20)).await;
    assert_eq!(writer.code, Some(3), "{}", writer.stderr);
    assert!(writer.stderr.contains("cannot write the dump: the reader of the stream has gone"));
    let reader = reader.exits(3);
    for words in [
        "the stream was truncated",
        "the stream: cannot read the dump: the stream was truncated",
        images[1].as_str(),
    ] {
        assert!(reader.stderr.contains(words), "no {words:?} in {}", reader.stderr);
    }
    whole(&pair, &images[..1]).await;

    let path = format!("/v2/images/{}/file", images[2]);
    let fault = Fault::CorruptDownload { at: 2 << 20 };
    pair.a.faulty.inject(Method::GET, move |asked| asked == path, 1, fault);
    let [writer, reader] = piped(&pair, None).await;
    let [writer, reader] = [writer.exits(6), reader.exits(3)];
    assert!(writer.stdout.is_empty() && writer.stderr.contains(images[2].as_str()));
    let said = format!("the writer of the stream failed on 1 image, first on {}", images[2]);
    assert!(reader.stderr.contains(&said), "{}", reader.stderr);
    whole(&pair, &[&images[..2], &images[3..]].concat()).await;

    let [writer, reader] = piped(&pair, None).await;
    let [writer, reader] = [writer.exits(0), reader.exits(0)];
    assert!(writer.stderr.contains("4 copied and verified"), "{}", writer.stderr);
    assert!(reader.stdout.contains(&format!("completed: {}", images[2])), "{}", reader.stdout);
    assert!(reader.stdout.contains("1 copied and verified"), "{}", reader.stdout);
    let [a, b] = [&pair.a.url, &pair.b.url].map(String::as_str);
    assert!(writer.stderr.contains(&format!("{a} → standard output\n")), "{}", writer.stderr);
    assert!(reader.stdout.contains(&format!("standard input → {b}\n")), "{}", reader.stdout);
    whole(&pair, &images).await;
    pair.run(&["compare", &pair.a.url, &pair.b.url]).await.exits(0);
}

/// B has exactly these images complete and public.
async fn whole(pair: &Pair, images: &[ImageId]) {
    let listed: Vec<Image> = futures_util::TryStreamExt::try_collect(
        pair.b.kept.list(&Selection::everything()).await.unwrap(),
    )
    .await
    .unwrap();
    let active = listed.iter().filter(|image| image.status.has_data());
    assert_eq!(active.map(|image| image.id.clone()).collect::<Vec<_>>(), images);
    for id in images {
        let [a, b] = [&pair.a.kept, &pair.b.kept];
        let read = async |store: &Arc<dyn ImageStore>| {
            store.read(id, ByteRange::ALL).await.unwrap().collect(8 << 20).await.unwrap()
        };
        assert!(read(a).await == read(b).await);
        let replica = b.get(id).await.unwrap();
        assert_eq!(replica.attributes.visibility, Visibility::Public);
    }
}

/// A run does not need the schema, nor the import methods if the data can be streamed instead.
async fn what_is_not_needed_ends_no_run(stack: &'static str) {
    let pair = Pair::new(stack).await;
    pair.a.image(1, data()).await;
    let is_schema = |path: &str| path == "/v2/schemas/image";
    pair.b.faulty.inject(Method::GET, is_schema, 100, Fault::Status(503));
    pair.b.faulty.inject(Method::GET, |path| path == "/v2/info/import", 100, Fault::Status(501));
    let auto = ["--via", "auto"];
    let words = [&["livecopy", &pair.a.url, &pair.b.url], &auto[..]].concat();
    let run = pair.run(&words).await.exits(0);
    for said in ["cannot read the image schema of ", "the import methods of"] {
        assert!(run.stderr.contains(said), "{}", run.stderr);
    }
    let asked = pair.b.faulty.requests();
    assert_eq!(asked.iter().filter(|(_, path)| is_schema(path)).count(), 1);
    // `--no-fallback` makes the missing import methods an error.
    let words = [&words[..], &["--no-fallback"]].concat();
    let run = pair.run(&words).await;
    assert_ne!(run.code, Some(0));
    assert!(run.stderr.contains("cannot read the import methods"), "{}", run.stderr);
}

/// Copies 512 MiB, far above the memory limit; both servers keep the data on disk.
async fn memory_does_not_grow_with_the_image(stack: &'static str) {
    let stores = tempfile::tempdir().unwrap();
    let store = |name| -> Arc<dyn ImageStore> {
        Arc::new(DumpStore::create(stores.path().join(name)).unwrap())
    };
    let pair = Pair::between(stack, store("a"), store("b")).await;
    let chunks = stream::repeat_with(|| Ok(Bytes::from_static(&[7; 16384])));
    let chunks = futures_util::StreamExt::take(chunks, 32768);
    pair.a.image(1, Body::from_stream(chunks, Some(512 << 20))).await;
    let line = pair.line(&["livecopy", &pair.a.url, &pair.b.url]);
    let peak = tokio::task::spawn_blocking(move || peak_memory(start(&line))).await.unwrap();
    assert!((1024..64 * 1024).contains(&peak), "{peak} KiB");
}

/// The certificates come from the connections of the run: the servers see no further connection.
async fn reports_and_metrics_name_the_certificates(stack: &'static str) {
    let pair = Pair::new(stack).await;
    pair.a.image(1, data()).await;
    let (metrics, report) = (pair.file("m.prom"), pair.file("report.json"));
    let files = ["--metrics", &metrics, "--report", &report, "--output", "json"];
    let words = [&["livecopy", &pair.a.url, &pair.b.url], &files[..]].concat();
    pair.run(&words).await.exits(0);
    let text = std::fs::read_to_string(&metrics).unwrap();
    let report: serde_json::Value =
        serde_json::from_slice(&std::fs::read(&report).unwrap()).unwrap();
    let certificates = report["certificates"].as_array().unwrap();
    assert_eq!(certificates.len(), 2, "{certificates:?}");
    for (one, (side, url)) in
        certificates.iter().zip([("source", &pair.a.url), ("target", &pair.b.url)])
    {
        let server = url.trim_start_matches("https://");
        assert_eq!((&one["side"], &one["server"]), (&side.into(), &server.into()));
        assert_eq!(one["subject"], "CN=server");
        assert_eq!(one["issuer"], "CN=the CA of the tests");
        let days = one["days_left"].as_i64().unwrap();
        // The certificate of the test is a moment old, or not even that.
        assert!((729..=730).contains(&days), "{days}");
        assert!(one["expires"].as_str().unwrap().ends_with('Z'));
        let label = format!("side=\"{side}\",server=\"{server}\"}} ");
        let line = text.lines().find(|line| line.contains(&label));
        let expires: u64 = line.unwrap().rsplit_once(' ').unwrap().1.parse().unwrap();
        let now = glance_core::clock::seconds();
        assert!(expires > now + 86_400 * 729 && expires <= now + 86_400 * 730, "{line:?}");
    }
    // A run that reaches no server keeps what the earlier run found.
    let lost = ["--metrics", &metrics, "--cert", "/nonexistent", "--key", "/nonexistent"];
    let words = [&["livecopy", &pair.a.url, &pair.b.url], &lost[..]].concat();
    pair.run(&words).await.exits(2);
    let kept = std::fs::read_to_string(&metrics).unwrap();
    let certificates = |text: &str| {
        let is_one = |line: &&str| line.contains("certificate_expiry_timestamp_seconds{");
        text.lines().filter(is_one).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(certificates(&kept), certificates(&text));
    assert!(kept.contains("kind=\"usage\"} 1"), "{kept}");
}

fn data() -> Body {
    Bytes::from_static(DATA).into()
}

/// Runs every case once for each TLS stack of this build.
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
        #[cfg(feature = "reqwest")]
        mod reqwest { $(
            #[tokio::test(flavor = "multi_thread")]
            async fn $case() { super::$case("reqwest").await; }
        )* }
    };
}

for_each_stack! {
    a_flipped_byte_from_the_source_is_exit_6
    a_source_cut_short_is_exit_3
    a_target_that_stored_something_else_is_exit_6_and_quarantined
    mislabelled_data_is_exit_3_before_the_upload
    an_unknown_ca_and_plain_http_are_exit_4_and_see_nothing
    a_dump_that_was_killed_is_completed
    a_stream_passes_from_one_glance_to_another
    what_is_not_needed_ends_no_run
    memory_does_not_grow_with_the_image
    reports_and_metrics_name_the_certificates
}
