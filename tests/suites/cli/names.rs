//! Untrusted text: every field of a server, a dump, a certificate and clouds.yaml contains terminal
//! control sequences. No command writes them to its output or to a log.

use std::fs;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use bytes::Bytes;
use glance_core::{Body, Transport, TransportError};
use http::{HeaderValue, Method, Request, Response};
use serde_json::{Value, json};
use tests::pki::{Authority, Issued, Leaf};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

use crate::support::common::{Run, piped, replicator_with};
use crate::support::stack::{STACKS, acceptor};

/// Clears the screen, changes title and colours, reverses the text direction, and begins new lines.
const ODD: &str = "\u{1b}]0;x\u{7}\u{1b}[2J\u{9b}31m\r\nFORGED\u{202e}\u{2066}\u{200f}\u{61c}\u{2028}\
    FORGED\u{85}FORGED\u{7f}\u{8}\t\u{feff}\u{200b}\u{e0041}x";

fn is_odd(c: char) -> bool {
    let invisible = "\u{61c}\u{feff}\u{e0041}".contains(c);
    c.is_control()
        || invisible
        || ('\u{200b}'..='\u{200f}').contains(&c)
        || ('\u{2028}'..='\u{202e}').contains(&c)
        || ('\u{2060}'..='\u{206f}').contains(&c)
}

/// Fails the test unless `text` is safe to print on a terminal.
#[track_caller]
fn shows(line: &dyn std::fmt::Debug, text: &str) {
    let odd = text.chars().find(|c| *c != '\n' && is_odd(*c));
    assert!(odd.is_none(), "{line:?} says {odd:?}: {text:?}");
    let forged = text.lines().find(|line| line.trim_start().starts_with("FORGED"));
    assert!(forged.is_none(), "{line:?} says {text:?}");
}

/// Runs the tool with output as text, as JSON, and with a log. Returns whether the output contained
/// escaped control characters.
#[track_caller]
fn said(line: &[&str], variables: &[(&str, &str)]) -> bool {
    let log = tempfile::NamedTempFile::new().unwrap();
    let to_log = ["--debug", "--logfile", log.path().to_str().unwrap()];
    let mut escaped = said_in_text(line, variables);
    for more in [&["--output", "json"][..], &to_log] {
        escaped |= said_in_text(&[line, more].concat(), variables);
    }
    shows(&line, &fs::read_to_string(log.path()).unwrap());
    escaped
}

/// Like [`said`], for the text output only.
#[track_caller]
fn said_in_text(line: &[&str], variables: &[(&str, &str)]) -> bool {
    let retries = match line[0] {
        // These commands send no requests.
        "clouds" | "report" | "resume" => &[][..],
        _ => &["--low-level-retries", "0"],
    };
    let line = [line, &["--verbose"], retries].concat();
    let run = replicator_with(&line, variables);
    let escapes = ["\\u{1b}", "\\x1b", "\\u001b", "\\u{202e}", "\\u202e"];
    [&run.stdout, &run.stderr].into_iter().fold(false, |escaped, text| {
        shows(&line, text);
        escaped | escapes.iter().any(|escape| text.contains(escape))
    })
}

/// A Keystone and a Glance that return odd text in one of several places.
#[derive(Debug)]
struct Hostile {
    way: &'static str,
    url: OnceLock<String>,
}

impl Hostile {
    fn record(&self) -> Value {
        let mut record = json!({
            "id": ID, "name": ODD, "status": "active", "visibility": "shared", "size": 4,
            "virtual_size": null, "checksum": MD5, "os_hash_algo": "sha512", "os_hash_value": SHA512,
            "created_at": "2026-01-31T12:00:00Z", "updated_at": "2026-01-31T12:00:00Z",
            "min_disk": 0, "min_ram": 0, "protected": false, "os_hidden": false, "tags": [ODD],
            "disk_format": "raw", "container_format": "bare", "owner": ODD, "stores": ODD,
            "custom": ODD, ODD: ODD, "glance_replicator.source": ODD, "hw_disk_bus": ODD,
        });
        if let Some(field) = self.way.strip_prefix("record ") {
            record[field] = ODD.into();
        }
        record
    }

