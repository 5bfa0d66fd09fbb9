//! Answers of a Glance: records, pages and their links, schemas, data. Requests of clients to our
//! server.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::{self, StreamExt};
use glance_client::GlanceStore;
use glance_core::content_format;
use glance_core::image::{Attributes, Image, ImageId};
use glance_core::record_schema::Schema;
use glance_core::store::ByteRange;
use glance_core::store::memory::MemoryStore;
use glance_core::transport::{RetryPolicy, Retrying};
use glance_core::{Body, ImageStore, Selection, Transport, TransportError};
use glance_server::GlanceApi;
use http::uri::Authority;
use http::{HeaderName, HeaderValue, Request, Response, StatusCode};
use keystone_auth::Session;
use keystone_auth::auth::FixedToken;
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use tokio::runtime::Builder;

use super::{bounded, bounded_async, config, input, memory};

proptest! {
    #![proptest_config(config())]

    #[test]
    fn records(bytes in input::json(vec![record().into_bytes()], WORDS)) {
        bounded(bytes.len(), || {
            if let Ok(image) = serde_json::from_slice::<Image>(&bytes) {
                let again = Image::from_json(image.to_json()).unwrap();
                assert_eq!(again.id, image.id);
            }
        });
    }

    #[test]
    fn pages(pages in vec(input::json(vec![page("/v2/images?marker=1").into_bytes()], WORDS), 1..4)) {
        ask(pages);
    }

    #[test]
    fn pages_in_chunks(page in input::json(vec![page("").into_bytes()], WORDS), chunk in 1..300_usize) {
        let whole = listing(vec![page.clone()], usize::MAX);
        assert_eq!(listing(vec![page], chunk), whole);
    }

    #[test]
    fn links(links in vec(input::text(LINKS, &["@", "//", "\\", "?", "#", ":9292", "g:9292"]), 1..4)) {
        ask(links.iter().map(|link| page(link).into_bytes()).collect());
    }

    #[test]
    fn answers(status in 100..600_u16, text in input::bytes(vec![record().into_bytes(), HTML.into()], WORDS),
               headers in vec((header(), any::<String>()), 0..4)) {
        let headers = headers.iter().map(|(name, value)| (*name, value.as_str())).collect::<Vec<_>>();
        let server = Canned::answering(status, &headers, [text.clone()]);
        bounded_async(text.len() + 4096, async {
            let store = glance(&server);
            let id: ImageId = ID.parse().unwrap();
            let _ = store.get(&id).await;
            let _ = store.members(&id).await;
            if let Ok(mut data) = store.read(&id, ByteRange::ALL).await {
                while data.next().await.is_some() {}
            }
            let image = Image::queued(id, Attributes::default());
            let _ = store.create(&image).await;
            let _ = store.update(&image, &Attributes::default()).await;
        });
    }

    /// Runs on a paused clock, which advances only while a task waits.
    #[test]
    fn pauses_that_are_asked_for(
        after in input::text(&["120", "Sun, 06 Nov 1994 08:49:37 GMT"], &["9999", "+9999", " ", ","]),
        date in input::text(&["Sun, 06 Nov 1994 08:49:37 GMT"], &["0000", "-0001", "Sat"]),
    ) {
        let headers = [("retry-after", after.as_str()), ("date", date.as_str())];
        let server = Canned::answering(503, &headers, []);
        let runtime = Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        bounded(after.len() + date.len(), || runtime.block_on(async {
            let server = Retrying::new(server, RetryPolicy::default().times(2));
            let request = Request::get("https://g:9292/").body(Body::empty()).unwrap();
            assert!(server.send(request).await.is_ok());
        }));
    }

    #[test]
    fn schemas(bytes in input::json(vec![SCHEMA.into()], &["\"pattern\": ", "{1000}", "\\\\w"])) {
        let Ok(document) = serde_json::from_slice::<Map<String, Value>>(&bytes) else { return Ok(()) };
        bounded(bytes.len() + PATTERNS, || {
            let schema = Schema::of(&document);
            for rule in schema.properties.values() {
                let _ = (rule.refuses(&json!("text")), rule.refuses(&json!(["a", 1, null])));
            }
        });
    }

    #[test]
    fn data(head in input::bytes(heads(), &["QFI\u{fb}", "KDMV", "conectix", "vhdxfile", "CD001", "EFI PART"]),
            size in any::<u64>(), disk in prop_oneof!["qcow2", "raw", "vmdk", "vhdx", "vhd", "iso", "gpt", "luks"]) {
        judge(&head, size, &disk);
    }

    /// Headers that consist of numbers.
    #[test]
    fn headers(head in 0..8_usize, numbers in vec(input::number(), 1..40), size in any::<u64>()) {
        let disk = ["qcow2", "vmdk", "vmdk", "vmdk", "gpt", "iso", "vhdx", "luks"][head];
        let mut head = heads().swap_remove(head);
        let numbers: Vec<u8> = numbers.into_iter().flatten().collect();
        let begin = 8.min(head.len());
        let end = head.len().min(begin + numbers.len());
        head[begin..end].copy_from_slice(&numbers[..end - begin]);
        judge(&head, size, disk);
    }

    #[test]
    fn changes_of_records(changes in input::json(vec![PATCH.into()], &["~2", "/~2", "/", "add", "/a/b"])) {
        tell_our_server("PATCH", PATHS[0], &changes);
    }

    #[test]
    fn requests_to_our_server(
        method in prop_oneof![Just("GET"), Just("POST"), Just("PATCH"), Just("PUT"), Just("DELETE")],
        path in input::text(PATHS, &["/", "?", "&", "=", "in:", "%2F", "gte:"]),
        body in input::json(vec![record().into_bytes(), PATCH.into()], WORDS),
    ) {
        tell_our_server(method, &path, &body);
    }
}

