//! Interrupted uploads, and uploads that resume.

#![expect(clippy::unwrap_used, reason = "a test may panic; helpers of tests are not seen as such")]

use std::fs::{self, File, FileTimes};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use bytes::Bytes;
use format_dump::{DumpStore, Encoding};
use futures_util::{StreamExt, stream};
use glance_core::digest::{Algorithm, Awaited, Digests, Hasher, Hashers, hex};
use glance_core::error::BodyError;
use glance_core::image::{Attributes, Status};
use glance_core::store::{ByteRange, StoreError, StoreErrorKind};
use glance_core::verified_body::Expected;
use glance_core::verified_body::checked;
use glance_core::{Body, Image, ImageId, ImageStore};
use tokio::sync::Notify;

const ID: &str = "6d55dd55-053a-4765-b7bc-b30df0ea3861";

/// A dump in a temporary directory, with a queued image.
struct Dump {
    dir: tempfile::TempDir,
    store: DumpStore,
    id: ImageId,
}

impl Dump {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = DumpStore::create(dir.path()).unwrap();
        let id: ImageId = ID.parse().unwrap();
        store.create(&Image::queued(id.clone(), Attributes::default())).await.unwrap();
        Self { dir, store, id }
    }

    fn file(&self, suffix: &str) -> PathBuf {
        self.dir.path().join(format!("{ID}{suffix}"))
    }

    /// An upload that fails after `data`.
    async fn breaks_off(&self, data: &[u8]) -> StoreError {
        let parts = [Ok(Bytes::copy_from_slice(data)), Err("the source failed".into())];
        let error = self.upload(Body::from_stream(stream::iter(parts), None)).await.unwrap_err();
        assert_eq!(error.kind, StoreErrorKind::Data);
        error
    }

    async fn upload(&self, data: Body) -> Result<Image, StoreError> {
        self.store.upload(&self.id, data).await
    }

    async fn partial_data(&self) -> Bytes {
        self.store.partial_data(&self.id).await.unwrap().collect(64 << 20).await.unwrap()
    }

    async fn holds(&self, data: &[u8]) {
        let image = self.store.get(&self.id).await.unwrap();
        assert_eq!((image.status, image.size), (Status::Active, Some(data.len() as u64)));
        assert_eq!(image.os_hash_value, Some(sha512(data)));
        let read = self.store.read(&self.id, ByteRange::ALL).await.unwrap();
        assert!(read.collect(64 << 20).await.unwrap() == data);
        assert!(!self.file(".img.partial").exists());
    }
}

fn body(data: &[u8]) -> Body {
    Body::from(Bytes::copy_from_slice(data))
}

/// Bytes with zeros among them.
fn data() -> Vec<u8> {
    let mut data: Vec<u8> = (0..=250_u8).cycle().take(1 << 20).collect();
    data[300_000..700_000].fill(0);
    data
}

fn digest(algorithm: Algorithm, data: &[u8]) -> String {
    let mut hasher = Hashers::default().begin(algorithm).unwrap();
    hasher.update(data).unwrap();
    hex(&hasher.finish().unwrap())
}

fn sha512(data: &[u8]) -> String {
    digest(Algorithm::Sha512, data)
}

#[tokio::test]
async fn received_bytes_are_neither_rewritten_nor_lost() {
    let (dump, data) = (Dump::new().await, data());
    for came in [1, 299_999, 500_000, data.len()] {
        dump.breaks_off(&data[..came]).await;
        assert!(dump.partial_data().await == data[..came], "{came}");
        assert_eq!(dump.store.get(&dump.id).await.unwrap().status, Status::Queued);
    }
    let partial = File::options().write(true).open(dump.file(".img.partial")).unwrap();
    let long_ago = FileTimes::new().set_modified(SystemTime::UNIX_EPOCH);
    partial.set_times(long_ago).unwrap();
    let before = partial.metadata().unwrap();
    dump.upload(body(&data)).await.unwrap();
    dump.holds(&data).await;
    let after = fs::metadata(dump.file(".img")).unwrap();
    let facts = |it: &fs::Metadata| (it.ino(), it.mtime(), it.blocks());
    assert_eq!(facts(&after), facts(&before));
    assert!(after.blocks() * 512 < data.len() as u64 * 3 / 4, "zeros are holes");
}