    fn answer(&self, method: &Method, path: &str) -> (u16, Value) {
        let glance = path.strip_prefix("/image").unwrap_or(path);
        let (is_get, refuses) = (method == Method::GET, self.way.strip_prefix("refuses "));
        match (glance, refuses) {
            ("/v3/auth/tokens", _) => self.token(),
            (path, _) if path.starts_with("/v3/") => (200, keystone(path)),
            ("/" | "", _) => (
                300,
                json!({"versions": [
                    {"id": ODD, "links": [{"href": ODD}]},
                    {"id": if self.way == "versions" { ODD } else { "v2.9" }, "links": [{"href": ODD}]},
                ]}),
            ),
            (path, Some(status)) if path.contains("/images") && (!is_get || status != "400w") => (
                status.trim_end_matches('w').parse().unwrap(),
                json!({"message": ODD, "code": ODD}),
            ),
            ("/v2/images", None | Some(_)) if is_get => {
                let next = (self.way == "next").then_some(ODD);
                let images = if self.way.starts_with("refuses") {
                    json!([])
                } else {
                    json!([self.record()])
                };
                (200, json!({"images": images, "next": next}))
            }
            ("/v2/schemas/image", _) => {
                let required = if self.way == "schema" { json!([ODD]) } else { json!([]) };
                let odd = json!({"type": ODD, "enum": [ODD], "pattern": ODD, "maxLength": 1});
                let rules =
                    json!({ODD: odd, "custom": odd, "name": {"type": "string", "maxLength": 1}});
                let rules = if self.way == "schema" { rules } else { json!({}) };
                (200, json!({"name": ODD, "properties": rules, "required": required}))
            }
            ("/v2/info/stores", _) => (200, json!({"stores": [{"id": ODD}, {"id": "s"}]})),
            ("/v2/info/import", _) => {
                (200, json!({"import-methods": {"value": [ODD, "web-download"]}}))
            }
            ("/v2/metadefs/namespaces", _) if is_get => {
                (200, json!({"namespaces": [{"namespace": ODD}, {"namespace": "n"}]}))
            }
            (path, _) if path.starts_with("/v2/metadefs/namespaces/") && is_get => (
                200,
                json!({
                    "namespace": "n", "display_name": self.way, "description": ODD, "owner": ODD,
                    "visibility": "public", "protected": false,
                    "properties": {ODD: {"title": self.way, "type": "string"}},
                    "objects": [{"name": ODD, "properties": {}, "description": self.way}],
                    "tags": [{"name": format!("{ODD}{}", self.way)}],
                    "resource_type_associations": [{"name": ODD, "prefix": self.way}],
                }),
            ),
            (path, _) if path.starts_with("/v2/metadefs") => (409, json!({"message": ODD})),
            (path, _) if path.ends_with("/members") => {
                let status = if self.way == "members" { ODD } else { "accepted" };
                let member = json!({"member_id": ODD, "status": status, "image_id": ID});
                (200, json!({"members": [member]}))
            }
            _ => (if is_get { 200 } else { 201 }, self.record()),
        }
    }

    fn token(&self) -> (u16, Value) {
        let url = format!("{}/image", self.url.get().unwrap());
        let (url, odd_region) = match self.way {
            "catalog url" => (ODD.to_owned(), json!("R")),
            "catalog regions" => (url, Value::Null),
            _ => (url, json!(ODD)),
        };
        let endpoint = |interface: &str, region: &Value| json!({"interface": interface, "region": region, "region_id": region, "url": url});
        let endpoints = json!([
            endpoint("public", &odd_region),
            endpoint("public", &json!(ODD)),
            endpoint(ODD, &json!(ODD))
        ]);
        match self.way {
            "keystone refuses" => (401, json!({"error": {"message": ODD, "title": ODD}})),
            "keystone breaks" => (500, json!({"error": {"message": ODD}})),
            "receipt" => (
                401,
                json!({
                    "receipt": {"methods": [ODD, "password"]}, "required_auth_methods": [[ODD, "totp"]],
                }),
            ),
            _ => (
                201,
                json!({"token": {
                    "methods": [ODD], "issued_at": ODD, "expires_at": ODD, "user": {"name": ODD},
                    "project": {"id": ODD, "name": ODD},
                    "catalog": [{"type": "image", "name": ODD, "endpoints": endpoints}],
                }}),
            ),
        }
    }
}

