//! Removals that need an approval: one question for each target, and a no removes nothing.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use glance_core::image::provenance;
use glance_core::store::ImageStore;
use glance_core::store::memory::MemoryStore;
use replicator_engine::{
    Approval, CancelMode, CancelReason, CancelToken, ErrorLimit, NothingRemoved, Policy, Prune,
    Removal, Removals, RunError,
};

use super::{ORIGIN, attributes, id, policy, put, replication};

/// Answers every question alike, and keeps the questions.
#[derive(Debug)]
struct Answering {
    yes: bool,
    /// The run to stop instead of an answer.
    stops: Option<CancelToken>,
    asked: Mutex<Vec<Removals>>,
}

#[async_trait]
impl Approval for Answering {
    async fn approves(&self, removals: Removals) -> bool {
        self.asked.lock().unwrap().push(removals);
        if let Some(stop) = &self.stops {
            stop.stop(CancelMode::Abort, CancelReason::Interrupted);
            std::future::pending::<()>().await;
        }
        self.yes
    }
}

/// The result of a run whose target has two images to remove, the questions, and the number of these
/// images that the target still has.
async fn run(
    yes: bool,
    is_stopped: bool,
    most: ErrorLimit,
) -> (Result<(), RunError>, Vec<Removals>, usize) {
    let (a, b) = (Arc::new(MemoryStore::new("a")), Arc::new(MemoryStore::new("b")));
    put(&a, &id(1), attributes("kept"), b"abc").await;
    for number in [2, 3] {
        let mut made = attributes("made");
        made.properties.insert(provenance::SOURCE.to_owned(), ORIGIN.to_owned());
        put(&b, &id(number), made, b"abc").await;
    }
    let stop = CancelToken::default();
    let stops = is_stopped.then(|| stop.clone());
    let answering = Arc::new(Answering { yes, stops, asked: Mutex::default() });
    let prune = Some(Prune { how: Removal::Delete, most, unprotect: false });
    let approval: Option<Arc<dyn Approval>> = Some(answering.clone());
    let policy = Policy { prune, approval, stop, ..policy() };
    let ended = replication(&a, &b, policy).run(drop).await;
    assert!(b.get(&id(1)).await.is_ok(), "the copy was not made");
    let mut left = 0;
    for number in [2, 3] {
        left += usize::from(b.get(&id(number)).await.is_ok());
    }
    let asked = answering.asked.lock().unwrap().clone();
    (ended, asked, left)
}

#[tokio::test]
async fn a_no_removes_nothing_and_a_yes_removes_what_was_asked_about() {
    let images = [2, 3].map(|number| (id(number), "made".to_owned())).to_vec();
    let expected = Removals { target: "b".to_owned(), how: Removal::Delete, images };
    let (ended, asked, left) = run(false, false, ErrorLimit::Images(2)).await;
    let Err(RunError::NothingRemoved(why)) = ended else { panic!("{ended:?}") };
    assert_eq!((why, left), (NothingRemoved::Declined { found: 2 }, 2));
    assert_eq!(asked, [expected.clone()]);
    let (ended, asked, left) = run(true, false, ErrorLimit::Images(2)).await;
    ended.unwrap();
    assert_eq!((asked, left), (vec![expected], 0));
}

#[tokio::test]
async fn a_stop_at_the_question_removes_nothing() {
    let (ended, asked, left) = run(true, true, ErrorLimit::Images(2)).await;
    assert!(matches!(ended, Err(RunError::Stopped { .. })), "{ended:?}");
    assert_eq!((asked.len(), left), (1, 2));
}

#[tokio::test]
async fn there_is_no_question_about_removals_that_are_not_made_anyway() {
    let (ended, asked, left) = run(true, false, ErrorLimit::Images(1)).await;
    let Err(RunError::NothingRemoved(why)) = ended else { panic!("{ended:?}") };
    assert_eq!((why, left), (NothingRemoved::TooMany { found: 2, most: 1 }, 2));
    assert!(asked.is_empty(), "{asked:?}");
}
