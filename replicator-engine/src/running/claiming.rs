//! Claims images, so that two runs at the same time never work on the same one.
//!
//! A run claims an image before it changes anything. If other runs claim images of the target, it then
//! reads both records again: until the claim, another run may have changed what the listing said. The wait for an image of another run
//! is at the end of the run, where it delays no other image.

use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::{Instant, sleep};

use glance_core::image::{Image, ImageId};

use super::{Run, TargetId};
use crate::cancel::CancelMode;
use crate::error::CopyError;
use crate::outcome::Outcome;
use crate::pairing::merge_join::Pair;
use crate::planning::{Entry, SourceMembers};
use crate::replication::Replication;

impl Replication {
    /// Claims an image, fetches it and its replica, and plans the step.
    pub(super) async fn examine_claimed(&self, image: &Image, replica: Option<&ImageId>) -> Entry {
        match self.claim(&image.id).await {
            Err(error) => Entry::failed(image.clone(), None, error),
            Ok(claim) => Entry { claim, ..self.examine_again(image, replica).await },
        }
    }

    /// Claims the image of an entry. Plans the step again if another run may have changed something
    /// since the listing.
    async fn with_claim(&self, entry: Entry) -> Entry {
        let claim = match self.claim(&entry.image.id).await {
            Err(error) => return Entry::failed(entry.image, None, error),
            Ok(claim) => claim,
        };
        if claim.is_first() {
            return Entry { claim, ..entry };
        }
        let replica = entry.replica.as_ref().map(|replica| &replica.id);
        Entry { claim, ..self.examine_again(&entry.image, replica).await }
    }

    /// Fetches an image and its replica, and plans the step.
    async fn examine_again(&self, image: &Image, replica: Option<&ImageId>) -> Entry {
        match self.pair_again(&image.id, replica).await {
            Err(error) => Entry::failed(image.clone(), None, error),
            Ok(pair) => self.examine(pair, &SourceMembers::default()).await,
        }
    }

    async fn pair_again(
        &self,
        image: &ImageId,
        replica: Option<&ImageId>,
    ) -> Result<Pair, CopyError> {
        let new = match replica {
            None => self.new_replica(image).await.map_err(CopyError::Target)?,
            Some(_) => None,
        };
        self.pair(image, replica.or(new.as_ref())).await
    }
}

impl<F: FnMut(usize, Outcome) + Send> Run<F> {
    /// The entries of one image, claimed if a run at the same time could get in the way.
    pub(super) async fn claimed(&self, entries: Vec<(TargetId, Entry)>) -> Vec<(TargetId, Entry)> {
        let work = entries.into_iter().map(async |(target, entry)| {
            let replication = self.replication(target);
            if !entry.needs_claim() || !replication.policy.journal.claims_images() {
                return (target, entry);
            }
            (target, replication.with_claim(entry).await)
        });
        join_all(work).await
    }

    /// Waits for the images that other runs have in work, as long as the policy allows, and then
    /// executes their steps.
    pub(super) async fn wait_for_other_runs(&mut self) {
        let end = Instant::now() + self.replications[0].policy.wait;
        loop {
            let in_use = self.progress().in_use();
            let left = end.saturating_duration_since(Instant::now());
            if in_use.is_empty() || left.is_zero() || self.stop.level().is_some() {
                return;
            }
            tokio::select! {
                () = sleep(left.min(INTERVAL)) => {}
                () = self.stop.reached(CancelMode::Drain) => return,
            }
            self.process_all_again(in_use).await;
        }
    }
}

/// The time between two attempts to claim an image. An attempt costs no request.
const INTERVAL: Duration = Duration::from_secs(1);
