//! Image selection on the command line: its effect on each command, the queries to a server, and
//! that an image outside the selection never counts as deleted.

use std::fs;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use format_dump::DumpStore;
use glance_core::image::{Attributes, Image, ImageId};
use glance_core::store::memory::MemoryStore;
use glance_core::transport::{Transport, TransportError};
use glance_core::{Body, ImageStore};
use glance_server::GlanceApi;
use http::{Method, Request, Response};
use serde_json::Value;
use tempfile::TempDir;
use tokio::net::TcpListener;

use crate::support::common::{Run, replicator_with, with_options};
use crate::support::fault::{Fault, Faulty};

fn id(number: u8) -> ImageId {
    format!("00000000-0000-4000-8000-0000000000{number:02}").parse().unwrap()
}

/// Creates an image of `number` bytes, dated on the January day `number`.
async fn put(store: &dyn ImageStore, number: u8, name: &str, tags: &[&str]) {
    let attributes = Attributes {
        name: Some(name.to_owned()),
        disk_format: Some("raw".to_owned()),
        container_format: Some("bare".to_owned()),
        tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
        properties: [("number".to_owned(), number.to_string())].into(),
        ..Attributes::default()
    };
    let created_at = Some(format!("2026-01-{number:02}T00:00:00Z"));
    let image = Image { created_at, ..Image::queued(id(number), attributes) };
    store.create(&image).await.unwrap();
    let data = Bytes::from(vec![b'x'; number.into()]);
    store.upload(&image.id, Body::from(data)).await.unwrap();
}

/// The images that most tests list.
async fn seed(store: &dyn ImageStore) {
    put(store, 1, "debian-12", &["stable"]).await;
    put(store, 2, "debian-13", &["testing", "daily"]).await;
    put(store, 3, "ubuntu-24", &["stable"]).await;
    put(store, 4, "old", &[]).await;
}

async fn dump() -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    let store = DumpStore::create(directory.path()).unwrap();
    seed(&store).await;
    store.finish().await.unwrap();
    directory
}

/// Records the requests to the API.
struct Watched {
    inner: Faulty,
    asked: Mutex<Vec<String>>,
}

impl std::fmt::Debug for Watched {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Watched")
    }
}

#[async_trait]
impl Transport for Watched {
    async fn send(&self, request: Request<Body>) -> Result<Response<Body>, TransportError> {
        let target = request.uri().path_and_query().unwrap().to_string();
        self.asked.lock().unwrap().push(format!("{} {target}", request.method()));
        self.inner.send(request).await
    }
}

/// A Glance over plain HTTP.
struct Site {
    url: String,
    kept: Arc<MemoryStore>,
    api: Arc<Watched>,
}

impl Site {
    async fn open() -> Self {
        let kept = Arc::new(MemoryStore::new("kept"));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let api = Arc::new(GlanceApi::new(Arc::clone(&kept) as Arc<dyn ImageStore>));
        let api = Arc::new(Watched { inner: Faulty::new(api), asked: Mutex::default() });
        tokio::spawn(glance_server::serve(
            listener,
            None,
            Arc::clone(&api) as Arc<dyn Transport>,
            std::future::pending(),
        ));
        Self { url, kept, api }
    }

    /// The requests since the last call that begin with `start`.
    fn asked(&self, start: &str) -> Vec<String> {
        let asked = std::mem::take(&mut *self.api.asked.lock().unwrap());
        asked.into_iter().filter(|request| request.starts_with(start)).collect()
    }
}

/// Runs the tool with a token that these servers ignore.
async fn run(line: &[&str]) -> Run {
    let line = with_options(line, &[["-t", "none"], ["--owner", "caller"]]);
    let line: Vec<String> = line.iter().map(ToString::to_string).collect();
    let run = tokio::task::spawn_blocking(move || {
        let line: Vec<&str> = line.iter().map(String::as_str).collect();
        replicator_with(&line, &[])
    });
    run.await.unwrap()
}

