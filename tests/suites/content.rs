//! The check of an image's first bytes, compared with Glance: a table of images that a real Glance
//! (`cargo xtask cloud up`) judges too, and many random ones that its own code judges.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that can't go on has failed")]
#![allow(clippy::cast_possible_truncation, reason = "small images")]

#[path = "content/disks.rs"]
mod disks;
#[path = "content/table.rs"]
mod table;

mod common;
mod real_cloud;

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::SystemTime;

use disks::Random;
use glance_client::GlanceStore;
use glance_core::Body;
use glance_core::content_format::{self, HEAD, Unfit};
use glance_core::image::{Attributes, Image, ImageId, Status};
use glance_core::store::memory::MemoryStore;
use glance_core::store::{ImageStore, StoreErrorKind};
use glance_server::GlanceApi;
use glance_server::fault::{Fault, Faulty};
use keystone_auth::Session;
use keystone_auth::auth::FixedToken;
use real_cloud::{Cloud, STACKS, transport};
use replicator_engine::{ContentCheck, CopyError, Done, Policy, Replication, Retries};
use table::{Case, Verdict, cases};

#[test]
fn the_table_is_judged_as_it_says() {
    let (mut refused, mut accepted, mut wrong) = (0, 0, Vec::new());
    for case in cases() {
        let ours = judge(case.formats, &case.data);
        let said = ours.as_ref().err().map(ToString::to_string);
        let agrees = match (case.verdict, &said) {
            (Verdict::Refused(part), Some(said)) => said.contains(part),
            (Verdict::Accepted | Verdict::Late, None) => true,
            _ => false,
        };
        refused += usize::from(said.is_some());
        accepted += usize::from(said.is_none());
        if !agrees {
            wrong.push(format!("{}: {said:?}", case.name));
        }
    }
    assert!(wrong.is_empty(), "{} are wrong:\n{}", wrong.len(), wrong.join("\n"));
    assert!(refused >= 15 && accepted >= 10, "{refused} refused, {accepted} accepted");
}

#[tokio::test]
async fn a_real_glance_says_the_same() {
    let refused = all_refused(&*real_glance(&Cloud::find())).await;
    agree(&refused, "the real Glance");
}

#[tokio::test]
async fn so_does_the_glance_of_this_project() {
    let kept = Arc::new(MemoryStore::new("kept"));
    let (_, store) = glance(&kept);
    let refused = all_refused(&*store).await;
    // It looks no further than we do, unless it is told of the whole image.
    let late = cases().into_iter().filter(|case| matches!(case.verdict, Verdict::Late));
    let refused: Vec<_> = refused.into_iter().chain(late.map(|case| case.name)).collect();
    agree(&refused, "our Glance");
}

#[tokio::test]
async fn what_is_refused_is_never_sent() {
    let source = Arc::new(MemoryStore::new("source"));
    for (number, case) in cases().into_iter().enumerate() {
        let image = record(number, &case);
        source.create(&image).await.unwrap();
        source.upload(&image.id, Body::from(bytes::Bytes::from(case.data))).await.unwrap();
    }
    let kept = Arc::new(MemoryStore::new("target"));
    let (wire, target) = glance(&kept);
    let policy = Policy { content: ContentCheck::Glance, ..Policy::default() };
    let replication = Replication { source, target, policy };
    let mut outcomes = Vec::new();
    replication.run(|outcome| outcomes.push(outcome)).await.unwrap();
    assert_eq!(outcomes.len(), cases().len());
    for (outcome, case) in outcomes.iter().map(|outcome| (outcome, find(&outcome.image))) {
        match &outcome.result {
            Err(CopyError::Unfit { .. }) => assert!(matches!(case.verdict, Verdict::Refused(_))),
            Ok(Done::Copied) => assert!(matches!(case.verdict, Verdict::Accepted | Verdict::Late)),
            result => panic!("{}: {result:?}", case.name),
        }
        let sent = wire.requests().into_iter().any(|(method, path)| {
            method != http::Method::GET && path.contains(outcome.image.id.as_str())
        });
        assert_eq!(sent, outcome.result.is_ok(), "{}", case.name);
        let found = kept.get(&outcome.image.id).await.map(|replica| replica.status);
        assert_eq!(found.is_ok_and(|status| status == Status::Active), outcome.result.is_ok());
    }
}

