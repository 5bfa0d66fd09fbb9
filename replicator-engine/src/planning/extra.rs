//! Plans the step for an image that only the target holds.

use glance_core::image::{Image, Status};

use super::{Entry, Step};
use crate::policy::Removal;
use crate::provenance;
use crate::replication::Replication;
use crate::state::State;

impl Replication {
    /// Plans the step for an image that only the target holds.
    pub(crate) fn extra(&self, image: Image) -> Entry {
        let keep = |image, reason: String| {
            Entry::new(image, None, State::Extra, Step::Nothing).because(reason)
        };
        let Some(prune) = self.policy.prune else {
            return Entry::new(image, None, State::Extra, Step::Nothing);
        };
        let ours = self.policy.stamp.as_ref();
        match provenance::source(&image.attributes) {
            None => keep(image, "kept: not made by a sync".to_owned()),
            Some(source) if !ours.is_some_and(|ours| ours.is(source)) => {
                let reason = format!("kept: made by a sync from another source, {source}");
                keep(image, reason)
            }
            Some(_) if !ours.is_some_and(|ours| ours.shows_as_much(&image.attributes)) => {
                let reason = "kept: made by a sync with another sign-in at the source, which may see the image";
                keep(image, reason.to_owned())
            }
            Some(_) if image.attributes.protected && !prune.unprotect => {
                keep(image, "kept: the image is protected".to_owned())
            }
            Some(_) if is_removed(&image, prune.how) => {
                keep(image, format!("already {}", prune.how))
            }
            Some(_) => Entry::new(image, None, State::Extra, Step::Remove)
                .because(format!("to be {}", prune.how)),
        }
    }
}

fn is_removed(image: &Image, how: Removal) -> bool {
    match how {
        Removal::Hide => image.attributes.os_hidden,
        // Users can't use a record without data, either.
        Removal::Deactivate => image.status != Status::Active,
        Removal::Delete => false,
    }
}