fn judge(head: &[u8], size: u64, disk: &str) {
    bounded(head.len(), || {
        let _ = content_format::detect(head);
        let _ = content_format::check(disk, "bare", head, size);
        let _ = content_format::check(disk, "bare", head, head.len() as u64);
        let _ = content_format::is_enough(head);
    });
}

fn tell_our_server(method: &str, path: &str, body: &[u8]) {
    let request = Request::builder().method(method).uri(path);
    let request = request.header("content-type", "application/openstack-images-v2.1-json-patch");
    let body = Bytes::copy_from_slice(body);
    let Ok(request) = request.body(Body::from(body.clone())) else { return };
    bounded_async(body.len(), async {
        let store = MemoryStore::new("kept");
        store.create(&Image::queued(ID.parse().unwrap(), Attributes::default())).await.unwrap();
        let api = GlanceApi::new(Arc::new(store));
        if let Ok(answer) = api.send(request).await {
            let _ = answer.into_body().collect(1 << 20).await;
        }
    });
}

#[test]
fn nesting_and_repetition_are_bounded() {
    memory::alone();
    for bomb in [
        "[".repeat(1_000_000),
        "{\"images\":".repeat(200_000),
        format!("{{\"images\": [{}]}}", vec!["{}"; 100_000].join(",")),
        format!("{{\"images\": [], \"next\": \"?{}\"}}", "a".repeat(1_000_000)),
        format!("{{\"images\": [], \"next\": \"{}\"}}", "/..".repeat(100_000)),
        format!("{{\"images\": [], \"next\": \"https://{}\"}}", "a.".repeat(100_000)),
    ] {
        ask(vec![bomb.into_bytes()]);
    }
    let rule =
        |number: usize| (format!("p{number}"), json!({"type": "string", "pattern": "\\w{20}"}));
    let rules: Map<String, Value> = (0..1000).map(rule).collect();
    let document = json!({ "properties": rules });
    let length = document.to_string().len();
    let document = document.as_object().unwrap();
    bounded(length + PATTERNS, || Schema::of(document));
}

/// A server that gives these answers in order, and then empty ones.
#[derive(Debug)]
struct Canned {
    status: u16,
    headers: Vec<(String, String)>,
    answers: Mutex<VecDeque<Vec<u8>>>,
    /// Bytes of a chunk.
    chunk: usize,
}

impl Canned {
    fn answering(
        status: u16,
        headers: &[(&str, &str)],
        answers: impl Into<VecDeque<Vec<u8>>>,
    ) -> Arc<Self> {
        Arc::new(Self::new(status, headers, answers))
    }