fn keystone(path: &str) -> Value {
    let project = json!({"id": "p", "name": ODD, "domain_id": "d"});
    match path {
        "/v3/domains/d" => json!({"domain": {"id": "d", "name": ODD}}),
        "/v3/auth/projects" | "/v3/projects" => json!({"projects": [project]}),
        "/v3/auth/domains" => json!({"domains": [{"id": "d", "name": ODD}]}),
        _ => json!({"project": project}),
    }
}

#[async_trait]
impl Transport for Hostile {
    async fn send(&self, request: Request<Body>) -> Result<Response<Body>, TransportError> {
        let (head, body) = request.into_parts();
        let _ = body.collect(1 << 20).await;
        let path = head.uri.path().to_owned();
        let (status, document) = self.answer(&head.method, &path);
        let bytes = match (self.way, path.ends_with("/file")) {
            ("not json", _) if path.contains("/v2/") => Bytes::from(ODD),
            (way, _) if way.starts_with("refuses") && path.contains("/images") => Bytes::from(
                format!("<html><head><title>{ODD}</title></head><body><h1>x</h1>{ODD}</body>"),
            ),
            (_, true) if head.method == Method::GET => Bytes::from_static(b"data"),
            _ => Bytes::from(document.to_string()),
        };
        let mut answer = Response::builder().status(status).body(Body::from(bytes)).unwrap();
        // The control characters that a header can contain.
        let odd = HeaderValue::from_bytes("req-\u{9b}2J\u{202e}\u{2028}".as_bytes()).unwrap();
        let headers = answer.headers_mut();
        for name in ["x-openstack-request-id", "openstack-auth-receipt", "server", "retry-after"] {
            headers.insert(name, odd.clone());
        }
        headers.insert("x-subject-token", HeaderValue::from_static("t"));
        if self.way == "redirect" && path.contains("/v2/") {
            *answer.status_mut() = http::StatusCode::FOUND;
            let elsewhere =
                HeaderValue::from_bytes("https://e\u{202e}vil\u{9b}/".as_bytes()).unwrap();
            answer.headers_mut().insert("location", elsewhere);
        }
        Ok(answer)
    }
}

/// The servers' runtime, and a directory with the files that clients need to reach them.
struct Place {
    runtime: Runtime,
    directory: tempfile::TempDir,
    server: Issued,
}

impl Place {
    fn new() -> Self {
        let root = Authority::root(ODD).unwrap();
        let server = root
            .issue(&Leaf::new(&format!("server {ODD}"), &["127.0.0.1", "odd.test\u{1b}[2J"]))
            .unwrap();
        let place = Self {
            runtime: Runtime::new().unwrap(),
            directory: tempfile::tempdir().unwrap(),
            server,
        };
        fs::write(place.path("ca.pem"), root.pem()).unwrap();
        let other = Authority::root(&format!("another {ODD}")).unwrap();
        fs::write(place.path("other.pem"), other.pem()).unwrap();
        place
    }

    fn path(&self, name: &str) -> String {
        self.directory.path().join(name).to_str().unwrap().to_owned()
    }

    /// Starts a server that returns odd text in this place. Returns its URL.
    fn serve(&self, way: &'static str) -> String {
        let hostile = Hostile { way, url: OnceLock::new() };
        let Issued { chain_pem, key_pem, .. } = &self.server;
        let acceptor = acceptor(STACKS[0], chain_pem.as_bytes(), key_pem.as_bytes());
        let listener = self.runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let url = format!("https://{}", listener.local_addr().unwrap());
        hostile.url.set(url.clone()).unwrap();
        let served = glance_server::serve(
            listener,
            Some(acceptor),
            Arc::new(hostile),
            std::future::pending(),
        );
        self.runtime.spawn(served);
        url
    }

    /// Writes a clouds file in which `a` and `b` are served with odd text in these places.
    fn clouds(&self, a: &'static str, b: &'static str) -> String {
        let ca = self.path("ca.pem");
        let cloud = |url: String| {
            json!({"cacert": ca, "auth": {
                "auth_url": format!("{url}/v3"), "username": "u", "password": "p", "project_name": "p",
                "user_domain_name": "D", "project_domain_name": "D",
            }})
        };
        let clouds = json!({"clouds": {"a": cloud(self.serve(a)), "b": cloud(self.serve(b))}});
        let path = self.path("clouds.json");
        fs::write(&path, clouds.to_string()).unwrap();
        path
    }
}