#[tokio::test]
async fn other_bytes_on_the_disk_are_replaced() {
    let data = data();
    let mut others = [data.clone(), data.clone(), data.clone(), vec![0; 2 << 20], vec![7; 9]];
    others[0][0] ^= 1;
    others[1][400_000] ^= 1;
    others[2].extend(b"and more");
    for other in others {
        let dump = Dump::new().await;
        fs::write(dump.file(".img.partial"), &other).unwrap();
        assert!(dump.partial_data().await == other);
        let chunks: Vec<_> = data.chunks(10_007).map(|it| Ok(Bytes::copy_from_slice(it))).collect();
        dump.upload(Body::from_stream(stream::iter(chunks), None)).await.unwrap();
        dump.holds(&data).await;
    }
}

/// A short upload, a wrong digest, interruptions, and an oversized upload.
#[tokio::test]
async fn only_plausible_data_is_kept() {
    let dump = Dump::new().await;
    let upload = |data: Body, size: u64, of: &'static str| {
        let digest = Some((Algorithm::Sha512, sha512(of.as_bytes())));
        let expected =
            Expected { size: Some(size), digest, also: std::collections::BTreeSet::new() };
        dump.upload(checked(data, expected, Hashers::default()).0)
    };
    let chunks = |last| {
        let chunks = [Ok(Bytes::from_static(b"abc")), last];
        Body::from_stream(stream::iter(chunks), None)
    };
    let end = || Ok(Bytes::from_static(b"def"));
    upload(chunks(end()), 9, "abcdefghi").await.unwrap_err();
    assert_eq!(dump.partial_data().await, "abc", "the last chunk is held back");
    upload(chunks(end()), 6, "ABCDEF").await.unwrap_err();
    assert!(!dump.file(".img.partial").exists(), "another digest");
    upload(chunks(Err("broken".into())), 6, "abcdef").await.unwrap_err();
    assert_eq!(dump.partial_data().await, "");
    let three = [Ok(Bytes::from_static(b"abc")), end(), Err("broken".into())];
    let three = Body::from_stream(stream::iter(three), None);
    upload(three, 9, "abcdefghi").await.unwrap_err();
    assert_eq!(dump.partial_data().await, "abc");
    upload(chunks(end()), 4, "abcd").await.unwrap_err();
    assert!(!dump.file(".img.partial").exists(), "too long");
    upload(chunks(end()), 6, "abcdef").await.unwrap();
    dump.holds(b"abcdef").await;
}

/// As left by a kill between sharing the data and writing the record.
#[tokio::test]
async fn nothing_is_written_into_the_data_of_another_image() {
    let (dump, data) = (Dump::new().await, data());
    let other = Image::queued(ImageId::random(), Attributes::default());
    dump.store.create(&other).await.unwrap();
    dump.store.upload(&other.id, body(&data)).await.unwrap();
    let blob = dump.dir.path().join(format!("{}.img", other.id));
    for name in [".img.partial", ".img"] {
        fs::hard_link(&blob, dump.file(name)).unwrap();
        assert_eq!(dump.partial_data().await, "");
        dump.breaks_off(b"other data").await;
        assert_eq!(dump.partial_data().await, "other data");
        assert!(fs::read(&blob).unwrap() == data);
        fs::remove_file(dump.file(".img.partial")).unwrap();
    }
    dump.upload(body(b"other data")).await.unwrap();
    dump.holds(b"other data").await;
}

/// As left by a kill, or a full disk, between writing the data and the record.
#[tokio::test]
async fn data_without_its_record_is_taken_up() {
    let (dump, data) = (Dump::new().await, data());
    fs::write(dump.file(".img"), &data).unwrap();
    let inode = fs::metadata(dump.file(".img")).unwrap().ino();
    assert!(dump.partial_data().await == data);
    dump.upload(body(&data)).await.unwrap();
    dump.holds(&data).await;
    assert_eq!(fs::metadata(dump.file(".img")).unwrap().ino(), inode);
    // Data that a stream's writer padded with zeros must not be resumed.
    let record = fs::read_to_string(dump.file(".json")).unwrap();
    fs::write(dump.file(".failed"), "the source failed").unwrap();
    assert_eq!(dump.partial_data().await, "");
    assert_eq!(record, fs::read_to_string(dump.file(".json")).unwrap());
}

