//! The API over a store in memory, without sockets.

#![allow(clippy::unwrap_used)] // in what the tests share, as in the tests

use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream;
use glance_core::ImageId;
use glance_core::body::Body;
use glance_core::error::BodyError;
use glance_core::image::{Attributes, Image, Owner};
use glance_core::metadefs::Namespace;
use glance_core::store::memory::MemoryStore;
use glance_core::transport::{Transport, TransportError, TransportErrorKind};
use glance_server::{Access, GlanceApi};
use http::{HeaderMap, Request};
use serde_json::{Value, json};

const ID: &str = "6d55dd55-053a-4765-b7bc-b30df0ea3861";
const IMAGE: &str = "/v2/images/6d55dd55-053a-4765-b7bc-b30df0ea3861";
const FILE: &str = "/v2/images/6d55dd55-053a-4765-b7bc-b30df0ea3861/file";
const PATCH: &str = "application/openstack-images-v2.1-json-patch";

struct Got {
    status: u16,
    headers: HeaderMap,
    body: Result<Bytes, BodyError>,
}

impl Got {
    fn bytes(&self) -> &[u8] {
        self.body.as_ref().unwrap()
    }

    fn json(&self) -> Value {
        serde_json::from_slice(self.bytes()).unwrap()
    }

    fn header(&self, name: &str) -> &str {
        self.headers[name].to_str().unwrap()
    }

    fn ids(&self) -> Vec<String> {
        let listing = self.json();
        let images = listing["images"].as_array().unwrap();
        images.iter().map(|image| image["id"].as_str().unwrap().to_owned()).collect()
    }
}

fn api() -> GlanceApi {
    GlanceApi::new(Arc::new(MemoryStore::new("memory")))
}

