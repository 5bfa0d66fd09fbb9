//! A dump as a stream: written, read, extracted by tar, truncated and damaged.

#![expect(clippy::unwrap_used, reason = "a test may panic; helpers of tests are not seen as such")]

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use bytes::Bytes;
use format_dump::{DumpStore, Encoding, Extras, StreamStore, Subset, TarWriter};
use futures_util::TryStreamExt;
use glance_core::digest::Hashers;
use glance_core::image::provenance::{NEW_ID, SOURCE_ID};
use glance_core::image::{Attributes, Member, MemberStatus, Owner, Status, Visibility};
use glance_core::project::Project;
use glance_core::store::memory::MemoryStore;
use glance_core::store::{Activation, ByteRange, StoreErrorKind};
use glance_core::{Image, ImageId, ImageStore, Selection, StoreError};
use replicator_engine::{Done, Policy, Replication, Retries, RunError, State, export};
use serde_json::json;

fn id(number: u8) -> ImageId {
    format!("00000000-0000-4000-8000-0000000000{number:02}").parse().unwrap()
}

/// Bytes that differ between images and between chunks.
fn data(number: u8) -> Vec<u8> {
    let length = [0, 1, 511, 512, 513, 700_001][usize::from(number) % 6];
    (0..length).map(|at: usize| number ^ at.to_le_bytes()[0] ^ at.to_le_bytes()[1]).collect()
}

/// Six images, one with members and one deactivated, and a record without data.
async fn fill(store: &dyn ImageStore) {
    for number in 0..6 {
        let attributes = Attributes {
            name: Some(format!("image {number}")),
            owner: Owner::Project("someone".to_owned()),
            visibility: if number == 3 { Visibility::Shared } else { Visibility::Community },
            disk_format: Some("raw".to_owned()),
            container_format: Some("bare".to_owned()),
            ..Attributes::default()
        };
        store.create(&Image::queued(id(number), attributes)).await.unwrap();
        store.upload(&id(number), data(number).into_body()).await.unwrap();
    }
    let member = Member { project: "p".to_owned(), status: MemberStatus::Accepted };
    store.set_members(&id(3), &[member]).await.unwrap();
    store.set_activation(&id(5), Activation::Deactivated).await.unwrap();
    store.create(&Image::queued(id(9), Attributes::default())).await.unwrap();
}

trait IntoBody {
    fn into_body(self) -> glance_core::Body;
}

impl IntoBody for Vec<u8> {
    fn into_body(self) -> glance_core::Body {
        Bytes::from(self).into()
    }
}

fn extras() -> Extras {
    let project = Project { id: "1".into(), name: "p".into(), domain: "d".into() };
    let metadefs = vec![json!({ "namespace": "n".repeat(80) + "/n" }), json!({ "namespace": "b" })];
    Extras { projects: vec![project], metadefs }
}

/// The stream of `source`, and the images that failed.
async fn stream_of(source: &dyn ImageStore) -> (Vec<u8>, Vec<ImageId>) {
    let (mut out, mut failed) = (Vec::new(), Vec::new());
    let observe = |outcome: replicator_engine::Outcome| {
        if outcome.result.is_err() {
            failed.push(outcome.image.id);
        }
    };
    let mut writer = TarWriter::begin(&mut out, Hashers::default(), &extras()).await.unwrap();
    export(source, &Policy::default(), &mut writer, observe).await.unwrap();
    (out, failed)
}

/// Loads a stream: the resulting store, the number of copied images, and the final result.
async fn load(stream: Vec<u8>) -> (Arc<MemoryStore>, usize, Result<(), StoreError>) {
    let target = Arc::new(MemoryStore::new("target"));
    let source = match StreamStore::open(std::io::Cursor::new(stream), Hashers::default()).await {
        Ok(source) => Arc::new(source),
        Err(error) => return (target, 0, Err(error)),
    };
    // A stream can be read only once.
    let retries = Retries { per_run: 0, ..Retries::default() };
    let policy = Policy { transfers: 1, retries, ..Policy::default() };
    let (mut copied, kept, stream) = (0, Arc::clone(&target), Arc::clone(&source));
    let replication = Replication { source, target, policy };
    let ended = replication.run(|outcome| {
        copied += usize::from(matches!(outcome.result, Ok(Done::Copied)));
    });
    let ended = match ended.await {
        Ok(()) => stream.finish().await,
        Err(RunError::Listing(error)) => Err(error),
        Err(other) => panic!("{other}"),
    };
    (kept, copied, ended)
}

