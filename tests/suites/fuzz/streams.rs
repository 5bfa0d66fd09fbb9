//! Dumps as tar archives that are read from a stream.

use std::sync::LazyLock;

use bytes::Bytes;
use format_dump::{Beside, StreamStore, export};
use futures_util::{StreamExt, TryStreamExt};
use glance_core::digest::Hashers;
use glance_core::image::{Attributes, Image, ImageId, Member, MemberStatus, Visibility};
use glance_core::project::Project;
use glance_core::store::ByteRange;
use glance_core::store::memory::MemoryStore;
use glance_core::{Body, ImageStore, Selection};
use proptest::prelude::*;
use proptest::sample::Index;
use replicator_engine::Policy;

use super::{bounded_async, config, input, memory};

proptest! {
    #![proptest_config(config())]

    #[test]
    fn archives(bytes in input::bytes(vec![ARCHIVE.clone()], WORDS)) {
        read(bytes);
    }

    /// Damage in headers whose checksum is right.
    #[test]
    fn headers(changes in proptest::collection::vec((any::<Index>(), 0..157_usize, field()), 1..6)) {
        let mut archive = ARCHIVE.clone();
        for (block, at, field) in changes {
            let blocks = headers_of(&archive);
            let start = blocks[block.index(blocks.len())];
            let header = &mut archive[start..start + 512];
            let end = 512.min(at + field.len());
            header[at..end].copy_from_slice(&field[..end - at]);
            sum(header);
        }
        read(archive);
    }

    /// Extended headers with arbitrary content.
    #[test]
    fn extended_headers(
        text in input::bytes(
            vec![b"15 path=a.json\n11 size=9\n".to_vec(), b"30 mtime=1.5\n".to_vec()],
            &["9 ", "6 a=b\n", "3 \n", "0 ", " =", "18446744073709551615 "],
        ),
    ) {
        let header = entry("x", b'x', &format!("{:o}", text.len()), &text);
        read([&ARCHIVE[..1024], &header, &entry("projects.json", b'0', "2", b"[]")].concat());
    }
}

/// A number, a name, or an entry type.
fn field() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        Just(b"77777777777\0".to_vec()),
        Just(b"\x80\x00\x00\x00\xff\xff\xff\xff\xff\xff\xff\xff".to_vec()),
        Just(b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff".to_vec()),
        Just(b"-1\0".to_vec()),
        Just(b"metadefs/x.json\0".to_vec()),
        Just(b"projects.json\0".to_vec()),
        Just(b"manifest.json\0".to_vec()),
        Just(b"x".to_vec()),
        Just(b"5".to_vec()),
        Just(b"L".to_vec()),
        proptest::collection::vec(any::<u8>(), 1..14),
    ]
}

/// Offsets of the blocks that look like headers.
fn headers_of(archive: &[u8]) -> Vec<usize> {
    let starts = (0..archive.len() / 512).map(|number| number * 512);
    starts.filter(|start| &archive[start + 257..start + 262] == b"ustar").collect()
}

fn sum(header: &mut [u8]) {
    header[148..156].fill(b' ');
    let sum: u64 = header.iter().map(|byte| u64::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
}

#[test]
fn lengths_that_are_not_there_take_no_memory() {
    memory::alone();
    let manifest = &ARCHIVE[..1024];
    for name in ["projects.json", "metadefs/x.json", "6d55dd55-053a-4765-b7bc-b30df0ea3861.json"] {
        let small = entry(name, b'0', "2", b"[]");
        for size in ["16777216", "16777217", "18446744073709551615"] {
            let long = format!("{} size={size}\n", size.len() + 9);
            let long = entry("x", b'x', &format!("{:o}", long.len()), long.as_bytes());
            let headers = [&long[..], &entry("metadefs/y.json", b'0', "0", b"")].concat();
            read([manifest, &small, &headers].concat());
            read([manifest, &headers, &small].concat());
        }
    }
    // An endless series of extended headers.
    read([manifest, &entry("x", b'x', "0", b"").repeat(2000)].concat());
    read([manifest, &entry("x", b'5', "0", b"").repeat(2000)].concat());
    read([manifest, &entry("x", b'x', "7777777777", b"")].concat());
}

/// A header and the block that follows it.
fn entry(name: &str, kind: u8, size: &str, contents: &[u8]) -> Vec<u8> {
    let mut entry = vec![0; 512 + contents.len().next_multiple_of(512)];
    entry[..name.len()].copy_from_slice(name.as_bytes());
    entry[124..124 + size.len()].copy_from_slice(size.as_bytes());
    entry[156] = kind;
    entry[257..263].copy_from_slice(b"ustar\0");
    sum(&mut entry[..512]);
    entry[512..512 + contents.len()].copy_from_slice(contents);
    entry
}

/// Reads the whole stream as `load` does.
fn read(bytes: Vec<u8>) {
    bounded_async(bytes.len(), async move {
        let Ok(stream) = StreamStore::open(std::io::Cursor::new(bytes), Hashers::default()).await
        else {
            return;
        };
        let mut listing = stream.list(&Selection::everything()).await.unwrap();
        let mut number = 0;
        let mut ids = Vec::new();
        while let Some(image) = listing.next().await {
            let Ok(image) = image else { break };
            number += 1;
            let _ = stream.members(&image.id).await;
            // The data of some images is skipped.
            if number % 3 > 0 {
                if let Ok(data) = stream.read(&image.id, ByteRange::ALL).await {
                    let _ = data.try_for_each(|_| std::future::ready(Ok(()))).await;
                }
            }
            ids.push(image.id);
        }
        drop(listing);
        // The data of these images comes after all others.
        for id in ids {
            if let Ok(data) = stream.read(&id, ByteRange::ALL).await {
                let _ = data.try_for_each(|_| std::future::ready(Ok(()))).await;
            }
        }
        let _ = stream.finish().await;
    });
}

static ARCHIVE: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let store = MemoryStore::new("memory");
        for number in 1..=5_u8 {
            let id: ImageId =
                format!("00000000-0000-4000-8000-00000000000{number}").parse().unwrap();
            let mut attributes = Attributes {
                name: Some("n".repeat(usize::from(number) * 30)),
                disk_format: Some("raw".to_owned()),
                container_format: Some("bare".to_owned()),
                visibility: if number == 2 { Visibility::Shared } else { Visibility::Private },
                ..Attributes::default()
            };
            if number == 3 {
                attributes.properties.insert("kernel_id".to_owned(), id.to_string());
            }
            store.create(&Image::queued(id.clone(), attributes)).await.unwrap();
            if number < 5 {
                let data = Bytes::from(vec![number; usize::from(number) * 300]);
                store.upload(&id, Body::from(data)).await.unwrap();
            }
            if number == 2 {
                let member = Member { project: "p".to_owned(), status: MemberStatus::Accepted };
                store.set_members(&id, &[member]).await.unwrap();
            }
        }
        let project = Project { id: "1".into(), name: "p".into(), domain: "d".into() };
        let metadefs = vec![serde_json::json!({ "namespace": "n".repeat(120) })];
        let extras = Beside { projects: vec![project], metadefs };
        let mut archive = Vec::new();
        export(&store, &Policy::default(), &extras, &mut archive, drop).await.unwrap();
        archive
    })
});

const WORDS: &[&str] =
    &["ustar\0", "\0\0\0\0\0\0\0\0", "size=99\n", "13 path=a.json\n", ".failed", ".img"];