    fn new(status: u16, headers: &[(&str, &str)], answers: impl Into<VecDeque<Vec<u8>>>) -> Self {
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let headers = headers.iter().map(own).collect();
        Self { status, headers, answers: Mutex::new(answers.into()), chunk: usize::MAX }
    }
}

#[async_trait]
impl Transport for Canned {
    async fn send(&self, request: Request<Body>) -> Result<Response<Body>, TransportError> {
        // The token is never sent to another server, whatever the answers contain.
        let there = (request.uri().scheme_str(), request.uri().authority().map(Authority::as_str));
        assert_eq!(there, (Some("https"), Some("g:9292")), "{}", request.uri());
        let text = self.answers.lock().unwrap().pop_front();
        let text = text.unwrap_or_else(|| b"{\"images\": []}".to_vec());
        let text = Bytes::from(text);
        let body = match self.chunk {
            usize::MAX => Body::from(text),
            chunk => {
                let chunks: Vec<_> = text.chunks(chunk).map(Bytes::copy_from_slice).collect();
                Body::from_stream(stream::iter(chunks).map(Ok), None)
            }
        };
        let mut answer = Response::new(body);
        *answer.status_mut() = StatusCode::from_u16(self.status).unwrap_or(StatusCode::OK);
        for (name, value) in &self.headers {
            if let Ok(value) = HeaderValue::from_str(value) {
                let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
                answer.headers_mut().append(name, value);
            }
        }
        Ok(answer)
    }
}

fn glance(server: &Arc<Canned>) -> GlanceStore {
    let transport = Arc::clone(server) as Arc<dyn Transport>;
    let token = FixedToken { token: "hush".into(), endpoint: None };
    let session = Arc::new(Session::new(Arc::clone(&transport), Arc::new(token)));
    GlanceStore::new("g", transport, "https://g:9292/image", session)
}

/// Lists a Glance that answers with these pages.
fn ask(pages: Vec<Vec<u8>>) {
    listing(pages, usize::MAX);
}

/// Lists a Glance whose answers come in chunks of this length, and returns the result. Only visible
/// images are requested, so that the answers come in order.
fn listing(pages: Vec<Vec<u8>>, chunk: usize) -> Vec<String> {
    let length = pages.iter().map(Vec::len).sum();
    bounded_async(length, async {
        let canned = Canned { chunk, ..Canned::new(200, &[], pages) };
        let store = glance(&Arc::new(canned));
        let visible = Selection::new(["os-hidden=false".parse().unwrap()], [], []);
        let mut said = Vec::new();
        match store.list(&visible).await {
            Err(error) => said.push(error.to_string()),
            Ok(mut images) => {
                while let Some(item) = images.next().await {
                    said.push(item.map_or_else(|error| error.to_string(), |it| format!("{it:?}")));
                }
            }
        }
        said
    })
}

fn header() -> impl Strategy<Value = &'static str> {
    prop_oneof![
        Just("location"),
        Just("retry-after"),
        Just("content-type"),
        Just("content-range"),
        Just("x-openstack-request-id"),
        Just("www-authenticate"),
    ]
}

fn record() -> String {
    json!({
        "id": ID, "name": "é", "status": "active", "visibility": "shared", "size": 3,
        "virtual_size": null, "checksum": "900150983cd24fb0d6963f7d28e17f72", "os_hash_algo": "sha512",
        "os_hash_value": "00ff", "created_at": "2026-01-31T12:00:00Z", "updated_at": null,
        "min_disk": 0, "min_ram": 0, "protected": false, "os_hidden": true, "tags": ["a", "b"],
        "disk_format": "raw", "container_format": "bare", "owner": null, "stores": "a,b",
        "locations": [], "direct_url": "x", "custom": 1, "more": true, "nothing": null,
    })
    .to_string()
}

fn page(next: &str) -> String {
    let record: Value = serde_json::from_str(&record()).unwrap();
    json!({ "images": [record], "next": next, "first": "/v2/images" }).to_string()
}

