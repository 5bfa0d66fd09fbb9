//! Dumps of a real Glance (`cargo xtask cloud up`), loaded at another Keystone's, judged by
//! `cloud/judge.py`.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that can't go on has failed")]

mod common;
mod real_cloud;

use std::fs;
use std::path::Path;
use std::time::SystemTime;

use real_cloud::{BLOCKED, Cloud, STACKS, reset};
use serde_json::Value;

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

        // One who can't look at projects leaves those that are written down.
        let none = "00000000-0000-4000-8000-000000000000";
        run(&["dump", "alice-a", word, "--id", none]).exits(0);
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

/// The projects that a dump knows, by their domains and names.
fn projects(dump: &Path) -> Vec<String> {
    let text = fs::read_to_string(dump.join("projects.json")).unwrap();
    let projects: Vec<Value> = serde_json::from_str(&text).unwrap();
    let label = |project: &Value| {
        let word = |key: &str| project[key].as_str().unwrap().to_owned();
        format!("{}/{}", word("domain"), word("name"))
    };
    projects.iter().map(label).collect()
}

/// The files of a dump and when they were written, with what its manifest says.
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
