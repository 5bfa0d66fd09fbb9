//! Verification of a dump against itself.

#![expect(clippy::unwrap_used, reason = "a test may panic; helpers of tests are not seen as such")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use format_dump::{
    DumpFinding, DumpProof, DumpStore, DumpVerification, Encoding, FileState, Subset,
};
use glance_core::digest::{Algorithm, Hashers};
use glance_core::image::Attributes;
use glance_core::project::Project;
use glance_core::{Image, ImageId, ImageStore};
use serde_json::{Value, json};

fn id(number: u8) -> ImageId {
    format!("00000000-0000-4000-8000-0000000000{number:02}").parse().unwrap()
}

fn file(dir: &Path, number: u8, suffix: &str) -> PathBuf {
    dir.join(format!("{}{suffix}", id(number)))
}

async fn put(store: &DumpStore, number: u8, algorithm: &str) {
    let image = Image {
        os_hash_algo: Some(algorithm.to_owned()),
        ..Image::queued(id(number), Attributes::default())
    };
    store.create(&image).await.unwrap();
    store.upload(&id(number), Bytes::from(vec![number; 70_000]).into()).await.unwrap();
}

/// Two uncompressed images, a compressed one, a record without data, and projects and metadata
/// definitions.
async fn dump(dir: &Path) {
    let store = DumpStore::create(dir).unwrap();
    put(&store, 1, "sha512").await;
    put(&store, 2, "sha256").await;
    store.create(&Image::queued(id(3), Attributes::default())).await.unwrap();
    let store = store.encoding_as(Encoding::Zstd);
    put(&store, 4, "sha512").await;
    let project = Project { id: "1".into(), name: "p".into(), domain: "d".into() };
    store.write_projects(&[project]).await.unwrap();
    store.write_metadef(&json!({ "namespace": "n" })).await.unwrap();
    store.finish().await.unwrap();
}

/// The summary, and a short text for every image and file.
async fn verify(dir: &Path, subset: Subset) -> (DumpVerification, BTreeMap<String, String>) {
    let mut words = BTreeMap::new();
    let store = DumpStore::open(dir).unwrap();
    let found = store.verify(subset, 3, &|_, data| data, |finding| {
        let (name, word) = match finding {
            DumpFinding::Image { id, result, .. } => {
                let word = match result {
                    Ok(DumpProof::Data { bytes, by }) => format!("{bytes} {by:?}"),
                    Ok(proof) => format!("{proof:?}"),
                    Err(error) => error.to_string(),
                };
                (id.to_string(), word)
            }
            DumpFinding::File { name, state: FileState::Damaged(error) } => {
                (name, error.to_string())
            }
            DumpFinding::File { name, state } => (name, format!("{state:?}")),
            _ => panic!(),
        };
        assert_eq!(words.insert(name, word), None);
    });
    (found.await.unwrap(), words)
}

