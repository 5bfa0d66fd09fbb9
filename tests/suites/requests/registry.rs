//! Images in a registry: a real one, with the tools that people use.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::support::programs::registry::Registry;
use crate::support::stage::Stage;

const FIRST_ID: &str = "00000000-0000-4000-8000-000000000000";

#[test]
fn a_registry_carries_images_and_shows_what_they_are() {
    let stage = Stage::new();
    let registry = Registry::start();
    let [layout, fetched] = ["layout", "fetched"].map(|name| stage.directory.path().join(name));
    stage.run("glance-replicator dump paris oci:./layout", 0);
    let listed = stage.run("glance-replicator ls oci:layout --output json", 0).stdout;
    let listed: Value = serde_json::from_str(&listed).unwrap();
    let images = listed["images"].as_array().unwrap();
    assert_eq!(images.len(), 3);
    for image in images {
        let id = image["id"].as_str().unwrap();
        registry.push(&layout, id);
        registry.pull(id, &fetched);
    }
    // The name of an image is a tag as well.
    registry.push(&layout, "debian-12");
    let manifest = registry.manifest("debian-12");
    assert_eq!(manifest, registry.manifest(FIRST_ID));
    assert_eq!(manifest["artifactType"], "application/vnd.glance-replicator.image.v1");
    let annotation = |key: &str| manifest["annotations"][key].as_str().unwrap().to_owned();
    assert_eq!(annotation("org.opencontainers.image.title"), "debian-12");
    assert_eq!(annotation("vnd.glance-replicator.image.size"), "1000");
    assert_eq!(annotation("vnd.glance-replicator.image.disk_format"), "raw");
    stage.run("glance-replicator verify oci:fetched", 0);
    stage.run("glance-replicator compare oci:layout oci:fetched", 0);
    stage.run("glance-replicator load oci:fetched lyon", 0);
    stage.run("glance-replicator compare paris lyon", 0);
}

/// A change of a record is a new manifest with the same layer.
#[test]
fn a_changed_record_is_pushed_without_its_data() {
    let stage = Stage::new();
    let registry = Registry::start();
    let [layout, fetched] = ["layout", "fetched"].map(|name| stage.directory.path().join(name));
    stage.run("glance-replicator dump paris oci:./layout --image debian-12", 0);
    registry.push(&layout, FIRST_ID);
    registry.pull(FIRST_ID, &fetched);
    let before = registry.manifest(FIRST_ID);
    stage.run("glance-replicator sync paris oci:./layout --property set=x=y --image debian-12", 0);
    registry.push(&layout, FIRST_ID);
    let after = registry.manifest(FIRST_ID);
    assert_eq!(before["layers"], after["layers"]);
    assert_ne!(before["config"], after["config"]);
    // skopeo moves the tag, and leaves the old manifest in the layout without one.
    registry.pull(FIRST_ID, &fetched);
    let shown = stage.run("glance-replicator show oci:fetched debian-12 --output json", 0).stdout;
    assert!(shown.contains("\"x\":\"y\""), "{shown}");
    // What is written next to skopeo's own files is valid for skopeo.
    stage.run("glance-replicator sync oci:layout oci:fetched --property set=z=1", 0);
    registry.push(&fetched, FIRST_ID);
    let names = |manifest: &Value| -> BTreeSet<String> {
        manifest["annotations"].as_object().unwrap().keys().cloned().collect()
    };
    assert_eq!(names(&registry.manifest(FIRST_ID)), names(&after));
}