#[test]
fn names_of_images_are_escaped_in_all_commands() {
    let place = Place::new();
    let clouds = place.clouds("records", "other records");
    let variables = [("OS_CLIENT_CONFIG_FILE", clouds.as_str())];
    let (dump, report) = (place.path("dump"), place.path("report"));
    for line in [
        &["compare", "a", "b"][..],
        &["plan", "a", "b"],
        &["sync", "a", "b", "--retries", "0"],
        &["livecopy", "a", "b", "--retries", "0"],
        &["dump", "a", &dump, "--metadefs", "all", "--retries", "0"],
        &["livecopy", "a", &place.path("copy"), "--report", &report],
        &["verify", "a"],
        &["verify", "a", &dump],
        &["metadefs", "a", "b", "--namespaces", "all"],
        &["metadefs", &dump, "b", "--namespaces", "all", "-n"],
        &["repair", "a", "b"],
        &["load", &dump, "b", "--retries", "0"],
        &["compare", &dump, "b"],
        &["resume", "-n"],
        &["livecopy", "a", "b", "--store", "other"],
        &["livecopy", "a", "b", "--owner", "by-name", "--retries", "0"],
        &["compare", "a", "b", "--match", "name"],
    ] {
        let escaped = said(line, &variables);
        // The output of these commands mainly consists of odd text.
        let is_about = ["compare", "plan", "dump", "metadefs"].contains(&line[0]);
        assert!(escaped || !is_about, "{line:?}");
    }
    shows(&"report", &fs::read_to_string(&report).unwrap());
    said(&["size", "a"], &variables);
    said(&["doctor", "a", "b"], &variables);
    let words = |line: &[&str]| line.iter().map(ToString::to_string).collect::<Vec<_>>();
    let [writer, reader] = piped(
        &words(&["dump", &format!("dir:{dump}"), "-"]),
        None,
        &words(&["load", "-", &place.path("from-stream")]),
    );
    for text in [&writer.stderr, &reader.stdout, &reader.stderr] {
        shows(&"a stream", text);
    }
}

#[test]
fn names_of_servers_are_escaped_in_all_errors() {
    let place = Place::new();
    for (way, lines) in WAYS {
        let clouds = place.clouds(way, way);
        let variables = [("OS_CLIENT_CONFIG_FILE", clouds.as_str())];
        let copy = place.path(&way.replace(' ', "-"));
        for line in *lines {
            let line: Vec<&str> =
                line.iter().map(|word| if *word == "DIR" { &*copy } else { word }).collect();
            said_in_text(&line, &variables);
        }
    }
}

