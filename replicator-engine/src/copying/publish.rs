//! Publishes a proven image, or quarantines a replica with wrong data.

use glance_core::image::{Attributes, Image, Status, Visibility};
use glance_core::store::{Activation, StoreErrorKind};

use super::ImageCopy;
use crate::comparison::{Difference, is_provable};
use crate::error::CopyError;
use crate::events::Phase as Work;
use crate::journal::Phase;
use crate::planning::adds_member;

impl ImageCopy<'_> {
    /// Updates the record of an image whose data is in place. If the records do not prove the data
    /// and the update would make it visible to more users, the data is read and verified first.
    pub(super) async fn reconcile(
        &mut self,
        replica: &Image,
        differences: &[Difference],
    ) -> Result<(), CopyError> {
        let replication = self.replication;
        let wanted = replication.policy.onto(&self.goal.wanted, self.image, replica);
        let shows_more =
            shows_more(self.image, &wanted, replica) || differences.iter().any(adds_member);
        if shows_more && !is_provable(self.image, replica) {
            self.journey.in_transit = replication.prove(self.image, replica, &self.meter).await?;
        }
        self.finish(replica).await?;
        self.journey.note_replica(&Image { attributes: wanted, ..replica.clone() });
        Ok(())
    }

    /// Publishes a proven image, and copies it to all stores where it should be.
    pub(super) async fn finish(&self, replica: &Image) -> Result<(), CopyError> {
        self.meter.enter(Work::Publishing);
        // Glance copies only active images between stores.
        if self.image.status == Status::Deactivated {
            let spread = self.copy_to_more_stores(replica).await;
            self.publish(replica).await?;
            return spread;
        }
        self.publish(replica).await?;
        self.copy_to_more_stores(replica).await
    }

    /// Sets activation, attributes and members to the wanted values, in an order that never shows
    /// the image to users who may not see it. Protection is set last, so a protected image is
    /// complete.
    pub(super) async fn publish(&self, replica: &Image) -> Result<(), CopyError> {
        let (image, target) = (self.image, &self.replication.target);
        if image.status != replica.status && image.status.has_data() {
            let activation = match image.status {
                Status::Deactivated => Activation::Deactivated,
                _ => Activation::Active,
            };
            target.set_activation(&replica.id, activation).await.map_err(CopyError::Target)?;
        }
        let wanted = self.replication.policy.onto(&self.goal.wanted, image, replica);
        let before = Attributes { protected: replica.attributes.protected, ..wanted.clone() };
        let published = target.update(replica, &before).await.map_err(CopyError::Target)?;
        if let Some(members) = &self.goal.members {
            target.set_members(&replica.id, members).await.map_err(CopyError::Target)?;
        }
        target.update(&published, &wanted).await.map(drop).map_err(CopyError::Target)
    }

    /// Hides and deactivates a replica that holds wrong data. It was not visible to users before.
    pub(super) async fn quarantine(&self, stored: &Image, difference: Difference) -> CopyError {
        let target = &self.replication.target;
        let journal = &self.replication.policy.journal;
        journal.note(Phase::Quarantined, self.image, stored).await;
        let private = Attributes { visibility: Visibility::Private, ..stored.attributes.clone() };
        let hidden = match target.update(stored, &private).await {
            Ok(_) => "private".to_owned(),
            Err(error) => {
                format!("shared with no project, since making it private failed ({error})")
            }
        };
        let quarantine = match target.set_activation(&stored.id, Activation::Deactivated).await {
            Ok(()) => format!("the replica is quarantined, {hidden} and deactivated"),
            Err(error) if error.kind == StoreErrorKind::Forbidden => {
                format!("the replica is {hidden}, but these credentials cannot deactivate it")
            }
            Err(error) => format!("the replica is {hidden}, but deactivating it failed ({error})"),
        };
        CopyError::TargetCorrupted { target_store: target.to_string(), difference, quarantine }
    }
}

/// Whether the update to `wanted` would make the replica usable by more users.
fn shows_more(image: &Image, wanted: &Attributes, replica: &Image) -> bool {
    let reactivated = image.status == Status::Active && replica.status != Status::Active;
    reactivated || audience(wanted.visibility) > audience(replica.attributes.visibility)
}

/// Ranks a visibility by the number of projects that can use the image. An unknown visibility counts
/// as public.
fn audience(visibility: Visibility) -> u8 {
    match visibility {
        Visibility::Private => 0,
        Visibility::Shared => 1,
        Visibility::Community => 2,
        _ => 3,
    }
}

#[cfg(test)]
mod tests {
    use glance_core::image::ImageId;

    use super::*;

    #[test]
    fn a_wider_visibility_or_a_reactivation_shows_more() {
        use Visibility::{Community, Private, Public, Shared};
        let attributes = |visibility| Attributes { visibility, ..Attributes::default() };
        let image = |status, visibility| Image {
            status,
            ..Image::queued(ImageId::random(), attributes(visibility))
        };
        let by_audience = [Private, Shared, Community, Public];
        for (rank, from) in by_audience.into_iter().enumerate() {
            for (wanted_rank, to) in by_audience.into_iter().enumerate() {
                let replica = image(Status::Active, from);
                let source = image(Status::Active, to);
                let shown = shows_more(&source, &attributes(to), &replica);
                assert_eq!(shown, wanted_rank > rank, "{from} -> {to}");
            }
            let replica = image(Status::Deactivated, from);
            assert!(shows_more(&image(Status::Active, from), &attributes(from), &replica));
            assert!(!shows_more(&image(Status::Deactivated, from), &attributes(from), &replica));
        }
    }
}