async fn try_ask(
    api: &dyn Transport,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: Body,
) -> Result<Got, TransportError> {
    let mut request =
        Request::builder().method(method).uri(format!("https://glance.example{path}"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = api.send(request.body(body).unwrap()).await?;
    let (parts, body) = response.into_parts();
    let body = body.collect(1 << 20).await;
    Ok(Got { status: parts.status.as_u16(), headers: parts.headers, body })
}

async fn ask(api: &dyn Transport, method: &str, path: &str) -> Got {
    try_ask(api, method, path, &[], Body::empty()).await.unwrap()
}

async fn send(api: &dyn Transport, method: &str, path: &str, body: &Value) -> Got {
    let media_type = if method == "PATCH" { PATCH } else { "application/json" };
    let body = Bytes::from(body.to_string()).into();
    try_ask(api, method, path, &[("content-type", media_type)], body).await.unwrap()
}

async fn put(api: &dyn Transport, data: &'static [u8]) -> Got {
    put_with(api, &[], Bytes::from_static(data).into()).await.unwrap()
}

async fn put_with(
    api: &dyn Transport,
    headers: &[(&str, &str)],
    body: Body,
) -> Result<Got, TransportError> {
    let headers = [headers, &[("content-type", "application/octet-stream")]].concat();
    try_ask(api, "PUT", FILE, &headers, body).await
}

async fn create(api: &dyn Transport, format: &str) {
    let record = json!({"id": ID, "disk_format": format, "container_format": "bare"});
    assert_eq!(send(api, "POST", "/v2/images", &record).await.status, 201);
}

async fn status(api: &dyn Transport) -> String {
    ask(api, "GET", IMAGE).await.json()["status"].as_str().unwrap().to_owned()
}

/// A body of unknown size, unless `size` is given.
fn chunked(chunks: Vec<Result<Bytes, BodyError>>, size: Option<u64>) -> Body {
    Body::from_stream(stream::iter(chunks), size)
}

#[tokio::test]
async fn versions_are_open_and_the_rest_needs_the_token() {
    let api = api().with_token("sesame");
    let root = ask(&api, "GET", "/").await;
    assert_eq!((root.status, root.json()["versions"][0]["id"].as_str()), (300, Some("v2.17")));
    assert_eq!(ask(&api, "GET", "/versions").await.status, 300);
    assert_eq!(ask(&api, "GET", "/v1/images/detail").await.status, 300);
    let refused = ask(&api, "GET", "/v2/images").await;
    assert_eq!(refused.status, 401);
    assert!(refused.header("x-openstack-request-id").starts_with("req-"));
    for (token, status) in [("sesame", 200), ("sesamo", 401), ("ses", 401)] {
        let headers = [("x-auth-token", token)];
        let got = try_ask(&api, "GET", "/v2/images", &headers, Body::empty()).await.unwrap();
        assert_eq!(got.status, status, "{token}");
    }
    assert!(!format!("{api:?}").contains("sesame"));
}

#[tokio::test]
async fn a_record_is_created_as_given() {
    let api = api();
    let record = json!({
        "id": ID, "name": "one", "owner": "me", "os_hash_value": "dropped", "tags": ["b", "a"],
        "a/b ~": "", "protected": true,
    });
    let made = send(&api, "POST", "/v2/images", &record).await;
    assert_eq!(made.status, 201);
    let shown = ask(&api, "GET", IMAGE).await.json();
    assert_eq!(shown, made.json());
    assert_eq!(shown["visibility"], "shared");
    assert_eq!(shown["status"], "queued");
    assert_eq!(shown["os_hash_value"], Value::Null);
    assert_eq!(shown["a/b ~"], "");
    assert_eq!(shown["file"], FILE);
    assert_eq!(send(&api, "POST", "/v2/images", &record).await.status, 409);
    assert_eq!(ask(&api, "DELETE", IMAGE).await.status, 403);

    let unnamed = send(&api, "POST", "/v2/images", &json!({})).await.json();
    assert_eq!(unnamed["id"].as_str().unwrap().len(), 36);
}

#[tokio::test]
async fn what_no_client_may_write_is_refused() {
    let api = api();
    for (record, status) in [
        (json!({"status": "active"}), 403),
        (json!({"size": 3}), 403),
        (json!({"os_glance_failed_import": ""}), 403),
        (json!({"location": "x"}), 403),
        (json!({"custom": 1}), 400),
        (json!({"custom": null}), 400),
        (json!({"name": "n".repeat(256)}), 400),
        (json!({"k".repeat(256): ""}), 400),
        (json!({"name": "disk 🖴"}), 400),
        (json!({"custom": "disk 🖴"}), 400),
        (json!({"disk 🖴": ""}), 400),
        (json!({"tags": ["disk 🖴"]}), 400),
        (json!({"visibility": "secret"}), 400),
        (json!({"min_disk": -1}), 400),
        (json!({"id": "no-uuid"}), 400),
        (json!([]), 400),
    ] {
        let got = send(&api, "POST", "/v2/images", &record).await;
        assert_eq!(got.status, status, "{record}");
    }
    assert!(ask(&api, "GET", "/v2/images?visibility=all").await.ids().is_empty());
}

#[tokio::test]
async fn errors_are_escaped_pages() {
    let api = api();
    create(&api, "raw").await;
    let record = json!({"<b>": 1});
    let got = send(&api, "POST", "/v2/images", &record).await;
    let text = String::from_utf8(got.bytes().to_vec()).unwrap();
    assert!(
        text.contains("<title>400 Bad Request</title>") && text.contains("&lt;b&gt;"),
        "{text}"
    );
    for (method, path, status) in [
        ("HEAD", IMAGE, 405),
        ("HEAD", FILE, 405),
        ("GET", "/v2/images/none", 404),
        ("GET", "/v2/info/stores", 404),
        ("GET", "/v2/info/import", 200),
        ("GET", "/v2/info/usage", 200),
        ("POST", "/v2/info/usage", 405),
        ("GET", "/v2/schemas/image", 200),
        ("GET", "/v2/schemas/other", 404),
        ("PUT", "/v2/schemas/image", 405),
        ("GET", "/v2/tasks", 404),
    ] {
        assert_eq!(ask(&api, method, path).await.status, status, "{method} {path}");
    }
}

#[tokio::test]
async fn listings_come_in_pages() {
    let api = api();
    let ids: Vec<String> = (0..30).map(|n| format!("00000000-0000-4000-8000-{n:012}")).collect();
    for id in &ids {
        send(&api, "POST", "/v2/images", &json!({"id": id})).await;
    }
    let newest: Vec<String> = ids.iter().rev().take(25).cloned().collect();
    assert_eq!(ask(&api, "GET", "/v2/images").await.ids(), newest);
    let mut all = Vec::new();
    let mut next = Some("/v2/images?limit=7&sort=id:asc".to_owned());
    while let Some(path) = next {
        let page = ask(&api, "GET", &path).await;
        assert!(page.ids().len() <= 7);
        all.extend(page.ids());
        next = page.json()["next"].as_str().map(str::to_owned);
    }
    assert_eq!(all, ids);
    let none = ask(&api, "GET", "/v2/images?limit=0").await.json();
    assert!(none["images"].as_array().unwrap().is_empty() && none.get("next").is_none());
    for query in [
        "limit=x",
        "limit=-1",
        &format!("marker={ID}"),
        "visibility=x",
        "os_hidden=x",
        "member_status=x",
        "changes-since=2026-01-01",
        "created_at=x",
        "created_at=near:2026-01-01T00:00:00Z",
        "sort=id:up",
        "sort=owner",
        "sort=",
        "sort=id&sort_key=name",
        "sort_key=virtual_size",
        "sort_dir=up",
        "sort_key=id&sort_key=name&sort_dir=asc&sort_dir=asc&sort_dir=asc",
    ] {
        assert_eq!(ask(&api, "GET", &format!("/v2/images?{query}")).await.status, 400, "{query}");
    }
}

#[tokio::test]
async fn listings_are_sorted_as_asked_from_page_to_page() {
    let api = api();
    for (id, name, data) in [(1, "b", &b"123456789"[..]), (2, "a", b"1234567890"), (3, "a", b"")] {
        let id = format!("00000000-0000-4000-8000-{id:012}");
        let record =
            json!({"id": id, "name": name, "disk_format": "raw", "container_format": "bare"});
        send(&api, "POST", "/v2/images", &record).await;
        let octets = [("content-type", "application/octet-stream")];
        let path = format!("/v2/images/{id}/file");
        let body = Bytes::from_static(data).into();
        assert_eq!(try_ask(&api, "PUT", &path, &octets, body).await.unwrap().status, 204);
    }
    for (query, order) in [
        // Sorted as numbers, not as texts: 9 comes before 10.
        ("sort=size:asc", [3, 1, 2]),
        ("sort=size", [2, 1, 3]),
        ("sort=name:asc,size:asc", [3, 2, 1]),
        ("sort=name:desc,id:asc", [1, 2, 3]),
        ("sort_key=size", [2, 1, 3]),
        ("sort_key=name&sort_dir=asc", [2, 3, 1]),
        ("sort_key=name&sort_dir=desc&sort_key=size&sort_dir=asc", [1, 3, 2]),
        ("sort_dir=asc", [1, 2, 3]),
        ("", [3, 2, 1]),
    ] {
        let expected = order.map(|id| format!("00000000-0000-4000-8000-{id:012}"));
        let mut all = Vec::new();
        let mut next = Some(format!("/v2/images?limit=1&{query}"));
        while let Some(path) = next {
            let page = ask(&api, "GET", &path).await;
            all.extend(page.ids());
            next = page.json()["next"].as_str().map(str::to_owned);
        }
        assert_eq!(all, expected, "{query}");
    }
}

#[tokio::test]
async fn listings_are_filtered_by_time() {
    let api = api();
    let made = send(&api, "POST", "/v2/images", &json!({})).await.json();
    let time = made["created_at"].as_str().unwrap();
    for (filter, count) in [
        (time.to_owned(), 1),
        (format!("eq:{time}"), 1),
        (format!("neq:{time}"), 0),
        (format!("gt:{time}"), 0),
        (format!("gte:{time}"), 1),
        (format!("lt:{time}"), 0),
        (format!("lte:{time}"), 1),
        ("gt:2020-01-01T00:00:00".to_owned(), 1),
    ] {
        let got = ask(&api, "GET", &format!("/v2/images?created_at={filter}")).await;
        assert_eq!(got.ids().len(), count, "{filter}");
    }
}

#[tokio::test]
async fn a_record_made_here_has_the_fields_of_glances() {
    let api = api();
    let record = json!({"id": ID, "disk_format": "raw", "container_format": "bare"});
    let made = send(&api, "POST", "/v2/images", &record).await;
    assert_eq!(made.header("location"), format!("https://glance.example{IMAGE}"));
    let fields = [
        "checksum",
        "container_format",
        "created_at",
        "disk_format",
        "file",
        "id",
        "min_disk",
        "min_ram",
        "name",
        "os_hash_algo",
        "os_hash_value",
        "os_hidden",
        "owner",
        "protected",
        "schema",
        "self",
        "size",
        "status",
        "tags",
        "updated_at",
        "virtual_size",
        "visibility",
    ];
    let shown = made.json();
    let found: Vec<&String> = shown.as_object().unwrap().keys().collect();
    assert_eq!(found, fields);
    assert!(shown["created_at"].is_string() && shown["updated_at"].is_string());
    put(&api, b"abc").await;
    assert_eq!(ask(&api, "GET", IMAGE).await.json()["virtual_size"], 3);
    let owner = shown["owner"].as_str().unwrap();
    assert_eq!(ask(&api, "GET", &format!("/v2/images?owner={owner}")).await.ids(), [ID]);
}

#[tokio::test]
async fn formats_are_those_of_the_schema() {
    let api = api();
    let schema = ask(&api, "GET", "/v2/schemas/image").await.json();
    for key in ["disk_format", "container_format"] {
        for format in schema["properties"][key]["enum"].as_array().unwrap() {
            let got = send(&api, "POST", "/v2/images", &json!({key: format})).await;
            assert_eq!(got.status, 201, "{key} {format}");
        }
        let got = send(&api, "POST", "/v2/images", &json!({key: "other"})).await;
        assert_eq!(got.status, 400, "{key}");
    }
    create(&api, "raw").await;
    for path in ["/disk_format", "/container_format"] {
        let change = json!([{"op": "replace", "path": path, "value": "other"}]);
        assert_eq!(send(&api, "PATCH", IMAGE, &change).await.status, 400, "{path}");
    }
}

#[tokio::test]
async fn schemas_are_there_for_all_that_has_one() {
    let api = api();
    let schema = async |name: &str| {
        let got = ask(&api, "GET", &format!("/v2/schemas/{name}")).await;
        assert_eq!(got.status, 200, "{name}");
        got.json()
    };
    let image = schema("image").await;
    for key in ["os_hash_algo", "os_hash_value", "checksum", "virtual_size", "owner"] {
        assert!(image["properties"].get(key).is_some(), "{key}");
    }
    assert_eq!(schema("images").await["properties"]["images"]["items"], image);
    let members = schema("members").await;
    assert_eq!(members["properties"]["members"]["items"], schema("member").await);
    for (one, several) in [
        ("namespace", "namespaces"),
        ("object", "objects"),
        ("property", "properties"),
        ("tag", "tags"),
        ("resource_type", "resource_types"),
    ] {
        let one = schema(&format!("metadefs/{one}")).await;
        let several = schema(&format!("metadefs/{several}")).await;
        let name = several["name"].as_str().unwrap();
        let entries = &several["properties"][name];
        let entry = if name == "properties" { "additionalProperties" } else { "items" };
        assert_eq!(entries[entry]["properties"], one["properties"]);
    }
}

fn definitions() -> Namespace {
    let shown = json!({
        "namespace": "A::B", "visibility": "public", "description": "words",
        "resource_type_associations": [{"name": "OS::Glance::Image", "prefix": "hw_"}],
        "properties": {"size": {"title": "Size", "type": "integer"}},
        "objects": [
            {"name": "disk", "required": ["bus"], "properties": {"bus": {"type": "string"}}},
            {"name": "net"},
        ],
        "tags": [{"name": "blue"}],
    });
    Namespace::of(&shown).unwrap()
}

#[tokio::test]
async fn metadata_definitions_are_shown_and_stay() {
    let more = Namespace::of(&json!({"namespace": "C", "visibility": "private"})).unwrap();
    let api = api().with_metadefs([more, definitions()]);
    let get = async |path: &str| {
        let got = ask(&api, "GET", &format!("/v2/metadefs/{path}")).await;
        assert_eq!(got.status, 200, "{path}");
        got.json()
    };
    let names = |listing: &Value| -> Vec<String> {
        let listed = listing["namespaces"].as_array().unwrap().iter();
        listed.map(|one| one["namespace"].as_str().unwrap().to_owned()).collect()
    };
    let all = get("namespaces").await;
    assert_eq!(names(&all), ["A::B", "C"]);
    assert!(all["namespaces"][0].get("properties").is_none() && all.get("next").is_none());
    let first = get("namespaces?limit=1").await;
    assert_eq!(first["next"], "/v2/metadefs/namespaces?limit=1&marker=A%3A%3AB");
    assert_eq!(names(&get("namespaces?limit=1&marker=A::B").await), ["C"]);
    assert_eq!(names(&get("namespaces?visibility=private").await), ["C"]);
    assert_eq!(names(&get("namespaces?resource_types=X,OS::Glance::Image").await), ["A::B"]);

    let whole = get("namespaces/A::B").await;
    assert_eq!(whole["self"], "/v2/metadefs/namespaces/A::B");
    assert_eq!(whole["objects"][0]["self"], "/v2/metadefs/namespaces/A::B/objects/disk");
    assert_eq!(get("namespaces/C").await["tags"], json!([]));
    let prefixed = get("namespaces/A::B?resource_type=OS::Glance::Image").await;
    assert_eq!(prefixed["properties"]["hw_size"]["title"], "Size");
    assert_eq!(prefixed["objects"][0]["required"], json!(["hw_bus"]));
    assert_eq!(prefixed["objects"][1], whole["objects"][1]);

    for (path, key) in [
        ("properties", "properties"),
        ("objects", "objects"),
        ("tags", "tags"),
        ("resource_types", "resource_type_associations"),
    ] {
        assert_eq!(get(&format!("namespaces/A::B/{path}")).await[key], whole[key]);
    }
    assert_eq!(get("namespaces/A::B/properties/size").await["name"], "size");
    let of_type = "namespaces/A::B/properties/hw_size?resource_type=OS::Glance::Image";
    assert_eq!(get(of_type).await["name"], "size");
    assert_eq!(get("namespaces/A::B/objects/disk").await, whole["objects"][0]);
    assert_eq!(get("namespaces/A::B/tags/blue").await["name"], "blue");
    assert_eq!(get("resource_types").await["resource_types"][0]["name"], "OS::Glance::Image");

    for (method, path, status) in [
        ("GET", "namespaces/X", 404),
        ("GET", "namespaces/A::B/tags/x", 404),
        ("GET", "namespaces/A::B/properties/size?resource_type=OS::Glance::Image", 404),
        ("GET", "namespaces?marker=x", 404),
        ("GET", "namespaces?visibility=x", 400),
        ("GET", "other", 404),
        ("POST", "namespaces", 403),
        ("DELETE", "namespaces/A::B", 403),
        ("PUT", "namespaces/A::B/tags/blue", 403),
    ] {
        let got = ask(&api, method, &format!("/v2/metadefs/{path}")).await;
        assert_eq!(got.status, status, "{method} {path}");
    }
}

#[tokio::test]
async fn who_may_only_read_changes_nothing() {
    let store = Arc::new(MemoryStore::new("memory"));
    let writer = GlanceApi::new(Arc::<MemoryStore>::clone(&store));
    create(&writer, "raw").await;
    put(&writer, b"abc").await;
    let before = ask(&writer, "GET", IMAGE).await.json();
    let reader = GlanceApi::new(store).with_access(Access::ReadOnly);
    for (method, path) in [
        ("POST", "/v2/images"),
        ("PATCH", IMAGE),
        ("DELETE", IMAGE),
        ("PUT", FILE),
        ("PUT", &format!("{IMAGE}/tags/t")),
        ("DELETE", &format!("{IMAGE}/tags/t")),
        ("POST", &format!("{IMAGE}/members")),
        ("PUT", &format!("{IMAGE}/members/p")),
        ("DELETE", &format!("{IMAGE}/members/p")),
        ("POST", &format!("{IMAGE}/actions/deactivate")),
    ] {
        let got = ask(&reader, method, path).await;
        let page = String::from_utf8(got.bytes().to_vec()).unwrap();
        assert!(got.status == 403 && page.contains("read-only"), "{method} {path}: {page}");
    }
    assert_eq!(ask(&reader, "GET", IMAGE).await.json(), before);
    assert_eq!(ask(&reader, "GET", FILE).await.bytes(), b"abc");
    assert_eq!(ask(&reader, "GET", "/v2/images").await.ids(), [ID]);
}

#[tokio::test]
async fn listings_leave_out_hidden_and_community_images() {
    let api = api();
    for (name, record) in [
        ("plain", json!({"visibility": "public", "tags": ["t"]})),
        ("hidden", json!({"os_hidden": true})),
        ("community", json!({"visibility": "community", "owner": "me"})),
    ] {
        let mut record = record;
        record["name"] = name.into();
        send(&api, "POST", "/v2/images", &record).await;
    }
    for (query, count) in [
        ("", 1),
        ("visibility=all&os_hidden=false&member_status=all", 2),
        ("visibility=all&os_hidden=true", 1),
        ("visibility=community", 1),
        ("tag=t", 1),
        ("visibility=all&owner=me", 1),
        ("visibility=all&name=in:plain,community", 2),
        ("status=active", 0),
        ("unknown=x", 0),
    ] {
        let got = ask(&api, "GET", &format!("/v2/images?{query}")).await;
        assert_eq!(got.ids().len(), count, "{query}");
    }
}

#[tokio::test]
async fn patches_follow_the_rules() {
    let api = api();
    send(&api, "POST", "/v2/images", &json!({"id": ID, "a/b": "1", "gone": ""})).await;
    let changes = json!([
        {"op": "replace", "path": "/a~1b", "value": "2"},
        {"op": "add", "path": "/til~0de", "value": "3"},
        {"op": "remove", "path": "/gone"},
        {"op": "replace", "path": "/name", "value": "n"},
        {"op": "add", "path": "/protected", "value": true},
    ]);
    let shown = send(&api, "PATCH", IMAGE, &changes).await;
    assert_eq!(shown.status, 200);
    let shown = shown.json();
    assert_eq!((&shown["a/b"], &shown["til~de"]), (&json!("2"), &json!("3")));
    assert_eq!((&shown["name"], &shown["protected"]), (&json!("n"), &json!(true)));
    assert!(shown.get("gone").is_none());
    for (op, path, value, status) in [
        ("replace", "/absent", json!(""), 409),
        ("remove", "/absent", json!(""), 409),
        ("remove", "/name", json!(""), 403),
        ("replace", "/size", json!(1), 403),
        ("add", "/os_glance_x", json!(""), 403),
        ("replace", "/id", json!(ID), 403),
        ("add", "/custom", json!(1), 400),
        ("add", "custom", json!(""), 400),
        ("move", "/name", json!(""), 400),
    ] {
        let change = json!([
            {"op": "add", "path": "/kept", "value": "no"},
            {"op": op, "path": path, "value": value},
        ]);
        let got = send(&api, "PATCH", IMAGE, &change).await;
        assert_eq!(got.status, status, "{op} {path}");
    }
    assert!(ask(&api, "GET", IMAGE).await.json().get("kept").is_none());
    let plain = [("content-type", "application/json")];
    let got = try_ask(&api, "PATCH", IMAGE, &plain, Bytes::from("[]").into()).await.unwrap();
    assert_eq!(got.status, 415);
    assert!(
        got.header("accept-patch").contains("v2.0") && got.header("accept-patch").contains(PATCH)
    );
}

#[tokio::test]
async fn patches_of_the_older_kind_are_understood() {
    let api = api();
    send(&api, "POST", "/v2/images", &json!({"id": ID, "gone": "", "there": ""})).await;
    let patch = async |changes: Value| {
        let media_type = "application/openstack-images-v2.0-json-patch; charset=utf-8";
        let body = Bytes::from(changes.to_string()).into();
        try_ask(&api, "PATCH", IMAGE, &[("content-type", media_type)], body).await.unwrap()
    };
    let changes = json!([
        {"replace": "/name", "value": "n"},
        {"replace": "/owner", "value": "o"},
        {"add": "/new", "value": "1"},
        {"remove": "/gone"},
    ]);
    let shown = patch(changes).await.json();
    assert_eq!((&shown["name"], &shown["owner"]), (&json!("n"), &json!("o")));
    assert_eq!((&shown["new"], shown.get("gone")), (&json!("1"), None));
    for (change, status) in [
        (json!({"add": "/there", "value": "1"}), 409),
        (json!({"add": "/name", "value": "1"}), 409),
        (json!({"replace": "/absent", "value": "1"}), 409),
        (json!({"remove": "/name"}), 403),
        (json!({"op": "add", "path": "/new2", "value": "1"}), 400),
        (json!({"add": "/a", "remove": "/there", "value": "1"}), 400),
        (json!({"add": "/a"}), 400),
    ] {
        assert_eq!(patch(json!([change])).await.status, status, "{change}");
    }
}

#[tokio::test]
async fn tags_and_members_come_and_go() {
    let api = api();
    create(&api, "raw").await;
    let tag = format!("{IMAGE}/tags/a%20b");
    assert_eq!(ask(&api, "PUT", &tag).await.status, 204);
    assert_eq!(ask(&api, "GET", IMAGE).await.json()["tags"], json!(["a b"]));
    assert_eq!(ask(&api, "DELETE", &tag).await.status, 204);
    assert_eq!(ask(&api, "DELETE", &tag).await.status, 404);

    let members = format!("{IMAGE}/members");
    let member = json!({"member": "p", "status": "accepted"});
    assert_eq!(send(&api, "POST", &members, &member).await.json()["status"], "pending");
    assert_eq!(send(&api, "POST", &members, &member).await.status, 409);
    let one = format!("{members}/p");
    assert_eq!(send(&api, "PUT", &one, &json!({"status": "accepted"})).await.status, 200);
    assert_eq!(send(&api, "PUT", &one, &json!({"status": "maybe"})).await.status, 400);
    assert_eq!(ask(&api, "GET", &one).await.json()["status"], "accepted");
    assert_eq!(ask(&api, "GET", &members).await.json()["members"][0]["member_id"], "p");
    assert_eq!(ask(&api, "DELETE", &one).await.status, 204);
    assert_eq!(ask(&api, "GET", &one).await.status, 404);
    let change = json!([{"op": "replace", "path": "/visibility", "value": "private"}]);
    assert_eq!(send(&api, "PATCH", IMAGE, &change).await.status, 200);
    assert_eq!(send(&api, "POST", &members, &member).await.status, 403);
    assert_eq!(ask(&api, "GET", &members).await.status, 403);
}

#[tokio::test]
async fn data_goes_in_once_and_comes_out_in_parts() {
    let api = api();
    create(&api, "raw").await;
    assert_eq!(ask(&api, "GET", FILE).await.status, 204);
    let plain = try_ask(&api, "PUT", FILE, &[], Bytes::from("x").into()).await.unwrap();
    assert_eq!(plain.status, 415);
    assert_eq!(ask(&api, "POST", &format!("{IMAGE}/actions/deactivate")).await.status, 403);
    assert_eq!(put(&api, b"abcdef").await.status, 204);
    // Rejected before the body is read; reading this one would fail.
    let broken = chunked(vec![Err("never asked for".into())], None);
    assert_eq!(put_with(&api, &[], broken).await.unwrap().status, 409);

    let whole = ask(&api, "GET", FILE).await;
    assert_eq!((whole.status, whole.bytes()), (200, &b"abcdef"[..]));
    assert_eq!(whole.header("content-length"), "6");
    let md5 = "e80b5017098950fc58aad83c8c14978e";
    assert_eq!(whole.header("content-md5"), md5);
    let part = [("range", "bytes=2-3")];
    let part = try_ask(&api, "GET", FILE, &part, Body::empty()).await.unwrap();
    assert_eq!((part.status, part.bytes()), (206, &b"cd"[..]));
    assert_eq!(part.header("content-range"), "bytes 2-3/6");
    assert_eq!((part.header("content-length"), part.header("content-md5")), ("2", md5));
    let beyond = [("range", "bytes=6-")];
    assert_eq!(try_ask(&api, "GET", FILE, &beyond, Body::empty()).await.unwrap().status, 416);

    for _ in 0..2 {
        assert_eq!(ask(&api, "POST", &format!("{IMAGE}/actions/deactivate")).await.status, 204);
    }
    assert_eq!(status(&api).await, "deactivated");
    assert_eq!(ask(&api, "GET", FILE).await.bytes(), b"abcdef");
    assert_eq!(ask(&api, "POST", &format!("{IMAGE}/actions/reactivate")).await.status, 204);
    assert_eq!(ask(&api, "DELETE", IMAGE).await.status, 204);
    assert_eq!(ask(&api, "GET", IMAGE).await.status, 404);
    assert_eq!(send(&api, "POST", "/v2/images", &json!({"id": ID})).await.status, 409);
}

#[tokio::test]
async fn an_empty_image_is_an_image() {
    let api = api();
    create(&api, "raw").await;
    assert_eq!(put(&api, b"").await.status, 204);
    let got = ask(&api, "GET", FILE).await;
    assert_eq!((got.status, got.header("content-length")), (200, "0"));
}

#[tokio::test]
async fn a_failed_upload_leaves_the_record_queued() {
    let api = api();
    create(&api, "raw").await;
    let size = [("x-openstack-image-size", "5")];
    for data in ["four", "sixsix"] {
        let got = put_with(&api, &size, Bytes::from(data).into()).await.unwrap();
        assert_eq!((got.status, status(&api).await.as_str()), (400, "queued"));
        let unsized_body = chunked(vec![Ok(Bytes::from(data))], None);
        let got = put_with(&api, &size, unsized_body).await.unwrap();
        assert_eq!((got.status, status(&api).await.as_str()), (400, "queued"));
    }
    let short = chunked(vec![Ok(Bytes::from("four"))], Some(5));
    let error = put_with(&api, &[], short).await.err().unwrap();
    assert_eq!(error.kind, TransportErrorKind::Body);
    assert_eq!(status(&api).await, "queued");
    let broken = chunked(vec![Ok(Bytes::from("four")), Err("the disk broke".into())], None);
    let error = put_with(&api, &[], broken).await.err().unwrap();
    assert_eq!(error.source.unwrap().to_string(), "the disk broke");
    assert_eq!(status(&api).await, "queued");
    let got = put_with(&api, &size, Bytes::from("fives").into()).await.unwrap();
    assert_eq!((got.status, status(&api).await.as_str()), (204, "active"));
}

#[tokio::test]
async fn data_of_another_format_spoils_the_record() {
    let api = api();
    create(&api, "qcow2").await;
    assert_eq!(put(&api, b"no qcow2").await.status, 415);
    assert_eq!(status(&api).await, "queued");
    assert_eq!(put(&api, b"QFI\xfb....").await.status, 500);
    assert_eq!(ask(&api, "DELETE", IMAGE).await.status, 204);
}

#[tokio::test]
async fn data_of_the_right_format_is_taken() {
    let mut iso = vec![0; 40_000];
    iso[32_769..32_774].copy_from_slice(b"CD001");
    let mut vhd = vec![0; 512];
    vhd[..8].copy_from_slice(b"conectix");
    // The suite `content` has many more formats.
    for (format, data, status) in [
        ("iso", iso.clone(), 204),
        ("raw", iso.clone(), 204),
        ("vhd", vhd.clone(), 204),
        ("vhd", vhd[..511].to_vec(), 415),
        ("qcow2", vhd, 415),
        ("qcow2", iso, 415),
    ] {
        let api = api();
        create(&api, format).await;
        // In small pieces, so that no chunk contains the whole signature.
        let pieces = data.chunks(3).map(|piece| Ok(Bytes::copy_from_slice(piece)));
        let body = chunked(pieces.collect(), None);
        let got = put_with(&api, &[], body).await.unwrap();
        assert_eq!(got.status, status, "{format}");
    }
}

/// Glance always shows an owner; a client of this project ignores the invented one.
#[tokio::test]
async fn an_image_without_an_owner_is_read_back_without_one() {
    let image = Image::queued(ImageId::random(), Attributes::default());
    let shown = serde_json::Map::from_iter([
        ("id".to_owned(), image.id.as_str().into()),
        ("status".to_owned(), "queued".into()),
        ("visibility".to_owned(), "private".into()),
        ("owner".to_owned(), "glance-replicator".into()),
    ]);
    assert_eq!(Image::from_json(shown).unwrap().attributes.owner, Owner::Unsaid);
}