type Lines = &'static [&'static [&'static str]];

const READ: Lines = &[&["size", "a"], &["livecopy", "a", "DIR", "--retries", "0"]];
const WRITTEN: Lines = &[&["size", "b"], &["load", "DIR", "b"], &["doctor", "b"]];
const SIGNED_IN: Lines = &[&["size", "a"], &["doctor", "a", "--read-only"], &["size", "a@R"]];

const WAYS: &[(&str, Lines)] = &[
    ("record id", READ),
    ("record status", READ),
    ("record visibility", READ),
    ("record size", READ),
    ("record checksum", READ),
    ("record os_hash_algo", READ),
    ("record os_hash_value", READ),
    ("record created_at", READ),
    ("record disk_format", READ),
    ("record container_format", READ),
    ("record tags", READ),
    ("record stores", READ),
    ("members", READ),
    ("next", READ),
    ("not json", READ),
    ("redirect", READ),
    ("refuses 400", READ),
    ("refuses 403", READ),
    ("refuses 404", READ),
    ("refuses 500", READ),
    ("refuses 400w", WRITTEN),
    ("schema", &[&["livecopy", "a", "b", "--retries", "0"], &["plan", "a", "b"]]),
    ("versions", SIGNED_IN),
    ("catalog url", SIGNED_IN),
    ("catalog regions", SIGNED_IN),
    ("keystone refuses", SIGNED_IN),
    ("keystone breaks", SIGNED_IN),
    ("receipt", SIGNED_IN),
];

#[test]
fn names_of_certificates_are_escaped_by_both_stacks() {
    let place = Place::new();
    let url = place.serve("records");
    let (ca, other) = (place.path("ca.pem"), place.path("other.pem"));
    for stack in STACKS {
        for ca in [&ca, &other] {
            let trust = ["--tls", stack, "--cacert", ca];
            assert!(said(&[&["doctor", &url][..], &trust].concat(), &[]), "{stack} {ca}");
            let escaped = said(&[&["size", &url][..], &trust].concat(), &[]);
            assert!(escaped || *ca != other, "{stack}");
        }
        // A server name that is not in the certificate.
        let named = url.replace("127.0.0.1", "localhost");
        assert!(said(&["size", &named, "--tls", stack, "--cacert", &ca], &[]), "{stack}");
    }
}

#[test]
fn names_of_configurations_are_escaped() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("clouds.json");
    let auth = json!({"auth_url": "https://127.0.0.1:1", "user_id": ODD, "password": "p"});
    let good = json!({
        "auth": auth, "region_name": ODD, "regions": [ODD, {"name": format!("{ODD}2")}],
        "cacert": format!("/{ODD}"),
    });
    let with = |key: &str, value: Value| {
        let mut cloud = json!({"auth": auth});
        cloud[key] = value;
        cloud
    };
    let clouds = json!({
        ODD: good,
        "type": with("auth_type", ODD.into()), "interface": with("interface", ODD.into()),
        "override": with("image_endpoint_override", ODD.into()), "key": with("key", ODD.into()),
        "profile": with("profile", ODD.into()), "verify": with("verify", ODD.into()),
        "format": with("cacert", format!("{{{ODD}}}").into()), "cert": with("cert", json!(format!("/{ODD}"))),
        "url": {"auth": {"auth_url": format!("https://{ODD}"), "user_id": "u", "password": "p"}},
        "unknown": {"auth": {"auth_url": "https://127.0.0.1:1", ODD: ODD}},
        "asks": {"auth": {"auth_url": "https://127.0.0.1:1", "user_id": ODD}},
    });
    fs::write(&file, json!({ "clouds": clouds }).to_string()).unwrap();
    let variables = [("OS_CLIENT_CONFIG_FILE", file.to_str().unwrap())];
    assert!(said(&["clouds"], &variables));
    for name in clouds.as_object().unwrap().keys() {
        said(&["size", &format!("cloud:{name}")], &variables);
        said(&["doctor", name, &format!("{name}@other")], &variables);
        said(&["size", &format!("{name}@{ODD}")], &variables);
    }
    assert!(said(&["size", &format!("no{ODD}")], &variables));
    let typed = ODD.replace('\n', "");
    assert!(said(&["size", "a", &format!("--no{typed}")], &variables));
    assert!(said(&["size", "a", "--output", &typed], &variables));
    for broken in [
        json!({ODD: 1}).to_string(),
        format!("{{\"clouds\": {{{odd}: 1, {odd}: 2}}}}", odd = json!(ODD)),
        json!({"clouds": {ODD: ODD}}).to_string(),
        json!({"clouds": {"a": {"x-y": 1, "x_y": 1}, ODD: {}}}).to_string(),
    ] {
        fs::write(&file, broken).unwrap();
        said(&["clouds"], &variables);
    }
    let yaml = directory.path().join("clouds.yaml");
    for broken in [
        "clouds: {a: !<\u{202e}> x}",
        "clouds: {a: !\u{202e}x y}",
        "\"\\e[2J\": [",
        "a\u{9b}: b: c",
    ] {
        fs::write(&yaml, broken).unwrap();
        said(&["clouds"], &[("OS_CLIENT_CONFIG_FILE", yaml.to_str().unwrap())]);
    }
}