fn heads() -> Vec<Vec<u8>> {
    let mut qcow2 = vec![0; 512];
    qcow2[..8].copy_from_slice(b"QFI\xfb\0\0\0\x03");
    let mut vmdk = vec![0; 2048];
    vmdk[..8].copy_from_slice(b"KDMV\x01\0\0\0");
    let text = b"# Disk DescriptorFile\nversion=1\ncreateType=\"monolithicSparse\"\nRW 2048 SPARSE \"x.vmdk\"\n";
    let mut with_text = vmdk.clone();
    with_text[512..512 + text.len()].copy_from_slice(text);
    with_text[28] = 1;
    with_text[36] = 2;
    let mut partitioned = vec![0; 1024];
    partitioned[446..464]
        .copy_from_slice(b"\x80\0\x02\0\xee\xff\xff\xff\x01\0\0\0\xff\xff\xff\xff\0\0");
    partitioned[510..520].copy_from_slice(b"\x55\xaaEFI PART");
    let mut iso = vec![0; 36 << 10];
    iso[0x8000..0x8006].copy_from_slice(b"\x01CD001");
    let vhdx = [&b"vhdxfile"[..], &[0; 3000]].concat();
    let luks = [&b"LUKS\xba\xbe\0\x01"[..], &[0; 600]].concat();
    vec![qcow2, vmdk, with_text, text.to_vec(), partitioned, iso, vhdx, luks]
}

/// Memory for patterns: they may take some MiB, however short they are.
const PATTERNS: usize = (16 << 20) / super::MOST_FOR_A_BYTE;

const ID: &str = "6d55dd55-053a-4765-b7bc-b30df0ea3861";

const HTML: &str = "<html><head><title>413 Request Entity Too Large</title></head><body>\n<h1>x</h1>\
    {\"message\": \"The server&#39;s <br /><br />\", \"code\": \"413\"}";

const SCHEMA: &str = "{\"name\": \"image\", \"required\": [\"a\"], \"additionalProperties\": \
    {\"type\": \"string\"}, \"properties\": {\"id\": {\"type\": \"string\", \"pattern\": \
    \"^([0-9a-fA-F]){8}-([0-9a-fA-F]){4}$\", \"maxLength\": 36}, \"tags\": {\"type\": \"array\", \
    \"items\": {\"type\": [\"null\", \"string\"], \"enum\": [\"x\", null, 1]}}}}";

const PATCH: &str = "[{\"op\": \"replace\", \"path\": \"/name\", \"value\": \"x\"}, \
    {\"op\": \"add\", \"path\": \"/a~1b~0\", \"value\": \"y\"}, {\"op\": \"remove\", \"path\": \"/tags\"}]";

const LINKS: &[&str] = &[
    "/v2/images?marker=6d55dd55-053a-4765-b7bc-b30df0ea3861&limit=1000",
    "https://g:9292/v2/images?marker=1",
    "?marker=1",
    "//g:9292/v2/images?a",
    "https://g:9292@evil/?a",
    "https://evil/v2/images?a",
    "https://[::1]:9292/?a",
    "https://xn--g-.example/?a",
];

const PATHS: &[&str] = &[
    "/v2/images/6d55dd55-053a-4765-b7bc-b30df0ea3861",
    "/v2/images/6d55dd55-053a-4765-b7bc-b30df0ea3861/file",
    "/v2/images/6d55dd55-053a-4765-b7bc-b30df0ea3861/members/p",
    "/v2/images?limit=1&marker=6d55dd55-053a-4765-b7bc-b30df0ea3861&sort=id:asc&name=in:a,%22b%22",
    "/v2/images?created_at=gte:2026-01-31T00:00:00Z&size_min=1&tag=a&os_hidden=true&status=eq:active",
    "/v2/images",
];

const WORDS: &[&str] = &[
    "\"id\":",
    "\"next\":",
    "\"images\":[",
    "\"status\":\"queued\"",
    "\"visibility\":1",
    "\"tags\":[1]",
    "\"size\":-1",
    "\"size\":1.5",
    "\"op\":\"add\"",
    "\"path\":\"/\"",
    "\"path\":\"~2\"",
    "/~2",
    "add",
    "test",
    "\"value\":",
];