#[tokio::test]
async fn compressed_data_starts_over() {
    let dump = Dump::new().await;
    dump.breaks_off(b"plain").await;
    let dir = dump.dir.path().to_owned();
    let Dump { store, id, .. } = &dump;
    assert_eq!(store.partial_data(id).await.unwrap().size(), Some(5));
    let store = DumpStore::create(&dir).unwrap().encoding_as(Encoding::Zstd);
    assert_eq!(store.partial_data(id).await.unwrap().size(), Some(0));
    let parts = [Ok(Bytes::from_static(b"some")), Err("the source failed".into())];
    store.upload(id, Body::from_stream(stream::iter(parts), None)).await.unwrap_err();
    assert!(!dump.file(".img.zst.partial").exists());
    store.upload(id, body(b"all of it")).await.unwrap();
    let mut left: Vec<_> = fs::read_dir(&dir).unwrap().map(|it| it.unwrap().file_name()).collect();
    left.sort();
    let wanted = [format!("{ID}.img.zst"), format!("{ID}.json"), "manifest.json".to_owned()];
    assert_eq!(left, wanted.map(Into::<std::ffi::OsString>::into));
}

#[tokio::test]
async fn a_dropped_upload_is_over_before_the_next_one_begins() {
    let (dump, data) = (Dump::new().await, data().repeat(32));
    for _ in 0..5 {
        // Large chunks, so that writing the queued ones takes a while.
        let chunks: Vec<_> =
            data.chunks(8 << 20).map(|it| Ok(Bytes::copy_from_slice(it))).collect();
        let taken = Arc::new(Notify::new());
        let all_taken = Arc::clone(&taken);
        let stuck = stream::once(async move {
            all_taken.notify_one();
            std::future::pending().await
        });
        let data_and_no_end = Body::from_stream(stream::iter(chunks).chain(stuck), None);
        tokio::select! {
            _ = dump.upload(data_and_no_end) => panic!("an upload without an end ended"),
            () = taken.notified() => {}
        }
        // The image is not available until all writing has ended.
        while dump.store.get(&dump.id).await.unwrap().status == Status::Saving {
            tokio::task::yield_now().await;
        }
        assert!(dump.partial_data().await == data);
        fs::remove_file(dump.file(".img.partial")).unwrap();
    }
    dump.store.delete(&dump.id).await.unwrap();
    assert_eq!(fs::read_dir(dump.dir.path()).unwrap().count(), 1);
}

#[tokio::test]
async fn nothing_remains_of_a_deleted_image() {
    let dump = Dump::new().await;
    dump.breaks_off(b"abc").await;
    fs::remove_file(dump.file(".json")).unwrap();
    assert_eq!(dump.partial_data().await, "");
    dump.store.create(&Image::queued(dump.id.clone(), Attributes::default())).await.unwrap();
    assert_eq!(dump.partial_data().await, "");
    assert!(!dump.file(".img.partial").exists());
    // The image is deleted during the upload.
    let record = dump.file(".json");
    let deleting = stream::once(async move {
        fs::remove_file(record).unwrap();
        Ok(Bytes::from_static(b"abc"))
    });
    let error = dump.upload(Body::from_stream(deleting, None)).await.unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::NotFound);
    assert_eq!(fs::read_dir(dump.dir.path()).unwrap().count(), 1);
}

/// The algorithms of the computed digests. Only one test uses this.
static COMPUTED: Mutex<Vec<Algorithm>> = Mutex::new(Vec::new());

struct Counted(Algorithm, Box<dyn Hasher>);

impl Hasher for Counted {
    fn update(&mut self, bytes: &[u8]) -> Result<(), BodyError> {
        self.1.update(bytes)
    }

