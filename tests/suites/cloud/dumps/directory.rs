//! Dumps of a real Glance (`cargo xtask cloud up`), loaded into the Glance of another Keystone and
//! judged by `cloud/judge.py`.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use glance_core::store::memory::MemoryStore;
use glance_core::{Body, Transport};
use glance_server::GlanceApi;
use http::Request;
use serde_json::Value;

use crate::support::real_cloud::{BLOCKED, Cloud, STACKS, reset, transport};

#[test]
fn a_dump_knows_the_projects_of_its_images() {
    let cloud = Cloud::find();
    cloud.python("seed.py", &["a"]);
    for stack in STACKS {
        let run = |line: &[&str]| cloud.replicator(&[line, &["--tls", stack]].concat());
        let directory = tempfile::tempdir().unwrap();
        let word = directory.path().to_str().unwrap();
        run(&["dump", "a", word, "--queued"]).exits(0);
        let projects = projects(directory.path());
        let expected = ["Default/admin", "Default/only-a", "Default/proj1", "Default/proj2"];
        let partners = "partners/proj1";
        assert!(expected.iter().all(|name| projects.iter().any(|known| known == name)));
        assert!(projects.iter().any(|known| known == partners), "{projects:?}");

        let before = files(directory.path());
        run(&["compare", "a", word, "--queued"]).exits(0);
        run(&["plan", "a", word, "--queued"]).exits(0);
        assert_eq!(files(directory.path()), before);

        // A user who cannot list projects leaves the recorded ones in place.
        run(&["dump", "alice-a", word, "--image", "no image has this name*"]).exits(0);
        assert_eq!(self::projects(directory.path()), projects);

        reset("c");
        let loaded = run(&["load", word, "c", "--queued"]).exits(3);
        for (image, why) in BLOCKED {
            let said = loaded.stderr.lines().find(|line| line.contains(&format!("\"{image}\"")));
            assert!(said.is_some_and(|said| said.contains(why)), "{image}: {}", loaded.stderr);
        }
        cloud.judge("a", "c", &[]).is_all_that_c_can_hold();
        let mark = cloud.mark("c");
        run(&["load", word, "c", "--queued", "--owner", "by-name"]).exits(3);
        assert_eq!(cloud.writes_since("c", mark), [""; 0]);
    }
}

/// A served dump has a real Glance's schemas, except for the descriptions.
#[tokio::test]
async fn schemas_are_those_of_a_real_glance() {
    let cloud = Cloud::find();
    let token = cloud.token("a").await;
    let glance = transport(STACKS[0], &cloud.configured("a"));
    let served = GlanceApi::new(Arc::new(MemoryStore::new("memory")));
    let definitions = ["namespace", "object", "property", "resource_type", "tag"]
        .map(|one| format!("metadefs/{one}"));
    let several = ["namespaces", "objects", "properties", "resource_types", "tags"]
        .map(|several| format!("metadefs/{several}"));
    let images = ["image", "images", "member", "members"].map(str::to_owned);
    for name in images.iter().chain(&definitions).chain(&several) {
        let path = format!("/v2/schemas/{name}");
        let real = get(&*glance, &format!("{}{path}", cloud.text("a")), &token).await;
        let ours = get(&served, &format!("https://localhost{path}"), "").await;
        assert_eq!(ours, real, "{name}");
    }
}

/// Fetches a JSON document and removes its descriptions.
async fn get(transport: &dyn Transport, url: &str, token: &str) -> Value {
    let request = Request::get(url).header("x-auth-token", token).body(Body::empty()).unwrap();
    let answer = transport.send(request).await.unwrap();
    assert_eq!(answer.status(), 200, "{url}");
    let text = answer.into_body().collect(1 << 20).await.unwrap();
    let mut document = serde_json::from_slice(&text).unwrap();
    forget_descriptions(&mut document);
    document
}

fn forget_descriptions(document: &mut Value) {
    match document {
        Value::Object(entries) => {
            // A property may have this name too.
            entries.retain(|name, value| name != "description" || !value.is_string());
            entries.values_mut().for_each(forget_descriptions);
        }
        Value::Array(entries) => entries.iter_mut().for_each(forget_descriptions),
        _ => {}
    }
}

/// The projects recorded in a dump, as `DOMAIN/NAME`.
fn projects(dump: &Path) -> Vec<String> {
    let text = fs::read_to_string(dump.join("projects.json")).unwrap();
    let projects: Vec<Value> = serde_json::from_str(&text).unwrap();
    let label = |project: &Value| {
        let word = |key: &str| project[key].as_str().unwrap().to_owned();
        format!("{}/{}", word("domain"), word("name"))
    };
    projects.iter().map(label).collect()
}

/// The files of a dump with their modification times, and the manifest's text.
fn files(dump: &Path) -> (Vec<(String, SystemTime)>, String) {
    let manifest = fs::read_to_string(dump.join("manifest.json")).unwrap();
    assert!(manifest.contains("\"complete\": true"), "{manifest}");
    let mut files: Vec<_> = fs::read_dir(dump)
        .unwrap()
        .map(|entry| {
            let entry = entry.unwrap();
            let written = entry.metadata().unwrap().modified().unwrap();
            (entry.file_name().into_string().unwrap(), written)
        })
        .collect();
    files.sort();
    (files, manifest)
}
