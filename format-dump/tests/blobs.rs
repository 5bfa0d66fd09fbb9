//! How data is stored: shared, with holes, compressed.

#![expect(clippy::unwrap_used, reason = "a test may panic; helpers of tests are not seen as such")]

use std::fs;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use format_dump::{DumpStore, Encoding};
use futures_util::{StreamExt, stream};
use glance_core::digest::{Algorithm, Hashers};
use glance_core::image::{Attributes, Status};
use glance_core::store::memory::MemoryStore;
use glance_core::store::{ByteRange, StoreErrorKind};
use glance_core::verified_body::DataFault;
use glance_core::{Body, Image, ImageId, ImageStore, conformance};
use replicator_engine::{CopyError, Policy, Replication};

fn id(number: u8) -> ImageId {
    format!("00000000-0000-4000-8000-0000000000{number:02}").parse().unwrap()
}

/// Bytes that are practically incompressible.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 1_u64;
    let next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        state.to_be_bytes()[0]
    };
    std::iter::repeat_with(next).take(length).collect()
}

/// Uploads an image with `data` in chunks of an odd size.
async fn put(store: &DumpStore, number: u8, data: &[u8]) -> Image {
    let id = id(number);
    store.create(&Image::queued(id.clone(), Attributes::default())).await.unwrap();
    let chunks: Vec<_> = data.chunks(10_007).map(|it| Ok(Bytes::copy_from_slice(it))).collect();
    store.upload(&id, Body::from_stream(stream::iter(chunks), None)).await.unwrap()
}

async fn get(store: &DumpStore, number: u8, offset: u64, length: Option<u64>) -> Bytes {
    let body = store.read(&id(number), ByteRange { offset, length }).await.unwrap();
    body.collect(64 << 20).await.unwrap()
}

fn blob(dir: &Path, number: u8) -> PathBuf {
    dir.join(format!("{}.img", id(number)))
}

fn compressed(dir: &Path, number: u8) -> PathBuf {
    dir.join(format!("{}.img.zst", id(number)))
}

