//! The members of shared images. Glance lists them with a request for each image.

use std::collections::{BTreeMap, BTreeSet};

use tokio::sync::OnceCell;

use glance_core::image::{Member, Visibility};
use glance_core::store::ImageStoreExt;

use super::{Entry, Step};
use crate::comparison::Difference;
use crate::error::CopyError;
use crate::loss::Loss;
use crate::mapping::Mapped;
use crate::policy::Members;
use crate::replication::Replication;
use crate::state::State;

/// The members of an image at the source, requested once for all targets. `None` if the source does
/// not show them.
#[derive(Debug, Default)]
pub(crate) struct SourceMembers(OnceCell<Option<Vec<Member>>>);

impl Replication {
    /// Completes the plan for an image that both sides share: the wanted members, and the
    /// differences in those that the replica has. Both servers are asked at once.
    pub(super) async fn with_members(&self, entry: Entry, source: &SourceMembers) -> Entry {
        let is_asked = match (self.policy.members, &entry.step) {
            (_, Step::Remove | Step::Nothing | Step::Fail(_)) => return entry,
            (Members::Check, _) => true,
            (Members::CheckNew, _) => entry.begins(),
            (Members::Ignore, _) => false,
        };
        if !is_asked {
            return Entry { members_skipped: true, ..entry };
        }
        let (wanted, present) =
            tokio::join!(self.wanted_members(&entry, source), self.present_members(&entry));
        let (wanted, present) = match wanted.and_then(|wanted| Ok((wanted, present?))) {
            Ok(both) => both,
            Err(error) => return Entry::failed(entry.image, entry.replica, error),
        };
        match wanted {
            Some(wanted) => wanting(entry, wanted, present.as_deref()),
            None => losing(entry, "the source does not show the members"),
        }
    }

    /// The members that the replica should have; `None` if the source does not show them.
    async fn wanted_members(
        &self,
        entry: &Entry,
        source: &SourceMembers,
    ) -> Result<Option<Mapped>, CopyError> {
        let id = &entry.image.id;
        let shown = source.0.get_or_try_init(|| self.source.members_if_shown(id)).await;
        let Some(members) = shown.map_err(CopyError::Source)? else { return Ok(None) };
        self.policy.mapping.members(members).await.map(Some).map_err(CopyError::Unresolved)
    }

    /// The members of the replica; `None` if the target does not show them. A new record has none.
    /// Glance lists members of shared images only: if the replica is not shared yet, the members
    /// that it may have are compared once it is.
    async fn present_members(&self, entry: &Entry) -> Result<Option<Vec<Member>>, CopyError> {
        let shared = |visibility| visibility == Visibility::Shared;
        match &entry.replica {
            Some(replica) if !entry.begins() && shared(replica.attributes.visibility) => {
                self.target.members_if_shown(&replica.id).await.map_err(CopyError::Target)
            }
            _ => Ok(Some(Vec::new())),
        }
    }
}

/// The plan for an image that should have the `wanted` members and has the `present` ones.
fn wanting(mut entry: Entry, wanted: Mapped, present: Option<&[Member]>) -> Entry {
    let lost = |member| Loss::members(format!("member left out: {member}"));
    entry.losses.extend(wanted.unresolved.into_iter().map(lost));
    let mut members = wanted.members;
    members.sort();
    let is_new = entry.begins();
    let found = present.map(|present| differences(&members, present));
    if let Step::Copy(goal) | Step::Record(goal) | Step::Complete(goal) | Step::Reconcile(goal) =
        &mut entry.step
    {
        goal.members = Some(members);
    }
    match found {
        _ if is_new => entry,
        None => losing(entry, "the target does not show the members"),
        Some(found) => {
            let kept = matches!(entry.state, State::Same | State::Unverifiable);
            if kept && !found.is_empty() {
                entry.state = State::Members;
            }
            entry.differences.extend(found);
            entry
        }
    }
}

fn losing(mut entry: Entry, detail: &str) -> Entry {
    entry.losses.push(Loss::members(detail));
    entry
}

/// Whether the target lacks a member that the source has.
pub(crate) fn adds_member(difference: &Difference) -> bool {
    difference.field.starts_with(MEMBER) && difference.target.is_null()
}

/// What the field of a difference in a member begins with. The member's project follows.
const MEMBER: &str = "member ";

fn differences(wanted: &[Member], present: &[Member]) -> Vec<Difference> {
    let states = |members: &[Member]| -> BTreeMap<String, &'static str> {
        members.iter().map(|one| (one.project.clone(), one.status.as_str())).collect()
    };
    let (source, target) = (states(wanted), states(present));
    let projects: BTreeSet<&String> = source.keys().chain(target.keys()).collect();
    let differ = |project: &&String| source.get(*project) != target.get(*project);
    let difference = |project: &String| Difference {
        field: format!("{MEMBER}{project}"),
        source: source.get(project).copied().into(),
        target: target.get(project).copied().into(),
    };
    projects.into_iter().filter(differ).map(difference).collect()
}
