//! Pruning: finds images that only the target holds and that this tool made, and removes them on
//! request.

use std::fmt;

use glance_core::image::{Image, ImageId, Status};
use glance_core::store::{Activation, StoreErrorKind};

use crate::pairing::merge_join::Pair;
use crate::pairing::provenance;
use crate::planning::Step;
use crate::{CopyError, Done, Entry, ErrorLimit, Outcome, Replication, State};

/// How to treat images that this tool copied from the source and that the source no longer holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Prune {
    /// How each image is removed.
    pub how: Removal,
    /// The most images to remove. If there are more, none is removed.
    pub most: ErrorLimit,
    /// Whether to remove protected images, too.
    pub unprotect: bool,
}

/// How an image is removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Removal {
    /// The image is hidden from default listings.
    Hide,
    /// The image is deactivated: only administrators can still use it.
    Deactivate,
    /// The image is deleted; Glance never frees its id.
    Delete,
}

impl fmt::Display for Removal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Hide => "hidden",
            Self::Deactivate => "deactivated",
            Self::Delete => "deleted",
        })
    }
}

/// Why nothing was removed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NothingRemoved {
    /// The source holds no images.
    #[error("the source shows no image at all, so none of the {found} at the target was removed")]
    EmptySource {
        /// Number of images that would have been removed.
        found: u64,
    },
    /// An image or a listing failed.
    #[error("not all images are in place, so none of the {found} extra ones was removed")]
    Failures {
        /// Number of images that would have been removed.
        found: u64,
    },
    /// There were more images to remove than allowed.
    #[error("{found} images would be removed, more than the {most} allowed: none was")]
    TooMany {
        /// Number of images that would have been removed.
        found: u64,
        /// The limit.
        most: u64,
    },
}

impl NothingRemoved {
    /// What the operator can do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::EmptySource { .. } => {
                "see whether the source is the right one and its sign-in sees the images; nothing \
                 is ever removed because of an empty source"
            }
            Self::Failures { .. } => "mend what failed, and run again",
            Self::TooMany { .. } => {
                "look at them with `plan`; if all of them may go, allow it by --max-delete"
            }
        }
    }
}

/// The counts that removals depend on.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) at_source: u64,
    pub(crate) at_target: u64,
    pub(crate) failures: u64,
    /// Ids of the images to remove.
    pub(crate) extras: Vec<ImageId>,
}

impl Seen {
    pub(crate) fn pair(&mut self, pair: &Pair) {
        self.at_source += u64::from(pair.is_at_source());
        self.at_target += u64::from(pair.is_at_target());
    }

    pub(crate) fn extra(&mut self, entry: &Entry) {
        if matches!(entry.step, Step::Remove) {
            self.extras.push(entry.image.id.clone());
        }
    }
}

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
            Some(_) if image.attributes.protected && !prune.unprotect => {
                keep(image, "kept: it is protected".to_owned())
            }
            Some(_) if is_removed(&image, prune.how) => {
                keep(image, format!("{} already", prune.how))
            }
            Some(_) => Entry::new(image, None, State::Extra, Step::Remove)
                .because(format!("to be {}", prune.how)),
        }
    }

    /// Removes all extra images, or none.
    pub(crate) async fn remove_all(
        &self,
        seen: &Seen,
        mut observe: impl FnMut(Outcome),
    ) -> Result<(), NothingRemoved> {
        let found = seen.extras.len() as u64;
        let Some(prune) = self.policy.prune.filter(|_| found > 0) else { return Ok(()) };
        let most = prune.most.of(seen.at_target);
        match seen {
            Seen { at_source: 0, .. } => return Err(NothingRemoved::EmptySource { found }),
            Seen { failures: 1.., .. } => return Err(NothingRemoved::Failures { found }),
            _ if found > most => return Err(NothingRemoved::TooMany { found, most }),
            _ => {}
        }
        for id in &seen.extras {
            if self.policy.stop.level().is_some() {
                break;
            }
            if let Some(outcome) = self.remove(id, prune).await {
                observe(outcome);
            }
        }
        Ok(())
    }

    /// Removes one image, if it is still extra and the removal is still wanted.
    async fn remove(&self, id: &ImageId, prune: Prune) -> Option<Outcome> {
        let image = match self.target.get(id).await {
            Err(error) if error.kind == StoreErrorKind::NotFound => return None,
            // Without a record, the image has no name to report.
            Err(error) => {
                let image = Image::queued(id.clone(), glance_core::image::Attributes::default());
                return Some(Outcome::of(image, Err(CopyError::Target(error))));
            }
            Ok(image) => image,
        };
        let result = match self.source.get(&provenance::source_id(&image)).await {
            Ok(_) => Ok(Done::Skipped("the source holds it again".to_owned())),
            Err(error) if error.kind == StoreErrorKind::NotFound => {
                match self.extra(image.clone()) {
                    // The run may have been stopped while the two records were read.
                    Entry { step: Step::Remove, .. } if self.policy.stop.level().is_some() => {
                        return None;
                    }
                    Entry { step: Step::Remove, .. } => self.take_away(&image, prune).await,
                    Entry { reason, .. } => Ok(Done::Skipped(reason.unwrap_or_default())),
                }
            }
            Err(error) => Err(CopyError::Source(error)),
        };
        Some(Outcome::of(image, result))
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

fn is_removed(image: &Image, how: Removal) -> bool {
    match how {
        Removal::Hide => image.attributes.os_hidden,
        // Users can't use a record without data, either.
        Removal::Deactivate => image.status != Status::Active,
        Removal::Delete => false,
    }
}
