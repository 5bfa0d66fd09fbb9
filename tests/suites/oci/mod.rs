//! OCI image layouts on the command line: every command that takes a dump takes a layout.

mod kills;

use std::fs;

use format_oci::LayoutStore;
use safe_files::file_lock::Holder;
use serde_json::Value;

use crate::support::stage::Stage;

const FIRST_ID: &str = "00000000-0000-4000-8000-000000000000";

#[test]
fn images_go_to_a_layout_and_back() {
    let stage = Stage::new();
    let run = |line: &str, code: i32| stage.run(&format!("glance-replicator {line}"), code).stdout;
    assert!(run("dump paris oci:./layout -n", 1).contains("3 missing"));
    assert!(!stage.directory.path().join("layout").exists(), "a dry run creates nothing");
    run("dump paris oci:./layout", 0);
    assert!(run("compare paris oci:layout", 0).contains("3 same"));
    assert!(run("dump paris oci:./layout", 0).contains("3 in place"));
    assert!(run("verify oci:layout", 0).contains("3 verified"));
    assert!(run("size oci:layout", 0).contains('3'));
    run("doctor oci:layout", 0);
    let shown: Value =
        serde_json::from_str(&run("show oci:layout debian-12 --output json", 0)).unwrap();
    assert_eq!(shown["image"]["id"], FIRST_ID);
    run("load oci:layout lyon", 0);
    assert!(run("compare paris lyon", 0).contains("3 same"));
    // Between directories of both formats, and to another layout.
    run("livecopy oci:layout ./dump", 0);
    run("livecopy ./dump oci:second", 0);
    run("sync oci:second oci:third", 0);
    assert!(run("compare oci:third paris", 0).contains("3 same"));
    assert!(run("plan paris oci:third", 0).contains('3'));
    run("sync lyon oci:third --image 'debian-*' --delete delete --yes", 0);
}

/// The embedded images have the same data.
#[test]
fn data_is_stored_once_and_a_change_stores_none() {
    let stage = Stage::new();
    stage.run("glance-replicator dump paris oci:./layout", 0);
    let blobs = || {
        let names = fs::read_dir(stage.directory.path().join("layout/blobs/sha256")).unwrap();
        names.map(|entry| entry.unwrap().metadata().unwrap().len()).filter(|it| *it == 1000).count()
    };
    assert_eq!(blobs(), 1);
    stage.run("glance-replicator sync paris oci:./layout --property set=x=y", 0);
    assert_eq!(blobs(), 1);
    let run = stage.run("glance-replicator show oci:layout debian-12 --output json", 0);
    assert!(run.stdout.contains("\"x\":\"y\""), "{}", run.stdout);
    // Every blob is named by its digest, as coreutils compute it.
    stage.run("cd layout/blobs/sha256 && sha256sum * | while read sum name; do test $sum = $name || exit 1; done", 0);
    stage.run("test -z \"$(find layout -name '.*')\"", 0);
}

#[test]
fn what_a_layout_cannot_do_is_said() {
    let stage = Stage::new();
    let says = |line: &str, code: i32, words: &str| {
        let run = stage.run(&format!("glance-replicator {line}"), code);
        assert!(run.stderr.contains(words), "{line}: {}", run.stderr);
    };
    says("dump paris oci:./layout --compress zstd", 2, "holds the data as it is");
    says("dump paris oci:./layout --metadefs custom", 2, "holds no metadata definitions");
    says("metadefs paris oci:./layout", 2, "holds no metadata definitions");
    stage.run("glance-replicator dump paris oci:./layout", 0);
    stage.run("glance-replicator dump paris ./dump", 0);
    says("load ./layout lyon", 2, "this is an OCI image layout: write oci:./layout");
    says("load oci:./dump lyon", 2, "the directory holds no OCI image layout");
    says("dump paris oci:./dump", 2, "is not empty and holds no OCI image layout");
    says("dump paris ./layout", 2, "is not empty and holds no dump");
    says("livecopy oci:layout oci:./layout", 2, "the same store");
    fs::remove_file(stage.directory.path().join("layout/index.json")).unwrap();
    says("ls oci:layout", 3, "there is no index.json");
}

#[test]
fn one_process_writes_to_a_layout_at_a_time() {
    let stage = Stage::new();
    let path = stage.directory.path().join("layout");
    let lock = LayoutStore::lock(&path, &Holder::this_process(Some("dump"))).unwrap();
    let run = stage.run("glance-replicator dump paris oci:layout", 7);
    assert!(run.stderr.contains("locked by process"), "{}", run.stderr);
    drop(lock);
    stage.run("glance-replicator dump paris oci:layout", 0);
}

/// A damaged layer is found by its SHA-256, and the other images are loaded.
#[test]
fn damage_is_an_integrity_failure() {
    let stage = Stage::new();
    stage.run("glance-replicator dump paris oci:./layout --image debian-12", 0);
    stage.run("printf x | dd of=\"$(find layout -size -1001c -size +999c)\" conv=notrunc", 0);
    let run = stage.run("glance-replicator load oci:layout lyon", 6);
    assert!(run.stderr.contains("blobs/sha256/"), "{}", run.stderr);
    let run = stage.run("glance-replicator verify oci:layout", 6);
    assert!(run.stdout.contains("blobs/sha256/"), "{}", run.stdout);
}

#[test]
fn an_unfinished_layout_is_warned_of() {
    let stage = Stage::new();
    stage.run("glance-replicator dump paris oci:./layout", 0);
    let index = stage.directory.path().join("layout/index.json");
    let text = fs::read_to_string(&index).unwrap();
    let mut document: Value = serde_json::from_str(&text).unwrap();
    document["annotations"]["vnd.glance-replicator.layout.unfinished"] = "true".into();
    fs::write(&index, document.to_string()).unwrap();
    let run = stage.run("glance-replicator load oci:./layout lyon", 3);
    let said =
        "error: the layout in ./layout is unfinished, so images or their data may be missing";
    assert!(run.stderr.contains(said), "{}", run.stderr);
    stage.run("glance-replicator dump paris oci:./layout", 0);
    let run = stage.run("glance-replicator compare oci:./layout paris", 0);
    assert!(!run.stderr.contains("unfinished"), "{}", run.stderr);
}