#[tokio::test]
async fn the_data_must_fit_the_format_that_the_target_keeps() {
    let (source, target) = (Arc::new(MemoryStore::new("a")), Arc::new(MemoryStore::new("b")));
    let image = record(1, &Case { formats: ("raw", "bare"), ..cases().remove(0) });
    source.create(&image).await.unwrap();
    source.upload(&image.id, bytes::Bytes::from(disks::noise(100)).into()).await.unwrap();
    let mut other = image.clone();
    other.attributes.disk_format = Some("qcow2".to_owned());
    target.create(&other).await.unwrap();
    let mut policy = Policy { content: ContentCheck::Glance, ..Policy::default() };
    policy.mapping.without = ["disk_format".to_owned()].into();
    let error = replicate_by(policy, source.clone(), target.clone()).await.unwrap_err();
    assert!(matches!(error, CopyError::Unfit { .. }), "{error}");
    assert_eq!(target.get(&image.id).await.unwrap().status, Status::Queued);
    // Otherwise the format is the source's, too.
    assert_eq!(replicate_one(source, target.clone()).await.unwrap(), Done::Completed);
    let replica = target.get(&image.id).await.unwrap();
    assert_eq!(replica.attributes.disk_format.as_deref(), Some("raw"));
}

#[tokio::test]
async fn data_that_breaks_off_is_not_called_mislabelled() {
    let kept = Arc::new(MemoryStore::new("kept"));
    let (wire, source) = glance(&kept);
    let case = cases().into_iter().find(|case| case.name == "iso").unwrap();
    let image = record(1, &case);
    kept.create(&image).await.unwrap();
    kept.upload(&image.id, bytes::Bytes::from(case.data).into()).await.unwrap();
    let cut = Fault::CutDownload { after: 1000 };
    wire.inject(http::Method::GET, |path| path.ends_with("/file"), 1, cut);
    let error = replicate_one(source, Arc::new(MemoryStore::new("target"))).await.unwrap_err();
    assert!(matches!(error, CopyError::Data { .. }), "{error}");
}

async fn replicate_one(
    source: Arc<dyn ImageStore>,
    target: Arc<dyn ImageStore>,
) -> Result<Done, CopyError> {
    let policy =
        Policy { content: ContentCheck::Glance, retries: Retries::NONE, ..Policy::default() };
    replicate_by(policy, source, target).await
}

async fn replicate_by(
    policy: Policy,
    source: Arc<dyn ImageStore>,
    target: Arc<dyn ImageStore>,
) -> Result<Done, CopyError> {
    let mut outcomes = Vec::new();
    let replication = Replication { source, target, policy };
    replication.run(|outcome| outcomes.push(outcome)).await.unwrap();
    assert_eq!(outcomes.len(), 1);
    outcomes.remove(0).result
}

#[test]
fn no_bytes_cause_a_panic_and_glances_own_code_agrees() {
    let mutants = mutants();
    let theirs = verdicts(&Cloud::find(), &mutants);
    assert_eq!(theirs.len(), mutants.len());
    let (mut refused, mut wrong) = (0, Vec::new());
    for ((disk, data), theirs) in mutants.iter().zip(theirs) {
        let ours = judge((disk, "bare"), data);
        refused += usize::from(ours.is_err());
        if ours.is_ok() != (theirs == "ok") {
            let head = String::from_utf8_lossy(&data[..data.len().min(700)]).into_owned();
            wrong.push(format!("{disk}, {} bytes: {ours:?}, {theirs}\n{head:?}", data.len()));
        }
    }
    let all = mutants.len();
    assert!(wrong.is_empty(), "{} of {all} are wrong:\n{}", wrong.len(), wrong.join("\n"));
    let accepted = all - refused;
    assert!(refused > 400 && accepted > 400, "{refused} refused, {accepted} accepted");
}

/// The images of the table, changed at random, called by another format, cut.
fn mutants() -> Vec<(&'static str, Vec<u8>)> {
    let disks = ["raw", "qcow2", "vhd", "vhdx", "vmdk", "vdi", "iso", "ploop"];
    let mut random = Random(2);
    let mut mutants = Vec::new();
    // What is larger than the head may be refused for what is behind it.
    let cases = cases().into_iter().filter(|case| case.data.len() <= HEAD);
    for Case { formats, data, .. } in cases {
        for _ in 0..24 {
            let mut data = data.clone();
            for _ in 0..random.below(4) {
                let reach = [80, 512, 1024, usize::MAX][random.below(4)];
                let at = random.below(data.len().min(reach));
                let value = [0, 1, 4, b'"', b'/', b'\n', random.byte()][random.below(7)];
                if let Some(byte) = data.get_mut(at) {
                    *byte = value;
                }
            }
            if random.below(4) == 0 {
                data.truncate(random.below(data.len()));
            }
            let other = random.below(3 * disks.len());
            mutants.push((disks.get(other).copied().unwrap_or(formats.0), data));
        }
    }
    mutants
}

