//! `kill -9` while a layout is written: it stays valid, and the next run completes it.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread::sleep;
use std::time::Instant;

use bytes::Bytes;
use format_dump::DumpStore;
use glance_core::image::{Attributes, Image, ImageId};
use glance_core::{Body, ImageStore};
use serde_json::Value;

use crate::support::common::{replicator_with, start};
use crate::support::extent::{Chance, extent};

#[test]
fn a_kill_leaves_a_valid_layout_that_the_next_run_completes() {
    let directory = tempfile::tempdir().unwrap();
    let word = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    let (dump, layout, state) = (word("dump"), word("layout"), word("state"));
    write_dump(Path::new(&dump));
    let layout_word = format!("oci:{layout}");
    let line = ["livecopy", &dump, &layout_word, "--state-dir", &state];
    let begin = Instant::now();
    replicator_with(&line, &[]).exits(0);
    let span = begin.elapsed();
    let mut chance = Chance::new();
    let (mut kills, mut resumed) = (0, 0);
    while kills < extent("ENDURE_KILLS", 12) {
        fs::remove_dir_all(&layout).unwrap();
        let mut run = start(&line.map(str::to_owned));
        sleep(span.mul_f64(chance.fraction()));
        if run.try_wait().unwrap().is_some() {
            continue;
        }
        run.kill().unwrap();
        run.wait().unwrap();
        kills += 1;
        resumed += usize::from(is_valid(Path::new(&layout)));
        replicator_with(&line, &[]).exits(0);
        replicator_with(&["compare", &dump, &layout_word], &[]).exits(0);
        assert!(is_valid(Path::new(&layout)));
        let left = Path::new(&layout).join(".glance-replicator.uploads");
        assert!(!left.exists(), "seed {}", chance.seed);
    }
    assert!(resumed > 0, "no kill came while the layout was written (seed {})", chance.seed);
}

/// Twelve images of 2 MiB that differ.
fn write_dump(path: &Path) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let dump = DumpStore::create(path).unwrap();
        for number in 0..12_u8 {
            let id: ImageId =
                format!("00000000-0000-4000-8000-0000000000{number:02}").parse().unwrap();
            let name = Some(format!("image {number}"));
            let image = Image::queued(id.clone(), Attributes { name, ..Attributes::default() });
            dump.create(&image).await.unwrap();
            let data: Vec<u8> = (0..=250_u8).map(|it| it ^ number).cycle().take(2 << 20).collect();
            dump.upload(&id, Body::from(Bytes::from(data))).await.unwrap();
        }
        dump.finish().await.unwrap();
    });
}

/// Fails the test unless every blob has the digest that is its name, and each manifest and each blob
/// that it names exists. Returns whether there is a layout yet.
fn is_valid(layout: &Path) -> bool {
    let index = layout.join("index.json");
    if !index.exists() {
        return false;
    }
    let sums = "sha256sum -- [0-9a-f]* | while read -r sum name; do [ \"$sum\" = \"$name\" ] || exit 1; done";
    let line = format!("cd blobs/sha256 && {{ [ -z \"$(ls)\" ] || {sums}; }}");
    let checked = Command::new("sh").args(["-c", &line]).current_dir(layout).status().unwrap();
    assert!(checked.success(), "a blob has another digest than its name");
    let json = |path: &Path| -> Value { serde_json::from_slice(&fs::read(path).unwrap()).unwrap() };
    let blob = |descriptor: &Value| {
        let name = descriptor["digest"].as_str().unwrap().trim_start_matches("sha256:").to_owned();
        let path = layout.join("blobs/sha256").join(name);
        assert_eq!(fs::metadata(&path).unwrap().len(), descriptor["size"], "{}", path.display());
        path
    };
    for entry in json(&index)["manifests"].as_array().unwrap() {
        let manifest = json(&blob(entry));
        blob(&manifest["config"]);
        manifest["layers"].as_array().unwrap().iter().for_each(|layer| drop(blob(layer)));
    }
    true
}