    fn finish(self: Box<Self>) -> Result<Vec<u8>, BodyError> {
        COMPUTED.lock().unwrap().push(self.0);
        self.1.finish()
    }
}

fn counted() -> Hashers {
    Hashers::new(|it| Some(Box::new(Counted(it, Hashers::default().begin(it)?))))
}

/// Digests that the data carries are not computed again, and MD5 is computed only if no stronger
/// digest verifies the data.
#[tokio::test]
async fn nothing_is_hashed_twice_and_md5_only_where_it_must() {
    use Algorithm::{Md5, Sha256, Sha512};
    let dir = tempfile::tempdir().unwrap();
    let store = DumpStore::create(dir.path()).unwrap().hashing_with(counted());
    let wrong = "0".repeat(64);
    let (sha512, sha256, md5) = (sha512(b"abc"), digest(Sha256, b"abc"), digest(Md5, b"abc"));
    // The announced digests, the digests that the data carries, the computed ones, the checksum.
    let announced = |algorithm: &str, value: &str, checksum: Option<&str>| {
        let checksum = checksum.map(str::to_owned);
        Some((algorithm.to_owned(), value.to_owned(), checksum))
    };
    let rows = [
        (None, vec![], vec![Md5, Sha512], Some(&*md5)),
        (None, vec![Sha512], vec![Md5], Some(&*md5)),
        (None, vec![Md5], vec![Sha512], Some(&*md5)),
        (announced("sha512", &sha512, Some("theirs")), vec![Sha512], vec![], Some("theirs")),
        (announced("sha512", &sha512, None), vec![Sha512], vec![], None),
        (announced("sha512", &sha512, Some("theirs")), vec![], vec![Sha512], Some("theirs")),
        (announced("sha256", &sha256, Some("theirs")), vec![Sha256], vec![Sha512], Some("theirs")),
        // Data that does not match the announcement, so the announced checksum does not apply.
        (announced("sha256", &wrong, Some("theirs")), vec![Sha256], vec![Sha512], None),
        // An unknown algorithm verifies nothing.
        (announced("blake2b", &wrong, Some("theirs")), vec![], vec![Md5, Sha512], Some(&*md5)),
    ];
    for (announced, carried, computed, checksum) in rows {
        let image = Image::queued(ImageId::random(), Attributes::default());
        let mut advice = image.clone();
        if let Some((algorithm, value, checksum)) = announced {
            (advice.os_hash_algo, advice.os_hash_value) = (Some(algorithm), Some(value));
            advice.checksum = checksum;
        }
        let record = store.create(&advice).await.unwrap();
        assert_eq!((&record.checksum, &record.os_hash_value), (&None, &None));
        // The announcement survives changes to the record.
        let renamed = Attributes { name: Some("new".to_owned()), ..Attributes::default() };
        store.update(&record, &renamed).await.unwrap();
        let digests = Awaited::of(carried.iter().copied());
        digests.set(carried.iter().map(|it| (*it, digest(*it, b"abc"))).collect::<Digests>());
        let data = body(b"abc").carrying((!carried.is_empty()).then_some(digests));
        let stored = store.upload(&image.id, data).await.unwrap();
        let mut by_the_store = std::mem::take(&mut *COMPUTED.lock().unwrap());
        by_the_store.sort();
        assert_eq!(by_the_store, computed, "{advice:?}");
        assert_eq!(stored.checksum.as_deref(), checksum, "{advice:?}");
        let algorithm: Algorithm = stored.os_hash_algo.unwrap().parse().unwrap();
        assert_eq!(stored.os_hash_value, Some(digest(algorithm, b"abc")));
        let record = fs::read_to_string(dir.path().join(format!("{}.json", image.id))).unwrap();
        assert!(record.contains(&sha512) && !record.contains("expected"), "{record}");
    }
}

#[tokio::test]
async fn missing_digests_fail_the_upload() {
    let dump = Dump::new().await;
    let data = body(b"abc").carrying(Some(Awaited::of([Algorithm::Sha512])));
    let error = dump.upload(data).await.unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Data);
    assert_eq!(dump.store.get(&dump.id).await.unwrap().status, Status::Queued);
}
