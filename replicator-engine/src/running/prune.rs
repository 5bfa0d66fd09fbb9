//! Pruning: finds images that only the target holds and that this tool made, and removes them on
//! request.

use std::time::SystemTime;

use glance_core::image::{Attributes, Image, ImageId};
use glance_core::store::{Activation, ImageStoreExt};
use glance_core::units::plural;

use crate::error::{CopyError, NothingRemoved};
use crate::outcome::{Done, Outcome};
use crate::planning::{Entry, Seen, Step};
use crate::policy::{Prune, Removal, Removals};
use crate::provenance;
use crate::replication::Replication;

impl Replication {
    /// Removes all extra images, or none.
    pub(crate) async fn remove_all(
        &self,
        seen: &Seen,
        mut observe: impl FnMut(Outcome),
    ) -> Result<(), NothingRemoved> {
        let Some(prune) = self.policy.prune else { return Ok(()) };
        if seen.foreign > 0 {
            tracing::warn!(
                "{target} keeps {foreign} image{s} that the source does not have and no sync made; list \
                 them with -n",
                target = self.target,
                foreign = seen.foreign,
                s = plural(seen.foreign),
            );
        }
        let found = seen.extras.len() as u64;
        if found == 0 {
            return Ok(());
        }
        if let Some(why) = seen.refusal(prune) {
            return Err(why);
        }
        match self.policy.stop.unless_broken_off(self.approved(seen, prune)).await {
            Some(true) => {}
            Some(false) => return Err(NothingRemoved::Declined { found }),
            // The run was stopped before there was an answer.
            None => return Ok(()),
        }
        for (id, _) in &seen.extras {
            if self.policy.stop.level().is_some() {
                break;
            }
            if let Some(outcome) = self.remove(id, prune).await {
                observe(outcome);
            }
        }
        Ok(())
    }

    /// Whether the policy lets the images be removed.
    async fn approved(&self, seen: &Seen, prune: Prune) -> bool {
        let Some(approval) = &self.policy.approval else { return true };
        let (target, images) = (self.target.to_string(), seen.extras.clone());
        approval.approves(Removals { target, how: prune.how, images }).await
    }

    /// Removes one image, if it is still extra and the removal is still wanted.
    async fn remove(&self, id: &ImageId, prune: Prune) -> Option<Outcome> {
        let started = SystemTime::now();
        let image = match self.target.find(id).await {
            // Without a record, the image has no name to report.
            Err(error) => {
                let image = Image::queued(id.clone(), Attributes::default());
                return Some(Outcome::of(image, Err(CopyError::Target(error))));
            }
            Ok(found) => found?,
        };
        let _claim = match self.claim(&provenance::source_id(&image)).await {
            Err(error) => return Some(Outcome::of(image, Err(error))),
            Ok(claim) => claim,
        };
        let result = match self.source.find(&provenance::source_id(&image)).await {
            Ok(Some(_)) => Ok(Done::Skipped("the source holds the image again".to_owned())),
            Ok(None) => match self.extra(image.clone()) {
                // The run may have been stopped while the two records were read.
                Entry { step: Step::Remove, .. } if self.policy.stop.level().is_some() => {
                    return None;
                }
                Entry { step: Step::Remove, .. } => self.take_away(&image, prune).await,
                Entry { reason, .. } => Ok(Done::Skipped(reason.unwrap_or_default())),
            },
            Err(error) => Err(CopyError::Source(error)),
        };
        Some(Outcome::of(image, result).since(started))
    }

    async fn take_away(&self, image: &Image, prune: Prune) -> Result<Done, CopyError> {
        let mut wanted = image.attributes.clone();
        wanted.protected &= prune.how != Removal::Delete;
        wanted.os_hidden |= prune.how == Removal::Hide;
        let target = &self.target;
        target.update(image, &wanted).await.map_err(CopyError::Target)?;
        let removed = match prune.how {
            Removal::Hide => Ok(()),
            Removal::Deactivate => target.set_activation(&image.id, Activation::Deactivated).await,
            Removal::Delete => target.delete(&image.id).await,
        };
        removed.map_err(CopyError::Target).map(|()| Done::Removed(prune.how))
    }
}
