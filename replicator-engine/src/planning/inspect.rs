//! Compares one image in both stores.

use glance_core::image::{Image, Status, Visibility};

use super::{Entry, Goal, SourceMembers, Step, with_data, without_data};
use crate::error::CopyError;
use crate::mapping::NotWanted;
use crate::pairing::merge_join::Pair;
use crate::replication::Replication;
use crate::state::State;

impl Replication {
    /// Plans the step for a pair. Changes nothing. `members` are those of the pair's image.
    pub(crate) async fn examine(&self, pair: Pair, members: &SourceMembers) -> Entry {
        if let Pair::Both(_, replica) | Pair::TargetOnly(replica) = &pair {
            self.policy.target_digests.note(&self.target, replica);
        }
        match self.fill_cached_digests(pair) {
            Pair::TargetOnly(replica) => self.extra(replica),
            Pair::SourceOnly(image) => self.judge(image, None, members).await,
            Pair::Both(image, replica) => self.judge(image, Some(replica), members).await,
            Pair::Ambiguous(image, reason) => {
                Entry::failed(image, None, CopyError::Blocked { reason, hint: None })
            }
            Pair::Unreadable(image, error) => Entry::failed(image, None, error),
            // Without its record, it is not known whether this tool made the image.
            Pair::UnreadableExtra(image, reason) => {
                tracing::warn!("{reason}; the record stays unchanged");
                let reason = format!("kept: the record cannot be read: {reason}");
                Entry::new(image, None, State::Extra, Step::Nothing).because(reason)
            }
        }
    }

    /// The pair, with known digests added to records that have none.
    fn fill_cached_digests(&self, mut pair: Pair) -> Pair {
        let (source, target) = (&self.policy.known_source, &self.policy.known_target);
        match &mut pair {
            Pair::Both(image, replica) => {
                source.fill(image, replica.os_hash_algo.as_deref());
                target.fill(replica, image.os_hash_algo.as_deref());
            }
            Pair::SourceOnly(image) | Pair::Ambiguous(image, _) => source.fill(image, None),
            Pair::TargetOnly(replica) => target.fill(replica, None),
            Pair::Unreadable(..) | Pair::UnreadableExtra(..) => {}
        }
        pair
    }

    async fn judge(&self, image: Image, replica: Option<Image>, members: &SourceMembers) -> Entry {
        let is_record = image.status == Status::Queued && self.policy.queued;
        if !is_record && !image.status.has_data() {
            let reason = format!("the image has no data at the source (status {})", image.status);
            return Entry::new(image, replica, State::Skipped, Step::Nothing).because(reason);
        }
        let wanted = match self.policy.mapping.wanted(&image).await {
            Ok(wanted) => wanted,
            Err(NotWanted::Skipped(reason)) => {
                return Entry::new(image, replica, State::Skipped, Step::Nothing).because(reason);
            }
            Err(NotWanted::Blocked { reason, hint }) => {
                let error = CopyError::Blocked { reason, hint: Some(hint) };
                return Entry::failed(image, replica, error);
            }
            Err(NotWanted::Unknown(error)) => {
                return Entry::failed(image, replica, CopyError::Unresolved(error));
            }
        };
        let (notes, losses) = (wanted.notes.clone(), wanted.losses.clone());
        let shared = |visibility| visibility == Visibility::Shared;
        let is_shared = shared(wanted.attributes.visibility) && shared(image.attributes.visibility);
        let goal = Goal { wanted, members: None };
        let entry = match image.status.has_data() {
            true => with_data(image, replica, goal, &self.policy),
            false => without_data(image, replica, goal, &self.policy),
        };
        let entry = Entry { notes, losses, ..entry };
        match is_shared {
            true => self.with_members(entry, members).await,
            false => entry,
        }
    }
}
