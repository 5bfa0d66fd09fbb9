//! The check of an image's first bytes, on a table of images. The suite `content_cloud` has a real
//! Glance judge the same images.

use std::sync::Arc;

use glance_client::GlanceStore;
use glance_core::Body;
use glance_core::image::{Image, Status};
use glance_core::store::ImageStore;
use glance_core::store::memory::MemoryStore;
use glance_server::GlanceApi;
use keystone_auth::Session;
use keystone_auth::auth::FixedToken;
use replicator_engine::{ContentCheck, CopyError, Done, Policy, Replication, Retries};

use crate::support::content::disks;
use crate::support::content::table::{Case, Verdict, cases};
use crate::support::content::{agree, all_refused, judge, record};
use crate::support::fault::{Fault, Faulty};

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
async fn the_glance_of_this_project_judges_the_table_the_same() {
    let kept = Arc::new(MemoryStore::new("kept"));
    let (_, store) = glance(&kept);
    let refused = all_refused(&*store).await;
    // The server inspects no more than the check does, unless told to read the whole image.
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
            Err(CopyError::FormatRejected { .. }) => {
                assert!(matches!(case.verdict, Verdict::Refused(_)));
            }
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
    assert!(matches!(error, CopyError::FormatRejected { .. }), "{error}");
    assert_eq!(target.get(&image.id).await.unwrap().status, Status::Queued);
    // Without that mapping, the format becomes the source's too.
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

fn find(image: &Image) -> Case {
    let name = image.attributes.name.as_deref();
    cases().into_iter().find(|case| Some(case.name) == name).unwrap()
}

/// The Glance server of this project, and a client of it.
fn glance(kept: &Arc<MemoryStore>) -> (Arc<Faulty>, Arc<dyn ImageStore>) {
    let api = GlanceApi::new(Arc::clone(kept) as Arc<dyn ImageStore>).with_token("token");
    let wire = Arc::new(Faulty::new(Arc::new(api)));
    let auth = FixedToken { token: "token".to_owned().into(), endpoint: None };
    let session = Arc::new(Session::new(wire.clone(), Arc::new(auth)));
    let store = GlanceStore::new("target", wire.clone(), "https://target", session);
    (wire, Arc::new(store))
}