/// The texts of faults, and of files other than images.
async fn complaints(dir: &Path) -> Vec<(String, String)> {
    let (_, words) = verify(dir, Subset::All).await;
    let good = |word: &str| word.ends_with(']') || word == "NoData";
    words.into_iter().filter(|(_, word)| !good(word)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_good_dump_is_proven() {
    let dir = tempfile::tempdir().unwrap();
    dump(dir.path()).await;
    let (found, words) = verify(dir.path(), Subset::All).await;
    let wanted = [
        (id(1).to_string(), "70000 [Md5, Sha512]".to_owned()),
        (id(2).to_string(), "70000 [Md5, Sha256, Sha512]".to_owned()),
        (id(3).to_string(), "NoData".to_owned()),
        (id(4).to_string(), "70000 [Md5, Sha512]".to_owned()),
    ];
    assert_eq!(words, wanted.into());
    assert!(found.complete);
    let counts = (found.images, found.read, found.bytes);
    assert_eq!(counts, (4, 3, 210_000));
    assert_eq!((found.faults, found.leftovers, found.foreign), (0, 0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subset_is_read_and_the_rest_looked_at() {
    let dir = tempfile::tempdir().unwrap();
    dump(dir.path()).await;
    for (subset, images) in
        [(Subset::Percent(1.0), 0..=1), (Subset::Bytes(1), 1..=1), (Subset::Bytes(140_000), 2..=2)]
    {
        let found = verify(dir.path(), subset).await.0;
        assert!(images.contains(&found.read), "{subset:?}: {found:?}");
    }
    let mut seen = 0;
    for number in 1..=3 {
        seen += verify(dir.path(), Subset::Part { number, of: 3 }).await.0.read;
    }
    assert_eq!(seen, 3);
    fs::remove_file(file(dir.path(), 1, ".img")).unwrap();
    let found = verify(dir.path(), Subset::Bytes(1)).await.0;
    assert_eq!(found.faults, 1, "what is missing is always seen");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_flipped_byte_is_found() {
    let dir = tempfile::tempdir().unwrap();
    dump(dir.path()).await;
    let mut names: Vec<PathBuf> = vec![dir.path().join("SHA512SUMS")];
    names.push(dir.path().join("projects.json"));
    names.push(dir.path().join("metadefs/n.json"));
    for (number, suffix) in [(1, ".img"), (2, ".img"), (4, ".img.zst"), (1, ".json"), (3, ".json")]
    {
        names.push(file(dir.path(), number, suffix));
    }
    for path in names {
        let good = fs::read(&path).unwrap();
        for at in (0..good.len()).step_by(good.len() / 7 + 1).chain([good.len() - 1]) {
            let mut damaged = good.clone();
            damaged[at] ^= 1;
            fs::write(&path, damaged).unwrap();
            let (found, words) = verify(dir.path(), Subset::All).await;
            assert!(found.faults > 0, "byte {at} of {}: {words:?}", path.display());
        }
        fs::write(&path, &good[..good.len() - 1]).unwrap();
        assert!(verify(dir.path(), Subset::All).await.0.faults > 0, "{}", path.display());
        fs::remove_file(&path).unwrap();
        assert!(verify(dir.path(), Subset::All).await.0.faults > 0, "{}", path.display());
        fs::write(&path, good).unwrap();
    }
    assert_eq!(complaints(dir.path()).await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_are_told_in_words() {
    let dir = tempfile::tempdir().unwrap();
    dump(dir.path()).await;
    let name = format!("dir:{}", dir.path().display());
    let says = |number, reason: &str| {
        let id = id(number);
        (id.to_string(), format!("{name}: cannot verify the dump of image {id}: {reason}"))
    };
    fs::write(file(dir.path(), 2, ".failed"), "cut").unwrap();
    fs::remove_file(file(dir.path(), 4, ".img.zst")).unwrap();
    fs::write(file(dir.path(), 3, ".json"), "{}").unwrap();
    let mut wanted = vec![
        says(2, "the stream of this dump marked the data as incomplete"),
        says(3, "SHA512SUMS has another digest for the record"),
        says(4, &format!("there is no data file {}.img.zst", id(4))),
    ];
    wanted[2].1 = wanted[2].1.replace("verify the dump", "read the data");
    assert_eq!(complaints(dir.path()).await, wanted);
}

#[tokio::test(flavor = "multi_thread")]
async fn leftovers_and_foreign_files_are_named_and_lines_without_a_file_too() {
    let dir = tempfile::tempdir().unwrap();
    dump(dir.path()).await;
    let leftovers = [
        format!("{}.img.partial", id(1)),
        format!(".{}.img.{}.new", id(1), "0".repeat(32)),
        format!("{}.img.zst", id(1)),
        format!("{}.img", id(9)),
        format!(".manifest.json.{}.new", "a".repeat(32)),
        format!("metadefs/.x.json.{}.new", "a".repeat(32)),
    ];
    let foreign = ["letter.txt".to_owned(), format!("{}.txt", id(1)), "metadefs/x".to_owned()];
    for name in leftovers.iter().chain(&foreign) {
        fs::write(dir.path().join(name), "x").unwrap();
    }
    let (found, words) = verify(dir.path(), Subset::All).await;
    for (names, word) in [(&leftovers[..], "Leftover"), (&foreign[..], "Foreign")] {
        assert!(names.iter().all(|name| words[name] == word), "{words:?}");
    }
    let counts = (found.faults, found.leftovers, found.foreign);
    assert_eq!(counts, (0, 6, 3), "{words:?}");

    // The files of the first and the last image are missing, but still listed.
    for (number, suffix) in [(1, ".img"), (1, ".json"), (4, ".img.zst"), (4, ".json")] {
        fs::remove_file(file(dir.path(), number, suffix)).unwrap();
    }
    let (found, words) = verify(dir.path(), Subset::All).await;
    for name in [format!("{}.json", id(1)), format!("{}.img.zst", id(4))] {
        assert_eq!(words[&name], "Missing");
    }
    assert_eq!(found.faults, 4, "{words:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn dumps_of_earlier_releases_and_of_the_old_tool_are_verified() {
    let dir = tempfile::tempdir().unwrap();
    dump(dir.path()).await;
    let change = |path: &Path, key: &str| {
        let mut value: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
        value.as_object_mut().unwrap().remove(key).unwrap();
        fs::write(path, value.to_string()).unwrap();
    };
    change(&file(dir.path(), 1, ".json"), "data");
    change(&file(dir.path(), 2, ".json"), "data");
    change(&dir.path().join("manifest.json"), "sha512sums");
    fs::remove_file(dir.path().join("SHA512SUMS")).unwrap();
    let (found, words) = verify(dir.path(), Subset::All).await;
    assert_eq!((found.faults, found.read), (0, 3), "{words:?}");
    assert_eq!(words[id(2).as_str()], "70000 [Md5, Sha256]");
    let mut damaged = vec![2; 70_000];
    damaged[69_999] = 3;
    fs::write(file(dir.path(), 2, ".img"), damaged).unwrap();
    assert_eq!(verify(dir.path(), Subset::All).await.0.faults, 1);

    let dir = tempfile::tempdir().unwrap();
    for (number, data) in [(1, "abc"), (2, "abX"), (3, "ab")] {
        let record = json!({
            "id": id(number).as_str(), "status": "active", "size": 3, "is_public": true,
            "checksum": "900150983cd24fb0d6963f7d28e17f72", "properties": {},
        });
        fs::write(file(dir.path(), number, ""), record.to_string()).unwrap();
        fs::write(file(dir.path(), number, ".img"), data).unwrap();
    }
    fs::write(dir.path().join("letter"), "dear").unwrap();
    let (found, words) = verify(dir.path(), Subset::All).await;
    assert_eq!(words[id(1).as_str()], "3 [Md5]");
    assert!(words[id(2).as_str()].contains("the md5 of the data is "), "{words:?}");
    assert!(words[id(3).as_str()].contains("has 2 of 3 bytes"), "{words:?}");
    let counts = (found.images, found.read, found.faults, found.foreign);
    assert_eq!(counts, (3, 1, 2, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_md5_its_agreement_is_not_claimed() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(
        dir.path().join(id(1).as_str()),
        json!({
            "id": id(1).as_str(), "status": "active", "size": 3, "is_public": true,
            "checksum": "900150983cd24fb0d6963f7d28e17f72", "properties": {},
        })
        .to_string(),
    )
    .unwrap();
    fs::write(file(dir.path(), 1, ".img"), "abc").unwrap();
    let without_md5 = Hashers::new(|algorithm| match algorithm {
        Algorithm::Md5 => None,
        other => Hashers::default().begin(other),
    });
    let store = DumpStore::open(dir.path()).unwrap().hashing_with(without_md5);
    let mut proofs = Vec::new();
    let found = store.verify(Subset::All, 1, &|_, data| data, |finding| match finding {
        DumpFinding::Image { result, .. } => proofs.push(result.unwrap()),
        other => panic!("{other:?}"),
    });
    assert_eq!(found.await.unwrap().read, 1);
    assert_eq!(proofs, [DumpProof::Data { bytes: 3, by: vec![] }]);
}
