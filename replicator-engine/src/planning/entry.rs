//! The plan for one image: state, differences and step.

use serde_json::{Value, json};

use glance_core::image::{Image, Member};

use crate::comparison::{Difference, common_digest};
use crate::error::CopyError;
use crate::journal::Claim;
use crate::loss::Loss;
use crate::mapping::Wanted;
use crate::state::State;

/// One image in both stores, and the step planned for it.
#[derive(Debug)]
#[non_exhaustive]
pub struct Entry {
    /// The image at the source, or the target's image if the source has none.
    pub image: Image,
    /// The replica at the target.
    pub replica: Option<Image>,
    /// State of the replica.
    pub state: State,
    /// All differences that replication would resolve.
    pub differences: Vec<Difference>,
    /// The reason for the state, where the state alone does not explain it.
    pub reason: Option<String>,
    /// Notes on what was translated for the target.
    pub notes: Vec<String>,
    /// Parts that could not be translated and therefore differ at the target.
    pub losses: Vec<Loss>,
    /// Whether the members of this shared image were not looked at
    /// ([`Policy::members`](crate::Policy::members)).
    pub members_skipped: bool,
    pub(crate) step: Step,
    /// The claim of this run on the image, which lasts until the step is carried out.
    pub(crate) claim: Claim,
}

/// The planned step for one image.
#[derive(Debug)]
pub(crate) enum Step {
    /// Make a record and copy the data.
    Copy(Goal),
    /// Make a record without data.
    Record(Goal),
    /// Copy the data into the existing record.
    Complete(Goal),
    /// Update record, members and activation where they differ.
    Reconcile(Goal),
    /// Remove (hide, deactivate or delete) an image that only the target holds.
    Remove,
    /// Do nothing.
    Nothing,
    /// Report this error.
    Fail(CopyError),
}

/// The wanted state of a replica.
#[derive(Debug, Clone)]
pub(crate) struct Goal {
    pub(crate) wanted: Wanted,
    /// The wanted members. `None` if the image is not shared, if the source does not show its
    /// members, or if they are not looked at.
    pub(crate) members: Option<Vec<Member>>,
}

impl Goal {
    /// The goal for a newly made record. An empty member list becomes `None`, since the record has
    /// no members to remove.
    pub(crate) fn of_new(&self) -> Self {
        let members = self.members.clone().filter(|members| !members.is_empty());
        Self { members, ..self.clone() }
    }
}

impl Entry {
    pub(crate) fn new(image: Image, replica: Option<Image>, state: State, step: Step) -> Self {
        Self {
            image,
            replica,
            state,
            differences: Vec::new(),
            reason: None,
            notes: Vec::new(),
            losses: Vec::new(),
            members_skipped: false,
            step,
            claim: Claim::default(),
        }
    }

    pub(crate) fn because(mut self, reason: impl Into<String>) -> Self {
        self.reason = Some(reason.into());
        self
    }

    pub(crate) fn failed(image: Image, replica: Option<Image>, error: CopyError) -> Self {
        let reason = error.chain();
        Self::new(image, replica, State::Blocked, Step::Fail(error)).because(reason)
    }

    /// The action of a run, in one word: `copy`, `record`, `complete`, `update`, `remove`, or
    /// `nothing`.
    pub fn action(&self) -> &'static str {
        match self.step {
            Step::Copy(_) => "copy",
            Step::Record(_) => "record",
            Step::Complete(_) => "complete",
            Step::Reconcile(_) if !self.differences.is_empty() => "update",
            Step::Reconcile(_) | Step::Nothing | Step::Fail(_) => "nothing",
            Step::Remove => "remove",
        }
    }

    /// The entry as stored in a saved plan: the decision, and the fields it was based on.
    pub fn to_json(&self) -> Value {
        let differences: Vec<Value> = self.differences.iter().map(Difference::to_json).collect();
        json!({
            "id": self.image.id.as_str(),
            "name": self.image.attributes.name,
            "state": self.state.as_str(),
            "action": self.action(),
            "reason": self.reason,
            "notes": self.notes,
            "losses": self.losses.iter().map(Loss::to_json).collect::<Vec<_>>(),
            "differences": differences,
            "image": basis(&self.image),
            "replica": self.replica.as_ref().map(basis),
        })
    }

    /// The error, if the image can't be replicated.
    pub fn error(&self) -> Option<&CopyError> {
        match &self.step {
            Step::Fail(error) => Some(error),
            _ => None,
        }
    }

    /// Whether the step fills a replica: a copy, a new record, or a completion.
    pub(crate) fn begins(&self) -> bool {
        matches!(self.step, Step::Copy(_) | Step::Record(_) | Step::Complete(_))
    }

    /// Whether the step changes the target.
    pub(crate) fn changes_target(&self) -> bool {
        self.action() != "nothing"
    }

    /// Whether the step copies data.
    pub(crate) fn moves_data(&self) -> bool {
        matches!(self.step, Step::Copy(_) | Step::Complete(_))
    }

    /// Whether the image has to be claimed: the step changes the target, or seems impossible
    /// because someone else works on the image.
    pub(crate) fn needs_claim(&self) -> bool {
        match &self.step {
            Step::Copy(_) | Step::Record(_) | Step::Complete(_) | Step::Remove => true,
            Step::Reconcile(_) => !self.differences.is_empty(),
            Step::Fail(error) => matches!(error, CopyError::Busy { .. }),
            Step::Nothing => false,
        }
    }

    /// Whether MD5 is the only digest that the records of both sides have in common. MD5 detects
    /// damage, but not data that was changed on purpose.
    pub fn is_compared_by_md5_only(&self) -> bool {
        let Some(replica) = &self.replica else { return false };
        let common = common_digest(&self.image, replica);
        common.is_some_and(|(digest, _)| digest.field == "checksum")
    }

    /// Number of data bytes that a run would copy, according to the size in the source's record.
    pub fn outstanding(&self) -> u64 {
        match self.moves_data() {
            true => self.image.size.unwrap_or(0),
            false => 0,
        }
    }
}

/// The fields that change whenever an image changes, apart from its members.
fn basis(image: &Image) -> Value {
    json!({
        "id": image.id.as_str(), "status": image.status.as_str(), "updated_at": image.updated_at,
        "size": image.size, "os_hash_value": image.os_hash_value, "checksum": image.checksum,
    })
}
