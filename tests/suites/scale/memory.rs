//! The memory of a run and of `report merge` does not depend on the number of images.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use glance_core::{Body, Transport, TransportError};
use http::{Request, Response, StatusCode, header};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::support::common::{peak_memory, start};

/// The images of the large reports. An entry takes about 1 KiB of memory as a JSON value.
const MANY: usize = 30_000;

/// Permitted growth of the peak memory, in KiB.
const GROWTH: u64 = 16 << 10;

/// A Glance that can only list its images, ordered by id. Every page is generated on request.
#[derive(Debug)]
struct Listing {
    count: usize,
}

#[async_trait]
impl Transport for Listing {
    async fn send(&self, request: Request<Body>) -> Result<Response<Body>, TransportError> {
        let page = match (request.uri().path(), request.uri().query()) {
            ("/v2/images", query) => Some(self.page(query.unwrap_or_default())),
            _ => None,
        };
        let text = page.as_ref().map(Value::to_string).unwrap_or_default();
        let mut answer = Response::new(Body::from(Bytes::from(text)));
        let json = header::HeaderValue::from_static("application/json");
        answer.headers_mut().insert(header::CONTENT_TYPE, json);
        if page.is_none() {
            *answer.status_mut() = StatusCode::NOT_FOUND;
        }
        Ok(answer)
    }
}

impl Listing {
    async fn open(count: usize) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(glance_server::serve(
            listener,
            None,
            Arc::new(Self { count }),
            std::future::pending(),
        ));
        url
    }

    /// The page for a query. No image is hidden, and none has a provenance property.
    fn page(&self, query: &str) -> Value {
        if query.contains("os_hidden=true") || query.contains("glance_replicator") {
            return json!({ "images": [] });
        }
        let marker = query.split('&').find_map(|pair| pair.strip_prefix("marker="));
        let before: usize = marker.and_then(|id| id.rsplit('-').next()?.parse().ok()).unwrap_or(0);
        let last = self.count.min(before + 1000);
        let images: Vec<Value> = (before + 1..=last).map(record).collect();
        if last == self.count {
            return json!({ "images": images });
        }
        let rest = query.split('&').filter(|pair| !pair.starts_with("marker="));
        let rest = rest.collect::<Vec<_>>().join("&");
        json!({ "images": images, "next": format!("/v2/images?marker={}&{rest}", id(last)) })
    }
}

fn id(number: usize) -> String {
    format!("00000000-0000-4000-8000-{number:012}")
}

fn record(number: usize) -> Value {
    json!({
        "id": id(number), "name": format!("image {number}"), "status": "active",
        "visibility": "public", "protected": false, "os_hidden": false, "tags": [],
        "disk_format": "raw", "container_format": "bare", "min_disk": 0, "min_ram": 0,
        "owner": "0123456789abcdef0123456789abcdef", "size": 1 << 20, "virtual_size": null,
        "checksum": format!("{number:032x}"), "os_hash_algo": "sha512",
        "os_hash_value": format!("{number:0128x}"), "created_at": "2026-01-01T00:00:00Z",
        "updated_at": "2026-01-01T00:00:00Z",
    })
}

/// Runs the tool, and returns its peak memory in KiB.
fn peak(line: &[&str]) -> u64 {
    let line: Vec<String> = line.iter().map(ToString::to_string).collect();
    peak_memory(start(&line))
}

/// Fails if the second peak is much higher than the first.
fn judge(what: &str, few: u64, many: u64) {
    assert!(few > 1 << 10, "{what}: the memory was not measured: {few} KiB");
    assert!(many <= few + GROWTH, "{what}: {many} KiB, but {few} KiB with few images");
}

/// The number of images in a report.
fn images(path: &Path) -> usize {
    let text = fs::read_to_string(path).unwrap();
    let report: Value = serde_json::from_str(&text).unwrap();
    report["images"].as_array().unwrap().len()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_memory_of_a_run_with_a_json_report_does_not_grow_with_the_images() {
    let work = tempfile::tempdir().unwrap();
    let mut peaks = Vec::new();
    for count in [1000, MANY] {
        let (a, b) = (Listing::open(count).await, Listing::open(count).await);
        let path = work.path().join(format!("{count}.json"));
        let report = path.to_str().unwrap().to_owned();
        let measured = tokio::task::spawn_blocking(move || {
            let options = ["--report", &report, "-t", "none"];
            let line = [&["livecopy", &a, &b, "--owner", "caller"], &options[..]].concat();
            peak(&line)
        });
        peaks.push(measured.await.unwrap());
        assert_eq!(images(&path), count);
    }
    judge("livecopy", peaks[0], peaks[1]);
}

#[test]
fn the_memory_of_a_merge_does_not_grow_with_the_images() {
    let work = tempfile::tempdir().unwrap();
    let mut peaks = Vec::new();
    for count in [1000, MANY] {
        let parts = [1, 2].map(|number| {
            let path = work.path().join(format!("{count}-{number}"));
            write_report(&path, number, count);
            path.to_str().unwrap().to_owned()
        });
        let path = work.path().join(format!("{count}-merged.json"));
        let report = path.to_str().unwrap();
        let options = ["--report", report];
        let line = [&["report", "merge", &parts[0], &parts[1]], &options[..]].concat();
        peaks.push(peak(&line));
        assert_eq!(images(&path), 2 * count);
    }
    judge("report merge", peaks[0], peaks[1]);
}

/// Writes the report of a shard with this number of images.
fn write_report(path: &Path, number: usize, count: usize) {
    let mut file = BufWriter::new(File::create(path).unwrap());
    write!(file, "{{ \"images\": [").unwrap();
    for image in 0..count {
        let entry = json!({
            "id": id(image), "name": format!("image {image}"), "size": 1 << 20,
            "result": "in_place", "reason": null, "proof": null, "way": null, "notes": [],
            "losses": [], "errors": [],
        });
        write!(file, "{}\n{entry}", if image == 0 { "" } else { "," }).unwrap();
    }
    let summary = json!({ "in_place": count });
    let (source, target) = (json!({ "name": "a", "address": "a" }), json!({ "name": "b" }));
    write!(
        file,
        "], \"schema_version\": 1, \"command\": \"livecopy\", \"source\": {source}, \
         \"targets\": [{target}], \"selection\": [], \"shard\": \"{number}/2\", \"exit_code\": 0, \
         \"errors\": [], \"summary\": {summary} }}"
    )
    .unwrap();
    file.flush().unwrap();
}
