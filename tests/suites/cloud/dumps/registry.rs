//! Images of a real Glance go through a real registry: dumped to an OCI image layout, copied by
//! skopeo to docker-registry and back to another layout, loaded, and judged by `cloud/judge.py`.

use serde_json::Value;

use super::super::cloud_smoke::{NOT_COPIED, SEEDED};
use crate::support::programs::registry::Registry;
use crate::support::real_cloud::{Cloud, STACKS, reset};

#[test]
fn images_go_through_a_registry_and_stay_the_same() {
    let cloud = Cloud::find();
    cloud.python("seed.py", &["a"]);
    for stack in STACKS {
        let run = |line: &[&str]| cloud.replicator(&[line, &["--tls", stack]].concat());
        reset("b");
        let directory = tempfile::tempdir().unwrap();
        let [first, second] = ["first", "second"].map(|name| directory.path().join(name));
        let [from, to] = [&first, &second].map(|path| format!("oci:{}", path.display()));
        run(&["dump", "a", &from]).exits(0);
        let listed = cloud.replicator(&["ls", &from, "--output", "json"]).exits(0);
        let listed: Value = serde_json::from_str(&listed.stdout).unwrap();
        let images = listed["images"].as_array().unwrap();
        assert!(images.len() >= SEEDED, "only {} images are in the layout", images.len());
        let registry = Registry::start();
        for image in images {
            let id = image["id"].as_str().unwrap();
            registry.push(&first, id);
            registry.pull(id, &second);
        }
        cloud.replicator(&["compare", &from, &to]).exits(0);
        run(&["load", &to, "b"]).exits(0);
        let same = cloud.judge("a", "b", &["--deep"]).all_same_but_missing(NOT_COPIED);
        assert!(same >= SEEDED, "only {same} are there");
        run(&["compare", "a", "b"]).exits(0);
    }
}
