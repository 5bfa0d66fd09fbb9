//! Dumps in a directory: manifests, records, digests, compressed data, and the old tool's dumps.

use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use bytes::Bytes;
use format_dump::{DumpStore, Encoding, Subset};
use futures_util::{StreamExt, TryStreamExt};
use glance_core::image::{Attributes, Image, ImageId};
use glance_core::project::Project;
use glance_core::store::ByteRange;
use glance_core::{Body, ImageStore, Selection};
use proptest::prelude::*;

use super::{bounded_async, config, input, memory};

proptest! {
    #![proptest_config(config())]

    #[test]
    fn manifests(bytes in input::json(vec![file("manifest.json")], WORDS)) {
        read_with(&[("manifest.json", &bytes)]);
    }

    #[test]
    fn records(bytes in input::json(vec![file(RECORD)], WORDS)) {
        read_with(&[(RECORD, &bytes)]);
    }

    #[test]
    fn extra_files(projects in input::json(vec![file("projects.json")], WORDS), digests in input::bytes(vec![file("SHA512SUMS")], WORDS)) {
        read_with(&[
            ("projects.json", &projects),
            ("metadefs/a.json", &projects),
            ("SHA512SUMS", &digests),
        ]);
    }

    /// The record declares an encoding and a random size, so that the compressed data is parsed.
    #[test]
    fn compressed_data(bytes in input::bytes(vec![FRAMES.clone(), file(DATA)], &["^*M\u{18}", "\u{b1}\u{ea}"]), size in sizes()) {
        let mut record: serde_json::Value = serde_json::from_slice(&file(RECORD)).unwrap();
        record["image"]["size"] = size.into();
        record["data"] = serde_json::json!({ "encoding": "zstd" });
        read_with(&[(DATA, &bytes), (RECORD, record.to_string().as_bytes())]);
    }

    #[test]
    fn old_dumps(record in input::json(old_records(), &["\"property-a\"", "deleted_at", "is_public"])) {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join(ID), &record).unwrap();
        fs::write(directory.path().join(format!("{ID}.img")), b"data").unwrap();
        read(directory.path(), record.len());
    }
}

#[test]
fn nesting_and_repetition_are_bounded() {
    memory::alone();
    for bomb in [
        "[".repeat(1_000_000),
        "{\"image\":".repeat(200_000),
        format!("{{\"image\": {{\"tags\": [{}]}}}}", "\"\",".repeat(100_000)),
        format!("{{{}}}", "\"a\":0,".repeat(100_000)),
        "\"".to_owned() + &"\\u0000".repeat(100_000),
        format!("{{\"version\": 1{}}}", "0".repeat(100_000)),
        "0".repeat(128) + "  " + &"n".repeat(1_000_000),
    ] {
        let bomb = bomb.as_bytes();
        for name in ["manifest.json", RECORD, "projects.json", "metadefs/a.json", "SHA512SUMS"] {
            read_with(&[(name, bomb)]);
        }
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join(ID), bomb).unwrap();
        read(directory.path(), bomb.len());
    }
}

/// A few KiB that decompress to 128 MiB of zeros. Only a window of them may be in memory.
#[test]
fn data_that_unfolds_is_read_piece_by_piece() {
    memory::alone();
    let zeros = vec![0_u8; 16 << 20];
    let mut bomb = Vec::new();
    for _ in 0..8 {
        bomb.extend(zstd::bulk::compress(&zeros, 19).unwrap());
    }
    drop(zeros);
    for size in [4_u64, 8 << 24, u64::MAX] {
        let mut record: serde_json::Value = serde_json::from_slice(&file(RECORD)).unwrap();
        record["image"]["size"] = size.into();
        record["data"] = serde_json::json!({ "encoding": "zstd" });
        read_with(&[(DATA, &bomb), (RECORD, record.to_string().as_bytes())]);
    }
}

fn sizes() -> impl Strategy<Value = u64> {
    prop_oneof![0..10_u64, Just(3 << 20), any::<u64>(), Just(u64::MAX)]
}

/// Reads a good dump in which these files are replaced.
fn read_with(files: &[(&str, &[u8])]) {
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir(directory.path().join("metadefs")).unwrap();
    for (name, bytes) in DUMP.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())) {
        fs::write(directory.path().join(name), bytes).unwrap();
    }
    for (name, bytes) in files {
        fs::write(directory.path().join(name), bytes).unwrap();
    }
    read(directory.path(), files.iter().map(|(_, bytes)| bytes.len()).sum());
}