fn judge((disk, container): (&str, &str), data: &[u8]) -> Result<(), Unfit> {
    content_format::check(disk, container, &data[..data.len().min(HEAD)], data.len() as u64)
}

/// The images of the table that a store refuses for what they are. Their records can't be used any
/// more, which is why all this matters.
async fn all_refused(store: &dyn ImageStore) -> Vec<&'static str> {
    let mut refused = Vec::new();
    for (number, case) in cases().into_iter().enumerate() {
        let image = record(number, &case);
        store.create(&image).await.unwrap();
        let data = bytes::Bytes::from(case.data);
        match store.upload(&image.id, Body::from(data)).await {
            Ok(stored) => assert_eq!(stored.status, Status::Active, "{}", case.name),
            Err(error) => {
                assert_eq!(error.kind, StoreErrorKind::Rejected, "{}: {error}", case.name);
                let again = store.upload(&image.id, Body::empty()).await.unwrap_err();
                assert_eq!(again.kind, StoreErrorKind::Server, "{}: {again}", case.name);
                refused.push(case.name);
            }
        }
        store.delete(&image.id).await.unwrap();
    }
    refused
}

#[track_caller]
fn agree(refused: &[&str], who: &str) {
    let mut wrong = Vec::new();
    for case in cases() {
        let expected = !matches!(case.verdict, Verdict::Accepted);
        if refused.contains(&case.name) != expected {
            wrong.push(format!("{who} refused {:?}: {}", case.name, !expected));
        }
    }
    assert!(wrong.is_empty(), "{} are wrong:\n{}", wrong.len(), wrong.join("\n"));
}

/// A record with an id of its own on each run: a Glance never takes one twice.
fn record(number: usize, case: &Case) -> Image {
    let now = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_nanos() as u64;
    let id: ImageId =
        format!("{:08x}-0000-4000-8000-{number:012}", Random(now).next() >> 32).parse().unwrap();
    let attributes = Attributes {
        name: Some(case.name.to_owned()),
        disk_format: Some(case.formats.0.to_owned()),
        container_format: Some(case.formats.1.to_owned()),
        ..Attributes::default()
    };
    Image::queued(id, attributes)
}

fn find(image: &Image) -> Case {
    let name = image.attributes.name.as_deref();
    cases().into_iter().find(|case| Some(case.name) == name).unwrap()
}

/// The Glance of this project, and what it is asked.
fn glance(kept: &Arc<MemoryStore>) -> (Arc<Faulty>, Arc<dyn ImageStore>) {
    let api = GlanceApi::new(Arc::clone(kept) as Arc<dyn ImageStore>).with_token("token");
    let wire = Arc::new(Faulty::new(Arc::new(api)));
    let auth = FixedToken { token: "token".to_owned().into(), endpoint: None };
    let session = Arc::new(Session::new(wire.clone(), Arc::new(auth)));
    let store = GlanceStore::new("target", wire.clone(), "https://target", session);
    (wire, Arc::new(store))
}

/// The real Glance B, with the first TLS stack of this build: how the data is carried makes no
/// difference here.
fn real_glance(cloud: &Cloud) -> Arc<dyn ImageStore> {
    let configured = cloud.configured("b");
    let transport = transport(STACKS[0], &configured);
    let session = Arc::new(Session::new(Arc::clone(&transport), configured.auth));
    Arc::new(GlanceStore::new("b", transport, cloud.text("b"), session))
}

/// What `verdicts.py` says to images.
fn verdicts(cloud: &Cloud, images: &[(&str, Vec<u8>)]) -> Vec<String> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("images");
    let packed = images.iter().flat_map(|(disk, data)| {
        let size = (data.len() as u64).to_be_bytes();
        [&size[..], &[disk.len() as u8], disk.as_bytes(), data].concat()
    });
    fs::write(&path, packed.collect::<Vec<u8>>()).unwrap();
    let output = Command::new(cloud.directory.join("venv/bin/python"))
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("cloud/verdicts.py"))
        .arg(path)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}