#[test]
fn names_of_dumps_are_escaped() {
    let place = Place::new();
    let clouds = place.clouds("records", "other records");
    let dump = place.path("dump");
    let line = ["dump", "a", &dump, "--metadefs", "all", "--allow-loss", "all"];
    // A namespace with this name cannot be read.
    replicator_with(&line, &[("OS_CLIENT_CONFIG_FILE", &clouds)]).exits(3);
    for (name, text) in [
        // File names in place of a record, data and a namespace.
        (format!("{ODD}.json"), "{}".to_owned()),
        (format!("{ODD}.img"), "x".to_owned()),
        (format!("metadefs/{ODD}.json"), json!({"namespace": ODD, ODD: 1}).to_string()),
        (
            "SHA512SUMS".to_owned(),
            format!("{}  {}.img\nx\n", "0".repeat(128), ODD.replace('\n', "")),
        ),
        ("projects.json".to_owned(), json!([{"id": ODD, "name": ODD, "domain": ODD}]).to_string()),
        ("projects.json".to_owned(), ODD.to_owned()),
        (
            "manifest.json".to_owned(),
            json!({"version": ODD, "tool": ODD, "complete": ODD}).to_string(),
        ),
        ("manifest.json".to_owned(), ODD.to_owned()),
        (format!("{ID}.json"), json!({"image": {"id": ODD}}).to_string()),
        (format!("{ID}.json"), json!({"image": {"id": ID, "status": ODD, ODD: [1]}}).to_string()),
        (
            format!("{ID}.json"),
            json!({"image": {"id": ID, "name": ODD, ODD: {ODD: 1}}}).to_string(),
        ),
        (format!("{ID}.json"), json!({"data": {"encoding": ODD}, "members": [ODD]}).to_string()),
        (ID.to_owned(), json!({"id": ID, "name": ODD, "is_public": ODD, "size": ODD}).to_string()),
    ] {
        let path = Path::new(&dump).join(&name);
        let kept = fs::read(&path).ok();
        fs::write(&path, text).unwrap();
        for line in [
            &["verify", &dump][..],
            &["size", &dump],
            &["doctor", &dump],
            &["livecopy", &dump, &place.path("again"), "--metadefs", "all", "--retries", "0"],
        ] {
            said(line, &[]);
        }
        match kept {
            Some(kept) => fs::write(&path, kept).unwrap(),
            None => fs::remove_file(&path).unwrap(),
        }
    }
}

#[test]
fn names_of_streams_and_reports_are_escaped() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    for (name, kind) in [
        (ODD, b'0'),
        (&format!("{ODD}.json")[..], b'0'),
        (&format!("{ID}.json"), 0x1b),
        (&format!("{ID}.json"), 0x9b),
        (&format!("{ID}.img"), b'2'),
        ("manifest.json", b'0'),
    ] {
        let archive = path("stream.tar");
        fs::write(&archive, entry(name, kind, ODD.as_bytes())).unwrap();
        let shell = format!("exec \"$1\" load - \"$2\" --debug < {archive}");
        let mut command = crate::support::common::cleared(std::process::Command::new("sh"));
        command.args(["-c", &shell, "sh", env!("CARGO_BIN_EXE_glance-replicator-under-test")]);
        let run = Run::of(command.arg(path("new")).output().unwrap());
        assert_ne!(run.code, Some(0), "{run:?}");
        for text in [&run.stdout, &run.stderr] {
            shows(&name, text);
        }
    }
    let report = path("report.json");
    let image = json!({"id": ODD, "name": ODD, "result": "failed", "detail": [ODD]});
    let run = json!({
        "command": ODD, "source": ODD, "target": ODD, "shard": "1/2", "exit_code": 3, "errors": [[ODD]],
    });
    let text = json!({"images": [image], "summary": {ODD: 1}, "targets": {}, "run": run});
    fs::write(&report, text.to_string()).unwrap();
    assert!(said(&["report", "merge", &report], &[]));
}

/// A tar archive with one entry.
fn entry(name: &str, kind: u8, data: &[u8]) -> Vec<u8> {
    let mut block = vec![0_u8; 512];
    let name = &name.as_bytes()[..name.len().min(100)];
    block[..name.len()].copy_from_slice(name);
    block[100..108].copy_from_slice(b"0000600\0");
    block[124..136].copy_from_slice(format!("{:011o}\0", data.len()).as_bytes());
    block[136..148].copy_from_slice(b"00000000000\0");
    block[148..156].fill(b' ');
    block[156] = kind;
    block[257..265].copy_from_slice(b"ustar\x0000");
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    block.extend(data);
    block.resize(block.len().next_multiple_of(512) + 1024, 0);
    block
}

const ID: &str = "6d55dd55-053a-4765-b7bc-b30df0ea3861";
const MD5: &str = "8d777f385d3dfec8815d20f7496026dc";
const SHA512: &str = "77c7ce9a5d86bb386d443bb96390faa120633158699c8844c30b13ab0bf92760b7e4416aea397db91\
    b4ac0e5dd56b8ef7e4b066162ab1fdc088319ce6defc876";