/// Reads everything that a dump contains.
fn read(directory: &Path, length: usize) {
    bounded_async(length + (64 << 10), async {
        let Ok(dump) = DumpStore::open(directory) else { return };
        let _ = dump.is_complete();
        let _ = dump.projects().await;
        let _ = dump.metadefs().await;
        if let Ok(mut images) = dump.list(&Selection::everything()).await {
            while let Some(image) = images.next().await {
                let Ok(image) = image else { continue };
                let _ = dump.members(&image.id).await;
                for (offset, length) in RANGES {
                    let range = ByteRange { offset: *offset, length: *length };
                    if let Ok(data) = dump.read(&image.id, range).await {
                        let _ = data.try_for_each(|_| std::future::ready(Ok(()))).await;
                    }
                }
            }
        }
        let _ = dump.verify(Subset::All, 2, &|_, data| data, drop).await;
    });
}

fn file(name: &str) -> Vec<u8> {
    let found = DUMP.iter().find(|(known, _)| known == name);
    found.unwrap_or_else(|| panic!("{name}")).1.clone()
}

/// The files of a finished dump with one small image.
static DUMP: LazyLock<Vec<(String, Vec<u8>)>> = LazyLock::new(|| dump_of(b"data"));

/// Compressed data in three frames.
static FRAMES: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let data: Vec<u8> = (0..5_u32 << 20).map(|at| (at >> 12).to_le_bytes()[0]).collect();
    let files = dump_of(&data);
    files.into_iter().find(|(name, _)| name == DATA).unwrap().1
});

fn dump_of(data: &[u8]) -> Vec<(String, Vec<u8>)> {
    let directory = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let dump = DumpStore::create(directory.path()).unwrap().encoding_as(Encoding::Zstd);
        let attributes = Attributes {
            name: Some("name".to_owned()),
            disk_format: Some("raw".to_owned()),
            container_format: Some("bare".to_owned()),
            tags: ["tag".to_owned()].into(),
            ..Attributes::default()
        };
        let image = Image::queued(ID.parse::<ImageId>().unwrap(), attributes);
        dump.create(&image).await.unwrap();
        dump.upload(&image.id, Body::from(Bytes::copy_from_slice(data))).await.unwrap();
        let project = Project { id: "1".into(), name: "p".into(), domain: "d".into() };
        dump.write_projects(&[project]).await.unwrap();
        dump.finish().await.unwrap();
    });
    let files = fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().path());
    let files = files.filter(|path| path.is_file());
    let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
    files.map(|path| (name(&path), fs::read(&path).unwrap())).collect()
}

fn old_records() -> Vec<Vec<u8>> {
    let plain = format!(
        "{{\"id\": \"{ID}\", \"name\": \"old\", \"status\": \"active\", \"size\": 4, \"checksum\": null, \
        \"created_at\": \"2012-06-25T02:10:32.000000\", \"is_public\": true, \"deleted\": false, \
        \"disk_format\": \"ami\", \"container_format\": \"ami\", \"min_ram\": 0, \"min_disk\": \"0\", \
        \"properties\": {{\"a\": \"b\", \"kernel_id\": null, \"n\": 1}}, \"protected\": \"False\"}}"
    );
    let of_headers = format!(
        "{{\"id\": \"{ID}\", \"size\": \"4\", \"property-é\": \"x\", \"is_public\": \"True\", \
        \"updated_at\": \"2012-06-25 02:10:32\", \"deleted_at\": \"\", \"owner\": \"None\"}}"
    );
    vec![plain.into_bytes(), of_headers.into_bytes()]
}

const WORDS: &[&str] = &[
    "\"size\":",
    "\"image\":{}",
    "\"members\":[{}]",
    "\"data\":null",
    "complete",
    "zstd",
    "  ",
    "\n",
];

const RANGES: &[(u64, Option<u64>)] = &[
    (0, None),
    (1, Some(3)),
    (3 << 20, Some(10)),
    (5 << 20, None),
    (u64::MAX, None),
    (u64::MAX, Some(u64::MAX)),
    (0, Some(0)),
];

const ID: &str = "6d55dd55-053a-4765-b7bc-b30df0ea3861";
const RECORD: &str = "6d55dd55-053a-4765-b7bc-b30df0ea3861.json";
const DATA: &str = "6d55dd55-053a-4765-b7bc-b30df0ea3861.img.zst";
