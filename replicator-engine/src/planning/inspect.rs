//! Compares one image in both stores.

use std::collections::{BTreeMap, BTreeSet};

use glance_core::image::{Image, Member, Status, Visibility};
use glance_core::store::ImageStoreExt;

use super::{Entry, Goal, Step, with_data, without_data};
use crate::comparison::Difference;
use crate::error::CopyError;
use crate::loss::Loss;
use crate::mapping::{NotWanted, Wanted};
use crate::pairing::merge_join::Pair;
use crate::replication::Replication;
use crate::state::State;

impl Replication {
    /// Plans the step for a pair. Changes nothing.
    pub(crate) async fn examine(&self, pair: Pair) -> Entry {
        if let Pair::Both(_, replica) | Pair::TargetOnly(replica) = &pair {
            self.policy.target_digests.note(&self.target, replica);
        }
        match self.fill_cached_digests(pair) {
            Pair::TargetOnly(replica) => self.extra(replica),
            Pair::SourceOnly(image) => self.judge(image, None).await,
            Pair::Both(image, replica) => self.judge(image, Some(replica)).await,
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

    async fn judge(&self, image: Image, replica: Option<Image>) -> Entry {
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
        let notes = wanted.notes.clone();
        let mut losses = wanted.losses.clone();
        let goal = match self.goal(&image, wanted, &mut losses).await {
            Ok(goal) => goal,
            Err(error) => return Entry::failed(image, replica, error),
        };
        let members = goal.members.clone();
        let mut entry = match image.status.has_data() {
            true => with_data(image, replica, goal, &self.policy),
            false => without_data(image, replica, goal, &self.policy),
        };
        (entry.notes, entry.losses) = (notes, losses);
        match (members, &entry.step) {
            (Some(members), Step::Reconcile(_)) => self.compare_members(entry, &members).await,
            _ => entry,
        }
    }

    async fn goal(
        &self,
        image: &Image,
        wanted: Wanted,
        losses: &mut Vec<Loss>,
    ) -> Result<Goal, CopyError> {
        let shared = |visibility| visibility == Visibility::Shared;
        if !shared(wanted.attributes.visibility) || !shared(image.attributes.visibility) {
            return Ok(Goal { wanted, members: None });
        }
        let shown = self.source.members_if_shown(&image.id).await.map_err(CopyError::Source)?;
        let Some(members) = shown else {
            losses.push(Loss::members("the source does not show the members"));
            return Ok(Goal { wanted, members: None });
        };
        let mapped = self.policy.mapping.members(&members).await.map_err(CopyError::Unresolved)?;
        let lost = |member| Loss::members(format!("member left out: {member}"));
        losses.extend(mapped.unresolved.into_iter().map(lost));
        let mut members = mapped.members;
        members.sort();
        Ok(Goal { wanted, members: Some(members) })
    }

    /// Adds the differences between the members of the replica and the wanted ones to `entry`.
    async fn compare_members(&self, mut entry: Entry, wanted: &[Member]) -> Entry {
        let Some(replica) = &entry.replica else { return entry };
        // Glance lists members of shared images only. If the replica is not shared yet, the members
        // that it may have are compared once it is.
        let present = match replica.attributes.visibility {
            Visibility::Shared => self.target.members_if_shown(&replica.id).await,
            _ => Ok(Some(Vec::new())),
        };
        match present {
            Err(error) => Entry::failed(entry.image, entry.replica, CopyError::Target(error)),
            Ok(None) => {
                entry.losses.push(Loss::members("the target does not show the members"));
                entry
            }
            Ok(Some(present)) => {
                let found = member_differences(wanted, &present);
                let kept = matches!(entry.state, State::Same | State::Unverifiable);
                if kept && !found.is_empty() {
                    entry.state = State::Members;
                }
                entry.differences.extend(found);
                entry
            }
        }
    }
}

fn member_differences(wanted: &[Member], present: &[Member]) -> Vec<Difference> {
    let states = |members: &[Member]| -> BTreeMap<String, &'static str> {
        members.iter().map(|one| (one.project.clone(), one.status.as_str())).collect()
    };
    let (source, target) = (states(wanted), states(present));
    let projects: BTreeSet<&String> = source.keys().chain(target.keys()).collect();
    let differ = |project: &&String| source.get(*project) != target.get(*project);
    let difference = |project: &String| Difference {
        field: format!("member {project}"),
        source: source.get(project).copied().into(),
        target: target.get(project).copied().into(),
    };
    projects.into_iter().filter(differ).map(difference).collect()
}