fn inode(path: &Path) -> u64 {
    fs::metadata(path).unwrap().ino()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_compressed_dump_conforms() {
    let dir = tempfile::tempdir().unwrap();
    let store = DumpStore::create(dir.path()).unwrap().encoding_as(Encoding::Zstd);
    let store = Arc::new(store);
    let report = conformance::image_store(&|| store.clone() as Arc<dyn ImageStore>).await;
    assert!(report.passed(), "{report}");
    let left: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|it| it.unwrap().path()).collect();
    assert_eq!(left, [dir.path().join("manifest.json")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn equal_data_is_kept_once_and_outlives_each_of_its_images() {
    for encoding in [Encoding::Identity, Encoding::Zstd] {
        let path = if encoding == Encoding::Identity { blob } else { compressed };
        let dir = tempfile::tempdir().unwrap();
        let store = DumpStore::create(dir.path()).unwrap().encoding_as(encoding);
        let data = noise(3 << 20);
        put(&store, 1, &data).await;
        put(&store, 2, &data).await;
        put(&store, 3, &data[1..]).await;
        // Also for concurrent uploads of equal data, and in a later run.
        let store = DumpStore::open(dir.path()).unwrap().encoding_as(encoding);
        tokio::join!(put(&store, 4, &data), put(&store, 5, &data));
        let first = inode(&path(dir.path(), 1));
        for (number, shared) in [(2, true), (3, false), (4, true), (5, true)] {
            assert_eq!(inode(&path(dir.path(), number)) == first, shared, "{encoding:?} {number}");
        }
        for number in [1, 4, 2] {
            store.delete(&id(number)).await.unwrap();
        }
        assert_eq!(get(&store, 5, 0, None).await, data);
        assert_eq!(fs::metadata(path(dir.path(), 5)).unwrap().nlink(), 1);
        let names = fs::read_dir(dir.path()).unwrap().count();
        assert_eq!(names, 5, "manifest, two records, two files of data");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_data_is_shared_with_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let store = DumpStore::create(dir.path()).unwrap();
    let data = noise(100_000);
    put(&store, 1, &data).await;
    let mut damaged = data.clone();
    damaged[70_000] ^= 1;
    fs::write(blob(dir.path(), 1), &damaged).unwrap();
    put(&store, 2, &data).await;
    assert_eq!(get(&store, 2, 0, None).await, data);
    assert_eq!(get(&store, 1, 0, None).await, damaged);
}

#[tokio::test(flavor = "multi_thread")]
async fn data_that_cannot_be_linked_is_kept_twice() {
    let dir = tempfile::tempdir().unwrap();
    let store = DumpStore::create(dir.path().join("dump")).unwrap();
    put(&store, 1, b"abc").await;
    let (path, elsewhere) = (blob(&dir.path().join("dump"), 1), dir.path().join("elsewhere"));
    fs::rename(&path, &elsewhere).unwrap();
    std::os::unix::fs::symlink(&elsewhere, &path).unwrap();
    put(&store, 2, b"abc").await;
    let second = fs::symlink_metadata(blob(&dir.path().join("dump"), 2)).unwrap();
    assert!(second.is_file() && second.nlink() == 1);
    assert_eq!(get(&store, 2, 0, None).await, "abc");
}

#[tokio::test(flavor = "multi_thread")]
async fn data_that_was_linked_before_its_record_was_written_is_taken_up() {
    let dir = tempfile::tempdir().unwrap();
    let store = DumpStore::create(dir.path()).unwrap();
    put(&store, 1, b"abc").await;
    store.create(&Image::queued(id(2), Attributes::default())).await.unwrap();
    fs::hard_link(blob(dir.path(), 1), blob(dir.path(), 2)).unwrap();
    store.upload(&id(2), Bytes::from_static(b"abc").into()).await.unwrap();
    assert_eq!(inode(&blob(dir.path(), 1)), inode(&blob(dir.path(), 2)));
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn zeros_become_holes_and_stay_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let store = DumpStore::create(dir.path()).unwrap();
    let mut data = vec![0; (8 << 20) + 5];
    data[1 << 20] = 1;
    data[(1 << 20) + 5000] = 2;
    let zeros = vec![0; (3 << 20) + 1];
    let full = noise(1 << 20);
    let hashers = Hashers::default();
    for (number, data) in [(1, &data), (2, &zeros), (3, &full)] {
        let image = put(&store, number, data).await;
        let mut sha512 = hashers.begin(Algorithm::Sha512).unwrap();
        sha512.update(data).unwrap();
        let digest = glance_core::digest::hex(&sha512.finish().unwrap());
        assert_eq!(image.os_hash_value, Some(digest));
        assert_eq!(image.size, Some(data.len() as u64));
        assert_eq!(get(&store, number, 0, None).await, data);
    }
    let allocated = |number| fs::metadata(blob(dir.path(), number)).unwrap().blocks() * 512;
    assert!((1..=64 << 10).contains(&allocated(1)), "{}", allocated(1));
    assert_eq!(allocated(2), 0);
    assert!(allocated(3) >= 1 << 20, "{}", allocated(3));
}

#[tokio::test(flavor = "multi_thread")]
async fn compressed_data_is_read_by_us_and_by_zstd_itself() {
    let dir = tempfile::tempdir().unwrap();
    let plain = DumpStore::create(dir.path()).unwrap();
    let mut data = noise(5 << 20);
    data.extend(std::iter::repeat_n(b'a', 3 << 20));
    put(&plain, 1, &data).await;
    let store = DumpStore::open(dir.path()).unwrap().encoding_as(Encoding::Zstd);
    let image = put(&store, 2, &data).await;
    // A dump may contain both encodings.
    let facts = |image: &Image| (image.status, image.size, image.os_hash_value.clone());
    assert_eq!(facts(&image), facts(&plain.get(&id(1)).await.unwrap()));
    assert_eq!(image.status, Status::Active);
    let length = fs::metadata(compressed(dir.path(), 2)).unwrap().len();
    assert!(((5 << 20)..(6 << 20)).contains(&length), "{length}");
    let file = fs::File::open(compressed(dir.path(), 2)).unwrap();
    assert!(zstd::decode_all(file).unwrap() == data);

    ranges(&store, &data).await;
    // `zstd` itself writes a single frame without a seek table.
    fs::write(compressed(dir.path(), 2), zstd::encode_all(&*data, 19).unwrap()).unwrap();
    let record = dir.path().join(format!("{}.json", id(2)));
    let text = fs::read_to_string(&record).unwrap();
    let now = fs::metadata(compressed(dir.path(), 2)).unwrap().len();
    let text = text.replace(&format!("\"stored\": {length}"), &format!("\"stored\": {now}"));
    fs::write(&record, text).unwrap();
    ranges(&store, &data).await;
}

async fn ranges(store: &DumpStore, data: &[u8]) {
    let frame = 2 << 20;
    for offset in [0, 1, frame - 1, frame, 2 * frame + 1, 3 * frame, data.len() - 1] {
        for length in [0, 1, 300_000, frame + 1, data.len()] {
            let end = (offset + length).min(data.len());
            let part = get(store, 2, offset as u64, Some(length as u64)).await;
            assert!(part == data[offset..end], "{length} from {offset}");
        }
        assert!(get(store, 2, offset as u64, None).await == data[offset..]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_compressed_data_is_an_error_and_never_more() {
    let dir = tempfile::tempdir().unwrap();
    let store = DumpStore::create(dir.path()).unwrap().encoding_as(Encoding::Zstd);
    let data: Vec<u8> = noise(300_000).into_iter().map(|byte| byte & 15).collect();
    put(&store, 1, &data).await;
    let path = compressed(dir.path(), 1);
    let good = fs::read(&path).unwrap();
    for at in (0..good.len()).step_by(good.len() / 97) {
        let mut damaged = good.clone();
        damaged[at] ^= 0x55;
        fs::write(&path, &damaged).unwrap();
        for range in [ByteRange::ALL, ByteRange { offset: 200_000, length: None }] {
            let body = store.read(&id(1), range).await.unwrap();
            match body.collect(1 << 20).await {
                // The damage is in the seek table: the data is intact.
                Ok(found) => assert!(found == data[usize::try_from(range.offset).unwrap()..]),
                Err(error) => assert!(error.to_string().contains(" is damaged: "), "{error}"),
            }
        }
    }
    fs::write(&path, &good[..good.len() - 1]).unwrap();
    let error = store.read(&id(1), ByteRange::ALL).await.unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Unreadable);
    assert!(error.reason.starts_with("the dump is truncated: "), "{error}");
}

/// Data that does not match its record counts as damaged immediately, without retries: reading it
/// again gives the same result.
#[tokio::test(flavor = "multi_thread")]
async fn compressed_data_that_is_not_as_recorded_is_damaged_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let store = DumpStore::create(dir.path()).unwrap().encoding_as(Encoding::Zstd);
    let data: Vec<u8> = noise(300_000).into_iter().map(|byte| byte & 15).collect();
    put(&store, 1, &data).await;
    let (path, record) = (compressed(dir.path(), 1), dir.path().join(format!("{}.json", id(1))));
    let (good, text) = (fs::read(&path).unwrap(), fs::read_to_string(&record).unwrap());
    let mut compressor = zstd::bulk::Compressor::with_dictionary(3, &data[..100_000]).unwrap();
    let with_dictionary = compressor.compress(&data).unwrap();
    let mut wide = zstd::Encoder::new(Vec::new(), 3).unwrap();
    wide.window_log(27).unwrap();
    wide.write_all(&noise(9 << 20)).unwrap();
    let rows: [(&str, Vec<u8>, &str); 8] = [
        ("more", [&good[..], &zstd::encode_all(&b"more"[..], 3).unwrap()].concat(), "holds more"),
        ("a frame without its end", good[..good.len() / 2].to_vec(), "incomplete frame"),
        ("nothing", Vec::new(), "incomplete frame"),
        ("less", zstd::encode_all(&data[1..], 3).unwrap(), "bytes are missing"),
        ("garbage behind it", [&good[..], b"garbage"].concat(), "nknown frame"),
        ("garbage alone", b"garbage".repeat(100), "nknown frame"),
        ("a dictionary", with_dictionary, ""),
        ("a wide window", wide.finish().unwrap(), "too much memory"),
    ];
    for (what, bytes, wanted) in rows {
        fs::write(&path, &bytes).unwrap();
        let mut value: serde_json::Value = serde_json::from_str(&text).unwrap();
        value["data"]["stored"] = bytes.len().into();
        value["data"].as_object_mut().unwrap().remove("sha512");
        fs::write(&record, value.to_string()).unwrap();
        let source = Arc::new(DumpStore::open(dir.path()).unwrap().expecting_data());
        let target = Arc::new(MemoryStore::new("target"));
        // With the default retries, which would take minutes if they happened.
        let policy = Policy::default();
        let replication = Replication { source, target: target.clone(), policy };
        let mut outcomes = Vec::new();
        let run = replication.run(|outcome| outcomes.push(outcome.result));
        tokio::time::timeout(std::time::Duration::from_secs(20), run).await.unwrap().unwrap();
        let error = outcomes.remove(0).unwrap_err();
        assert!(error.is_integrity_failure() && !error.is_retryable(), "{what}: {error:?}");
        let CopyError::Data { fault: DataFault::Damaged { reason, .. }, .. } = error else {
            panic!("{what}: {error:?}");
        };
        let name = format!("{}.img.zst is damaged: ", id(1));
        assert!(reason.starts_with(&name) && reason.contains(wanted), "{what}: {reason}");
        assert_eq!(target.get(&id(1)).await.unwrap().status, Status::Queued);
    }
}

/// A frame that requires a window of 128 MiB is rejected.
#[tokio::test(flavor = "multi_thread")]
async fn a_decoder_takes_no_more_memory_than_it_may() {
    let dir = tempfile::tempdir().unwrap();
    let store = DumpStore::create(dir.path()).unwrap().encoding_as(Encoding::Zstd);
    put(&store, 1, b"abc").await;
    let path = compressed(dir.path(), 1);
    let mut encoder = zstd::Encoder::new(fs::File::create(&path).unwrap(), 3).unwrap();
    encoder.window_log(27).unwrap();
    encoder.write_all(&noise(9 << 20)).unwrap();
    encoder.finish().unwrap();
    let record = dir.path().join(format!("{}.json", id(1)));
    let value: serde_json::Value = serde_json::from_slice(&fs::read(&record).unwrap()).unwrap();
    let mut value = value;
    value["image"]["size"] = (9 << 20).into();
    value["data"]["stored"] = fs::metadata(&path).unwrap().len().into();
    fs::write(&record, value.to_string()).unwrap();
    let body = store.read(&id(1), ByteRange::ALL).await.unwrap();
    let error = body.collect(64 << 20).await.unwrap_err();
    assert!(error.to_string().contains("requires too much memory"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_upload_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    for encoding in [Encoding::Identity, Encoding::Zstd] {
        let store = DumpStore::create(dir.path()).unwrap().encoding_as(encoding);
        let id = store.create(&Image::queued(ImageId::random(), Attributes::default())).await;
        let id = id.unwrap().id;
        let some = stream::iter([Ok(Bytes::from(noise(100_000)))]);
        let stuck = Body::from_stream(some.chain(stream::pending()), None);
        let upload = store.upload(&id, stuck);
        let short = std::time::Duration::from_millis(100);
        tokio::time::timeout(short, upload).await.unwrap_err();
        store.delete(&id).await.unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
