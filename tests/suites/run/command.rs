//! What the command says of a run.

use std::future::pending;
use std::sync::Arc;

use glance_core::image::Visibility;
use glance_core::store::ImageStore;
use glance_server::fault::Fault;
use http::Method;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::{Site, id, is_file};
use crate::common::{Run, replicator_with};

async fn run(line: &[&str], state: &str) -> Run {
    let mut line: Vec<String> = line.iter().map(ToString::to_string).collect();
    line.extend(["--state-dir", state].map(str::to_owned));
    let run = tokio::task::spawn_blocking(move || {
        let line: Vec<&str> = line.iter().map(String::as_str).collect();
        replicator_with(&line, &[])
    });
    run.await.unwrap()
}

/// A Glance that is served, and its address.
async fn served(name: &str) -> (Site, String) {
    let site = Site::new(name);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let faulty = Arc::clone(&site.faulty);
    tokio::spawn(glance_server::serve(listener, None, faulty, pending()));
    (site, url)
}

const LOST: &str = "the source does not show its members";

#[tokio::test(flavor = "multi_thread")]
async fn every_run_tells_once_what_an_image_lost_and_exits_9_unless_that_is_accepted() {
    let (source, from) = served("source").await;
    let (target, to) = served("target").await;
    let image = source.kept.get(&source.image(1, 100).await).await.unwrap();
    let mut shared = image.attributes.clone();
    shared.visibility = Visibility::Shared;
    source.kept.update(&image, &shared).await.unwrap();
    source.image(2, 100).await;
    let is_members = |path: &str| path.ends_with("/members");
    source.faulty.inject(Method::GET, is_members, usize::MAX, Fault::Status(403));
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    let state = path("state");

    // A copy that is tried again is said once too.
    for (line, fault, exit) in [
        (vec!["livecopy", &from, &to, "--transfers", "1"], Some(Fault::Status(403)), 3),
        (vec!["livecopy", &from, &to, "--owner", "caller"], Some(Fault::Status(503)), 9),
        (vec!["livecopy", &from, &to, "--allow-loss", "owner"], None, 9),
        (vec!["livecopy", &from, &to, "--allow-loss", "members"], None, 9),
        (vec!["livecopy", &from, &to, "--allow-loss", "owner,members"], None, 0),
        (vec!["sync", &from, &to, "--allow-loss", "all"], None, 0),
        (vec!["dump", &from, &path("dump")], None, 9),
        (vec!["dump", &from, &path("dump")], None, 9),
    ] {
        if let Some(fault) = fault {
            target.faulty.inject(Method::PUT, is_file, 1, fault);
        }
        let run = run(&line, &state).await.exits(exit);
        // Of an image that failed, nothing is told but that.
        let times = usize::from(exit != 3);
        let found = run.stdout.matches(&format!("  lost: {LOST}\n")).count();
        assert_eq!(found, times, "{line:?}\n{}", run.stdout);
        assert_eq!(run.stdout.contains(", 1 without members"), exit != 3, "{}", run.stdout);
        let lost = match line.last() {
            Some(&"members") => "the owner of 2 images",
            _ => "the members of 1 image",
        };
        let said = format!("error: the target did not get {lost}\n");
        assert_eq!(run.stderr.contains(&said), exit == 9, "{}", run.stderr);
    }
    let report = path("report.json");
    let line = ["sync", &from, &to, "--owner", "caller", "--output", "json", "--report", &report];
    run(&line, &state).await.exits(9);
    let report: Value = serde_json::from_slice(&std::fs::read(&report).unwrap()).unwrap();
    let lost = |image: &Value| (image["id"].clone(), image["losses"].clone());
    let mut lost: Vec<_> = report["images"].as_array().unwrap().iter().map(lost).collect();
    lost.sort_by_key(|(id, _)| id.to_string());
    let none = Value::Array(Vec::new());
    let expected = [(id(1), json!([{ "kind": "members", "detail": LOST }])), (id(2), none)];
    assert_eq!(lost, expected.map(|(id, losses)| (id.as_str().into(), losses)));
}
