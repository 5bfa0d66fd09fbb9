//! The totals of a run to one target.

use std::collections::{BTreeMap, BTreeSet};

use replicator_engine::{CopyError, Done, LossKind, Outcome, TransferMethod};
use serde_json::{Value, json};

use super::copied_bytes;
use crate::output::human_size;
use crate::report::proof::Proofs;

/// The totals of a run to one target.
#[derive(Debug, Default)]
pub(super) struct Summary {
    copied: u64,
    updated: u64,
    in_place: u64,
    skipped: u64,
    failed: u64,
    /// Images that other runs have in work.
    pub(super) in_use: u64,
    removed: u64,
    broken_off: u64,
    pub(super) not_begun: u64,
    /// Bytes of image data that were copied.
    bytes: u64,
    /// Bytes of image data that the target downloaded itself. Included in `bytes`.
    imported: u64,
    proofs: Proofs,
    /// The number of images that lost their members or their owner.
    losses: BTreeMap<LossKind, u64>,
    /// Shared images whose members were not looked at.
    pub(super) members_skipped: u64,
}

impl Summary {
    /// Counts one image.
    pub(super) fn count(&mut self, outcome: &Outcome) {
        let number = match &outcome.result {
            Ok(Done::Copied | Done::CopiedAs(_) | Done::Completed) => &mut self.copied,
            Ok(Done::Updated(_)) => &mut self.updated,
            Ok(Done::Removed(_)) => &mut self.removed,
            Ok(Done::InPlace) => &mut self.in_place,
            Ok(Done::Skipped(_)) => &mut self.skipped,
            Err(CopyError::BrokenOff) => &mut self.broken_off,
            Err(CopyError::InUse(_)) => &mut self.in_use,
            Err(_) => &mut self.failed,
        };
        *number += 1;
        if let Ok(Done::Copied | Done::CopiedAs(_) | Done::Completed) = &outcome.result {
            self.count_copied(outcome);
        }
        let lost: BTreeSet<LossKind> = outcome.losses.iter().map(|loss| loss.kind).collect();
        for kind in lost {
            *self.losses.entry(kind).or_default() += 1;
        }
        self.members_skipped += u64::from(outcome.members_skipped);
    }

    fn count_copied(&mut self, outcome: &Outcome) {
        let size = copied_bytes(outcome);
        self.bytes = self.bytes.saturating_add(size);
        if outcome.journey.way == Some(TransferMethod::Imported) {
            self.imported = self.imported.saturating_add(size);
        }
        if let Some(proven) = &outcome.journey.proven {
            self.proofs.take(proven);
        }
    }

    /// The bytes that the target downloaded itself.
    pub(super) fn imported(&self) -> u64 {
        self.imported
    }

    /// The sum of two totals.
    pub(super) fn and(mut self, other: &Self) -> Self {
        self.copied += other.copied;
        self.updated += other.updated;
        self.in_place += other.in_place;
        self.skipped += other.skipped;
        self.failed += other.failed;
        self.in_use += other.in_use;
        self.removed += other.removed;
        self.broken_off += other.broken_off;
        self.not_begun += other.not_begun;
        self.bytes = self.bytes.saturating_add(other.bytes);
        self.imported = self.imported.saturating_add(other.imported);
        self.proofs.add(&other.proofs);
        for (kind, count) in &other.losses {
            *self.losses.entry(*kind).or_default() += count;
        }
        self.members_skipped += other.members_skipped;
        self
    }

    /// The number of images, including those that were not started.
    pub(super) fn images(&self) -> u64 {
        let done = self.copied + self.updated + self.in_place + self.skipped + self.removed;
        done + self.failed + self.in_use + self.broken_off + self.not_begun
    }

    /// The last line of a text report.
    pub(super) fn text(&self) -> String {
        let Self { updated, in_place, skipped, failed, .. } = self;
        let imported = match self.imported {
            0 => String::new(),
            bytes => format!(", of which the target imported {}", human_size(bytes)),
        };
        let some = |count, what| match count {
            0 => String::new(),
            count => format!(", {count} {what}"),
        };
        let lost = self.losses.iter().map(|(kind, n)| format!(", {n} without {}", kind.as_str()));
        let lost: String = lost.collect();
        format!(
            "{}, {updated} updated, {in_place} in place, {skipped} skipped, {failed} failed{lost}{}{}{}{}",
            self.proofs.summary(self.copied, &format!("{}{imported}", human_size(self.bytes))),
            some(self.in_use, "in use by other runs"),
            some(self.removed, "removed"),
            some(self.broken_off, "broken off"),
            some(self.not_begun, "not started")
        )
    }

    /// The field `summary` of a JSON report.
    pub(super) fn to_json(&self) -> Value {
        let lost: BTreeMap<&str, u64> =
            self.losses.iter().map(|(kind, count)| (kind.as_str(), *count)).collect();
        json!({
            "copied": self.copied, "proofs": self.proofs.to_json(), "bytes": self.bytes,
            "bytes_imported": self.imported, "updated": self.updated,
            "in_place": self.in_place, "skipped": self.skipped, "failed": self.failed,
            "in_use": self.in_use, "removed": self.removed, "broken_off": self.broken_off,
            "not_started": self.not_begun,
            "lost": lost, "members_skipped": self.members_skipped,
        })
    }
}