/// Checks that every image with data has that of `data`, and counts these images.
async fn only_right_images(store: &MemoryStore) -> usize {
    let images: Vec<Image> =
        store.list(&Selection::everything()).await.unwrap().try_collect().await.unwrap();
    let mut whole = 0;
    for image in images.iter().filter(|image| image.status.has_data()) {
        let number = image.id.as_str()[34..].parse().unwrap();
        let body = store.read(&image.id, ByteRange::ALL).await.unwrap();
        assert!(body.collect(1 << 20).await.unwrap() == data(number), "{}", image.id);
        whole += 1;
    }
    whole
}

/// Extracts a stream with the system's tar.
fn extract(stream: &[u8], dir: &Path) {
    let tar = Command::new("tar").args(["-xf", "-", "-C"]).arg(dir).stdin(Stdio::piped()).spawn();
    let mut tar = tar.unwrap();
    tar.stdin.take().unwrap().write_all(stream).unwrap();
    assert!(tar.wait().unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_streamed_arrives() {
    let dir = tempfile::tempdir().unwrap();
    for encoding in [None, Some(Encoding::Identity), Some(Encoding::Zstd)] {
        let source: Arc<dyn ImageStore> = match encoding {
            None => Arc::new(MemoryStore::new("source")),
            Some(encoding) => {
                let path = dir.path().join(format!("{encoding:?}"));
                Arc::new(DumpStore::create(path).unwrap().encoding_as(encoding))
            }
        };
        fill(&*source).await;
        let (stream, failed) = stream_of(&*source).await;
        assert_eq!(failed, []);
        assert_eq!(stream.len() % 512, 0);
        let (target, copied, ended) = load(stream).await;
        ended.unwrap();
        assert_eq!((copied, only_right_images(&target).await), (6, 6));
        let replication = Replication { source, target, policy: Policy::default() };
        let mut states = Vec::new();
        replication.plan(|entry| states.push(entry.state)).await.unwrap();
        let same = states.iter().filter(|state| **state == State::Same).count();
        assert_eq!((states.len(), same), (7, 6), "{states:?}");
    }
}

/// The kernel that an image is booted with sorts after the image.
#[tokio::test(flavor = "multi_thread")]
async fn images_that_refer_to_others_come_last() {
    let source = MemoryStore::new("source");
    fill(&source).await;
    for (number, kernel) in [(1, 4), (5, 1)] {
        let image = source.get(&id(number)).await.unwrap();
        let mut wanted = image.attributes.clone();
        wanted.properties.insert("kernel_id".to_owned(), id(kernel).to_string());
        source.update(&image, &wanted).await.unwrap();
    }
    let (stream, failed) = stream_of(&source).await;
    assert_eq!(failed, []);
    let (target, copied, ended) = load(stream.clone()).await;
    ended.unwrap();
    assert_eq!((copied, only_right_images(&target).await), (6, 6));
    // Images that are not selected are skipped, wherever they are in the stream.
    let selection = Selection::new(["name=image 5".parse().unwrap()], [], []);
    let store = StreamStore::open(std::io::Cursor::new(stream.clone()), Hashers::default()).await;
    let store = store.unwrap().selecting(selection);
    let images = store.list(&Selection::everything()).await.unwrap();
    let listed: Vec<Image> = images.try_collect().await.unwrap();
    assert_eq!(listed.iter().map(|image| &image.id).collect::<Vec<_>>(), [&id(5)]);
    assert_eq!(store.get(&id(5)).await.unwrap(), listed[0]);
    let body = store.read(&id(5), ByteRange::ALL).await.unwrap();
    assert!(body.collect(1 << 20).await.unwrap() == data(5));
    store.finish().await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    extract(&stream, dir.path());
    let dump = DumpStore::open(dir.path()).unwrap();
    let found = dump.verify(Subset::All, 2, &|_, data| data, drop).await.unwrap();
    assert_eq!((found.read, found.faults, found.foreign), (6, 0, 0));
    for cut in (0..stream.len() - 1024).step_by(4099) {
        let (target, _, ended) = load(stream[..cut].to_vec()).await;
        assert_eq!(
            ended.unwrap_err().reason,
            "the stream was truncated: it ends before its last entry",
            "{cut}"
        );
        only_right_images(&target).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tar_makes_a_dump_of_it() {
    let source = MemoryStore::new("source");
    fill(&source).await;
    let (stream, _) = stream_of(&source).await;
    let dir = tempfile::tempdir().unwrap();
    extract(&stream, dir.path());
    let dump = DumpStore::open(dir.path()).unwrap();
    assert!(dump.is_complete().unwrap());
    let found = dump
        .verify(Subset::All, 2, &|_, data| data, |finding| drop(format!("{finding:?}")))
        .await
        .unwrap();
    assert_eq!((found.images, found.read, found.faults), (6, 6, 0));
    assert_eq!((found.leftovers, found.foreign), (0, 0));
    assert_eq!(dump.projects().await.unwrap(), extras().projects);
    assert_eq!(dump.metadefs().await.unwrap().len(), 2);
    let mut check = Command::new("sha512sum");
    check.args(["-c", "--strict", "SHA512SUMS"]).current_dir(dir.path()).stdout(Stdio::null());
    assert!(check.status().unwrap().success());
    let (target, source) = (Arc::new(MemoryStore::new("target")), Arc::new(dump));
    let replication =
        Replication { source, target: Arc::clone(&target) as _, policy: Policy::default() };
    replication.run(|outcome| drop(outcome.result.unwrap())).await.unwrap();
    assert_eq!(only_right_images(&target).await, 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn images_in_place_are_passed_over() {
    let source = MemoryStore::new("source");
    fill(&source).await;
    let (bytes, _) = stream_of(&source).await;
    let stream = StreamStore::open(std::io::Cursor::new(bytes), Hashers::default()).await.unwrap();
    assert_eq!(stream.extras(), &Extras { metadefs: stream.extras().metadefs.clone(), ..extras() });
    assert_eq!(stream.extras().metadefs.len(), 2);
    let mut listing = stream.list(&Selection::everything()).await.unwrap();
    let mut seen = 0;
    while let Some(image) = listing.try_next().await.unwrap() {
        seen += 1;
        match seen {
            // Not read at all; read partly; read completely.
            1 => {}
            2 => drop(stream.read(&image.id, ByteRange::ALL).await.unwrap().try_next().await),
            6 => {
                let mut body = stream.read(&image.id, ByteRange::ALL).await.unwrap();
                assert!(body.try_next().await.unwrap().unwrap().len() < 700_001);
                drop(body);
                let again = stream.read(&image.id, ByteRange::ALL).await.unwrap_err();
                assert_eq!(again.kind, StoreErrorKind::Conflict);
            }
            _ => {
                let body = stream.read(&image.id, ByteRange::ALL).await.unwrap();
                assert_eq!(body.size(), image.size);
                body.collect(1 << 20).await.unwrap();
                assert_eq!(stream.get(&image.id).await.unwrap(), image);
            }
        }
    }
    assert_eq!(seen, 6);
    drop(listing);
    let error = stream.read(&id(1), ByteRange::ALL).await.unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Conflict);
    let error = stream.delete(&id(1)).await.unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Forbidden);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_stream_is_an_error_and_makes_no_wrong_image() {
    let source = MemoryStore::new("source");
    fill(&source).await;
    let (stream, _) = stream_of(&source).await;
    let end = stream.len() - 1024;
    for cut in (0..end).step_by(4099).chain([1, 511, 512, end - 1, end]) {
        let (target, _, ended) = load(stream[..cut].to_vec()).await;
        let error = ended.unwrap_err();
        assert_eq!(error.kind, StoreErrorKind::Unreadable);
        assert_eq!(
            error.reason, "the stream was truncated: it ends before its last entry",
            "{cut}"
        );
        only_right_images(&target).await;
    }
    // A proper end of the archive, but without the last manifest.
    let mut short = stream[..end - 1024].to_vec();
    short.extend([0; 1024]);
    let (target, copied, ended) = load(short).await;
    let said = "the stream was truncated: its end does not mark it as complete";
    assert_eq!(ended.unwrap_err().reason, said);
    assert_eq!((copied, only_right_images(&target).await), (6, 6));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_stream_makes_no_wrong_image() {
    let source = MemoryStore::new("source");
    fill(&source).await;
    let (stream, _) = stream_of(&source).await;
    for at in (0..stream.len()).step_by(1201) {
        let mut damaged = stream.clone();
        damaged[at] ^= 1;
        let (target, ..) = load(damaged).await;
        only_right_images(&target).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_is_named() {
    let letter = vec![b'x'; 100_000];
    let (_, _, ended) = load(letter.clone()).await;
    let error = ended.unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Unreadable);
    assert_eq!(error.reason, "the input is not the stream of a dump");
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("letter"), letter).unwrap();
    let tar = Command::new("tar").arg("-cC").arg(dir.path()).args(["-f", "-", "."]).output();
    let (_, _, ended) = load(tar.unwrap().stdout).await;
    let error = ended.unwrap_err();
    assert_eq!(error.reason, "the stream does not begin with the manifest of a dump");
    assert!(error.hint.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_whose_source_fails_is_not_taken_for_good() {
    let dir = tempfile::tempdir().unwrap();
    let source = DumpStore::create(dir.path()).unwrap();
    fill(&source).await;
    let blob = |number| dir.path().join(format!("{}.img", id(number)));
    // One image fails before its data, one at its last byte.
    fs::write(blob(3), "short").unwrap();
    let mut damaged = data(5);
    damaged[700_000] ^= 1;
    fs::write(blob(5), damaged).unwrap();
    let (stream, failed) = stream_of(&source).await;
    assert_eq!(failed, [id(3), id(5)]);

    let (target, copied, ended) = load(stream.clone()).await;
    assert_eq!((copied, only_right_images(&target).await), (4, 4));
    let said = format!("the writer of the stream failed on 2 images, first on {}", id(3));
    assert_eq!(ended.unwrap_err().reason, said);

    let out = tempfile::tempdir().unwrap();
    extract(&stream, out.path());
    let dump = DumpStore::open(out.path()).unwrap();
    assert!(!dump.is_complete().unwrap());
    assert_eq!(dump.get(&id(5)).await.unwrap().status, Status::Queued);
    let found = dump.verify(Subset::All, 1, &|_, data| data, drop).await.unwrap();
    assert_eq!((found.read, found.faults), (4, 2));
    // A later dump completes the directory.
    let good = MemoryStore::new("good");
    fill(&good).await;
    let dump = Arc::new(DumpStore::create(out.path()).unwrap());
    let policy = Policy::default();
    let replication = Replication { source: Arc::new(good), target: dump.clone(), policy };
    replication.run(|outcome| drop(outcome.result.unwrap())).await.unwrap();
    dump.finish().await.unwrap();
    let found = dump.verify(Subset::All, 1, &|_, data| data, drop).await.unwrap();
    assert_eq!((found.read, found.faults, found.leftovers, found.foreign), (6, 0, 0, 0));
}

/// An old dump's record without a checksum: only the stream can verify the data.
#[tokio::test(flavor = "multi_thread")]
async fn data_without_a_digest_gets_one_on_the_way() {
    let dir = tempfile::tempdir().unwrap();
    let record = json!({ "id": id(5).as_str(), "status": "active", "size": 700_001,
        "is_public": false, "checksum": null, "properties": {} });
    fs::write(dir.path().join(id(5).as_str()), record.to_string()).unwrap();
    fs::write(dir.path().join(format!("{}.img", id(5))), data(5)).unwrap();
    let source = DumpStore::open(dir.path()).unwrap();
    let (stream, failed) = stream_of(&source).await;
    assert_eq!(failed, []);
    let (target, copied, ended) = load(stream.clone()).await;
    ended.unwrap();
    assert_eq!((copied, only_right_images(&target).await), (1, 1));

    // A damaged byte in the middle of the data.
    let data = data(5);
    let at = stream.windows(64).position(|window| *window == data[300_000..300_064]).unwrap();
    let mut damaged = stream.clone();
    damaged[at] ^= 1;
    let (target, copied, _) = load(damaged).await;
    assert_eq!((copied, only_right_images(&target).await), (0, 0));

    // As written after a failure of the image; and malformed, without the entries that must follow
    // the data.
    let files = tempfile::tempdir().unwrap();
    extract(&stream, files.path());
    let record = files.path().join(format!("{}.json", id(5)));
    let mut value: serde_json::Value = serde_json::from_slice(&fs::read(&record).unwrap()).unwrap();
    value["image"]["os_hash_value"] = json!(null);
    fs::write(&record, value.to_string()).unwrap();
    fs::write(files.path().join(format!("{}.failed", id(5))), "cut").unwrap();
    let [json, img, failed] = ["json", "img", "failed"].map(|it| format!("{}.{it}", id(5)));
    for names in [vec![&json, &img, &failed], vec![&json, &img]] {
        let mut tar = Command::new("tar");
        tar.arg("-cC").arg(files.path()).args(["--hard-dereference", "-f", "-", "manifest.json"]);
        let out = tar.args(&names).arg("./manifest.json").output().unwrap();
        let (target, copied, ended) = load(out.stdout).await;
        assert_eq!((copied, only_right_images(&target).await), (0, 0));
        assert_eq!(ended.is_err(), names.len() == 3, "{ended:?}");
    }
}

/// A size above 8 GiB, read by the system's tar. The data is a hole, and the pipe ends early.
#[tokio::test(flavor = "multi_thread")]
async fn tar_reads_large_sizes() {
    let dir = tempfile::tempdir().unwrap();
    let size: u64 = 9 << 30;
    let record = json!({ "id": id(1).as_str(), "status": "active", "size": size,
        "is_public": false, "checksum": null, "properties": {} });
    fs::write(dir.path().join(id(1).as_str()), record.to_string()).unwrap();
    let blob = fs::File::create(dir.path().join(format!("{}.img", id(1)))).unwrap();
    blob.set_len(size).unwrap();
    let source = DumpStore::open(dir.path()).unwrap();
    let mut head = Head(Vec::new());
    let mut writer = TarWriter::begin(&mut head, Hashers::default(), &extras()).await.unwrap();
    let error = export(&source, &Policy::default(), &mut writer, drop).await.unwrap_err();
    assert_eq!(error.reason, "the reader of the stream has gone");
    let mut tar = Command::new("tar")
        .args(["-tvf", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    tar.stdin.take().unwrap().write_all(&head.0).unwrap();
    let listed = String::from_utf8(tar.wait_with_output().unwrap().stdout).unwrap();
    assert!(listed.contains(&format!(" {size} ")), "{listed}");
}

/// Archives by `tar` itself, with entries that do not occur in a stream.
#[tokio::test(flavor = "multi_thread")]
async fn entries_of_other_types_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let store = DumpStore::create(dir.path()).unwrap();
    let mut sparse = vec![0; 8 << 20];
    sparse[..600].fill(7);
    for number in [1, 2] {
        store.create(&Image::queued(id(number), Attributes::default())).await.unwrap();
        store.upload(&id(number), Bytes::from(sparse.clone()).into()).await.unwrap();
    }
    store.finish().await.unwrap();
    let file = |number, suffix: &str| format!("{}{suffix}", id(number));
    let names = ["manifest.json".to_owned(), file(1, ".json"), file(1, ".img"), file(2, ".json")];
    let archive = |options: &[&str], more: &[String]| {
        let mut tar = Command::new("tar");
        tar.args(options).arg("-cf").arg("-").arg("-C").arg(dir.path()).args(&names).args(more);
        tar.output().unwrap().stdout
    };
    let second = file(2, ".img");
    let holes =
        "tar made this archive with holes (-S): make the archive without holes, or extract it";
    let extract = "but a stream contains only regular files: extract the archive, then load";
    let hard = format!("{second} is a hard link, {extract}");
    let symbolic = format!("{second} is a symbolic link, {extract}");
    let pipe = format!("{second} is a named pipe, {extract}");
    let posix = |version| ["--hard-dereference", "--format=posix", version, "-S"];
    let rows: [(Vec<u8>, &str); 5] = [
        (archive(&["--hard-dereference", "-S"], &[]), holes),
        (archive(&posix("--sparse-version=0.0"), &[]), holes),
        (archive(&posix("--sparse-version=0.1"), &[]), holes),
        (archive(&posix("--sparse-version=1.0"), &[]), holes),
        (archive(&[], std::slice::from_ref(&second)), &hard),
    ];
    let said = async |archive: Vec<u8>| {
        let (store, copied, ended) = load(archive).await;
        assert!(copied <= 1 && only_queued_or_whole(&store, &sparse).await);
        let error = ended.unwrap_err();
        std::error::Error::source(&error).unwrap().to_string()
    };
    for (archive, wanted) in rows {
        let said = said(archive).await;
        assert!(said.starts_with(wanted), "{said}");
    }
    let path = dir.path().join(&second);
    fs::remove_file(&path).unwrap();
    std::os::unix::fs::symlink("/etc/hostname", &path).unwrap();
    assert!(said(archive(&[], std::slice::from_ref(&second))).await.starts_with(&symbolic));
    fs::remove_file(&path).unwrap();
    assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
    assert!(said(archive(&[], std::slice::from_ref(&second))).await.starts_with(&pipe));
    let packed = zstd::encode_all(&*archive(&[], &[]), 1).unwrap();
    assert_eq!(said(packed).await, "the stream is compressed: decompress it first with `zstd -dc`");
}

async fn only_queued_or_whole(store: &MemoryStore, data: &[u8]) -> bool {
    let images: Vec<Image> =
        store.list(&Selection::everything()).await.unwrap().try_collect().await.unwrap();
    let whole = |image: &Image| image.size == Some(data.len() as u64);
    images.iter().all(|image| !image.status.has_data() || whole(image))
}

/// A writer that accepts one MiB and then fails.
struct Head(Vec<u8>);

impl tokio::io::AsyncWrite for Head {
    fn poll_write(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
        bytes: &[u8],
    ) -> std::task::Poll<std::io::Result<usize>> {
        if self.0.len() > 1 << 20 {
            return std::task::Poll::Ready(Err(std::io::ErrorKind::BrokenPipe.into()));
        }
        self.0.extend_from_slice(bytes);
        std::task::Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn poll_shutdown(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        std::task::Poll::Ready(Ok(()))
    }
}

/// The target has a replica with a new id whose original cannot be looked up: a stream has no access
/// by id. The original may be absent from the stream, ahead in it, or behind.
#[tokio::test(flavor = "multi_thread")]
async fn replicas_with_a_new_id_do_not_stop_a_load() {
    let source = MemoryStore::new("source");
    fill(&source).await;
    let (bytes, _) = stream_of(&source).await;
    for original in [id(8), id(0), id(5)] {
        let target = Arc::new(MemoryStore::new("target"));
        let marks = [(SOURCE_ID, original.to_string()), (NEW_ID, "true".to_owned())];
        let properties = marks.map(|(key, value)| (key.to_owned(), value)).into();
        let attributes = Attributes { properties, ..Attributes::default() };
        let replica =
            Image::queued("00000000-0000-4000-8000-00000000017a".parse().unwrap(), attributes);
        target.create(&replica).await.unwrap();
        let of_stream = async || {
            let stream = StreamStore::open(std::io::Cursor::new(bytes.clone()), Hashers::default());
            let retries = Retries { per_run: 0, ..Retries::default() };
            let policy = Policy { finds_by_id: false, transfers: 1, retries, ..Policy::default() };
            Replication { source: Arc::new(stream.await.unwrap()), target: target.clone(), policy }
        };
        let mut planned = Vec::new();
        of_stream().await.plan(|entry| planned.push(entry.state)).await.unwrap();
        assert_eq!(planned.len(), 6, "{planned:?}");
        assert!(!planned.contains(&State::Extra), "{planned:?}");
        let mut done = 0;
        of_stream().await.run(|outcome| done += usize::from(outcome.result.is_ok())).await.unwrap();
        assert_eq!(done, 6);
    }
}