/// The total size of the images that these options select.
async fn size(store: &str, options: &[&str]) -> u64 {
    let line = [&["size", store, "--output", "json"], options].concat();
    let answer: Value = serde_json::from_str(&run(&line).await.exits(0).stdout).unwrap();
    answer["size"]["bytes"].as_u64().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_option_selects() {
    let dump = dump().await;
    let path = dump.path().to_str().unwrap();
    let (first, third) = (id(1).to_string(), id(3).to_string());
    for (options, bytes) in [
        (&[][..], 10),
        (&["--id", &first, "--id", &third], 4),
        (&["--name", "debian-*"], 3),
        (&["--name", "old", r"--name-regex=-2\d$"], 7),
        (&["--tag", "stable", "--tag", "daily"], 6),
        (&["--where", "number=4"], 4),
        (&["--where", "number", "--where", "other"], 0),
        (&["--project", "p"], 0),
        (&["--visibility", "private", "--status", "active"], 10),
        (&["--disk-format", "qcow2"], 0),
        (&["--container-format", "bare"], 10),
        (&["--min-size", "2", "--max-size", "3"], 5),
        (&["--created-after", "2026-01-02", "--created-before", "2026-01-04"], 5),
        (&["--updated-after", "2026-01-01", "--updated-before", "2026-01-02"], 0),
        (&["--os-hidden", "false", "--protected", "false"], 10),
        (&["--os-hidden", "true"], 0),
        (&["--exclude", "name=debian-*", "--exclude", &format!("id={third}")], 4),
        (&["--exclude", "tag=stable", "--exclude", "name-regex=^o"], 2),
        (&["--exclude", "where=number=1", "--tag", "stable"], 3),
        (&["--exclude", "visibility=private"], 0),
        (&["--exclude", "status=active"], 0),
        (&["--exclude", "project=p", "--exclude", "disk-format=iso"], 10),
        (&["--exclude", "container-format=bare"], 0),
        (&["--exclude", "min-size=3"], 3),
        (&["--latest-per", "/^[a-z]+/"], 9),
        (&["--latest-per", "/^[a-z]+/=2", "--exclude", "name=old"], 6),
        (&["--latest-per", "number", "--tag", "stable"], 4),
    ] {
        assert_eq!(size(path, options).await, bytes, "{options:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn files_name_ids_and_rules() {
    let dump = dump().await;
    let (path, file) = (dump.path().to_str().unwrap(), dump.path().join("list"));
    let list = file.to_str().unwrap();
    fs::write(&file, format!("# these\n\n{} debian-12 active\n  {}\n", id(1), id(2))).unwrap();
    assert_eq!(size(path, &["--ids-from", list]).await, 3);
    assert_eq!(size(path, &["--ids-from", list, "--id", id(4).as_str()]).await, 7);
    assert_eq!(size(path, &["--ids-from", list, "--tag", "daily"]).await, 2);
    // An empty list of ids selects nothing, not everything.
    fs::write(&file, "# none\n").unwrap();
    assert_eq!(size(path, &["--ids-from", list]).await, 0);
    fs::write(&file, "# the first that fits\n+ tag=daily\n- name=debian-*\n").unwrap();
    assert_eq!(size(path, &["--filter-from", list]).await, 9);
    fs::write(&file, "+ tag=stable\n+ name=old\n- *\n").unwrap();
    assert_eq!(size(path, &["--filter-from", list]).await, 8);
    assert_eq!(size(path, &["--filter-from", list, "--exclude", "tag=stable"]).await, 4);

    fs::write(&file, format!("{}\nx\n", id(1))).unwrap();
    let run_with = async |option| run(&["size", path, option, list]).await.exits(2).stderr;
    let said = run_with("--ids-from").await;
    assert!(said.contains(&format!("cannot read line 2 of {list} (--ids-from)")), "{said}");
    assert!(said.contains("\"x\" is not an image id"), "{said}");
    fs::write(&file, "+ tag=a\n+ size=3\n").unwrap();
    let said = run_with("--filter-from").await;
    assert!(said.contains(&format!("cannot read line 2 of {list} (--filter-from)")), "{said}");
    assert!(said.contains("\"size\" is not a kind of condition"), "{said}");
    let said = run(&["size", path, "--ids-from", "/missing"]).await.exits(2).stderr;
    assert!(said.contains("cannot read /missing (--ids-from)"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_meant_is_a_usage_error() {
    for (option, value, reason) in [
        ("--image", "", "the name of an image must not be empty"),
        ("--image", "[a", "at character 1"),
        ("--name-regex", "(", "unclosed group"),
        ("--where", "owner=x", "use project"),
        ("--visibility", "open", "public, community, shared and private"),
        ("--status", "ok", "use one of active"),
        ("--min-size", "1X", "write bytes as 512k, 10M, 1G or 1T, without B or b"),
        ("--created-after", "yesterday", "is not a date or time"),
        ("--updated-within", "7", "12h, 7d or 2w"),
        ("--os-hidden", "maybe", "neither true nor false"),
        ("--exclude", "id=x", "is not an image id"),
        ("--exclude", "x", "write KIND=VALUE"),
        ("--latest-per", "name=0", "is not a number of at least 1"),
    ] {
        let said = run(&["size", ".", option, value]).await.exits(2).stderr;
        assert!(said.contains(&format!("'{option} ")) && said.contains(reason), "{said}");
    }
    run(&["clouds", "--tag", "x"]).await.exits(2);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_is_asked_for_what_is_selected() {
    let site = Site::open().await;
    seed(&*site.kept).await;
    let tail = "&sort=id:asc&limit=1000";
    assert_eq!(size(&site.url, &["--tag", "stable", "--min-size", "2"]).await, 3);
    let filters = "visibility=all&tag=stable&size_min=2&member_status=all";
    let mut asked = site.asked("GET /v2/images");
    asked.sort();
    let expected = ["false", "true"]
        .map(|hidden| format!("GET /v2/images?{filters}&os_hidden={hidden}{tail}"));
    assert_eq!(asked, expected);

    let line = ["--name", "debian-12", "--name", "old", "--os-hidden", "false"];
    assert_eq!(size(&site.url, &line).await, 5);
    // The names are looked up, whatever the other conditions are, and then listed by their ids.
    let filters = "visibility=all&name=in:debian-12,old&member_status=all&os_hidden";
    let ids = format!("&id=in:{},{}", id(1), id(4));
    let expected = [("false", &*ids), ("false", ""), ("true", "")]
        .map(|(hidden, ids)| format!("GET /v2/images?{filters}={hidden}{ids}{tail}"));
    let mut asked = site.asked("GET");
    asked.sort();
    assert_eq!(asked, expected);

    // The newest images are determined first, and then requested by their ids.
    assert_eq!(size(&site.url, &["--latest-per", "number", "--name", "*-2?"]).await, 3);
    let asked = site.asked("GET");
    assert_eq!(asked.len(), 4, "{asked:?}");
    assert!(asked[2].contains(&format!("&id=in:{}&", id(3))), "{asked:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_applies_the_selection() {
    let (a, b) = (Site::open().await, Site::open().await);
    seed(&*a.kept).await;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("dump");
    let path = path.to_str().unwrap();
    let dumped = run(&["dump", &a.url, path, "--tag", "stable"]).await.exits(0).stdout;
    assert!(dumped.contains("2 copied and verified (4 B)"), "{dumped}");
    assert_eq!(size(path, &[]).await, 4);
    let loaded = run(&["load", path, &b.url, "--name", "u*"]).await.exits(0).stdout;
    assert!(loaded.contains("1 copied and verified (3 B)"), "{loaded}");
    let copied = run(&["livecopy", &a.url, &b.url, "--name", "old"]).await.exits(0).stdout;
    assert!(copied.contains("1 copied and verified (4 B)"), "{copied}");
    assert!(b.kept.get(&id(1)).await.is_err() && b.kept.get(&id(3)).await.is_ok());

    let compare =
        async |options: &[&str]| run(&[&["compare", &a.url, &b.url], options].concat()).await;
    compare(&[]).await.exits(1);
    compare(&["--name", "debian-*"]).await.exits(1);
    compare(&["--name", "old", "--name", "ubuntu-24"]).await.exits(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_filtered_out_is_not_gone() {
    let (a, b) = (Site::open().await, Site::open().await);
    seed(&*a.kept).await;
    // At the target, 4 has another name, 1 has lost its tag, and 5 and 6 are extra.
    put(&*b.kept, 4, "debian-4", &[]).await;
    put(&*b.kept, 1, "debian-12", &[]).await;
    put(&*b.kept, 5, "debian-5", &[]).await;
    put(&*b.kept, 6, "other", &[]).await;
    let compare = async |options: &[&str]| {
        let line = [&["compare", &a.url, &b.url, "--output", "json"], options];
        let run = run(&line.concat()).await.exits(1);
        let report: Value = serde_json::from_str(&run.stdout).unwrap();
        let ids = report["images"].as_array().unwrap().iter();
        let numbers = ids.map(|image| image["id"].as_str().unwrap()[34..].parse().unwrap());
        let lookups = a.asked("GET /v2/images/").len();
        (numbers.collect::<Vec<u8>>(), lookups)
    };
    // 4 and 5 are looked up at the source, because each may be deleted there; 5 is.
    assert_eq!(compare(&["--name", "debian-*"]).await, (vec![1, 2, 5], 2));
    let target = b.asked("GET /v2/images?");
    assert!(target.iter().all(|query| !query.contains("name")), "{target:?}");
    // Without a condition no lookup is needed.
    assert_eq!(compare(&[]).await, (vec![1, 2, 3, 4, 5, 6], 0));
    b.asked("");
    let ids = [id(2), id(4), id(5)];
    let named = ids.iter().flat_map(|id| ["--id", id.as_str()]).collect::<Vec<_>>();
    assert_eq!(compare(&named).await, (vec![2, 4, 5], 1));
    // The target is asked only for these ids, and for replicas under other ids.
    let target = b.asked("GET /v2/images?");
    let is_narrow = |query: &String| query.contains("id=in:") || query.contains("new_id=true");
    assert!(target.iter().all(is_narrow), "{target:?}");
    // If the lookup fails, an image does not count as deleted.
    let is_five = |path: &str| path.ends_with("05");
    a.api.inner.inject(Method::GET, is_five, 1, Fault::Status(403));
    let line = ["compare", &a.url, &b.url, "--name", "debian-*"];
    let run = run(&line).await.exits(5);
    assert!(!run.stdout.contains(id(5).as_str()), "{}", run.stdout);
}

#[tokio::test(flavor = "multi_thread")]
async fn filters_are_dumped_instead_of_work() {
    let directory = tempfile::tempdir().unwrap();
    let rules = directory.path().join("rules");
    fs::write(&rules, "+ tag=new\n- *\n").unwrap();
    let rules = rules.to_str().unwrap();
    let options = ["--name", "debian-*", "--name", "old", "--tag", "a", "--exclude", "tag=b"];
    let more = ["--filter-from", rules, "--latest-per", "os_distro=2", "--dump-filters"];
    let line = [&["livecopy", "nowhere", "no-one"], &options[..], &more[..]].concat();
    let text = run(&line).await.exits(0).stdout;
    insta::assert_snapshot!(text, @"
    images that match all of
      name=debian-* or name=old
      tag=a
    and none of
      tag=b
    rules in order; the first match decides; images that match no rule are selected
      + tag=new
      - *
    of these, the newest of each
      os_distro=2
    queries to a Glance, page by page; the tool checks each result again
      GET /v2/images?visibility=all&tag=a&member_status=all&os_hidden=false&sort=id:asc&limit=1000
      GET /v2/images?visibility=all&tag=a&member_status=all&os_hidden=true&sort=id:asc&limit=1000
    ");
    let json = run(&[&line[..], &["--output", "json"]].concat()).await.exits(0).stdout;
    let json: Value = serde_json::from_str(&json).unwrap();
    let json = &json["filters"];
    assert_eq!(json["wanted"][0][1], "name=old");
    assert_eq!(json["queries"].as_array().unwrap().len(), 2);
    let all = run(&["size", ".", "--dump-filters"]).await.exits(0).stdout;
    assert!(all.starts_with("all images\n"), "{all}");
}
