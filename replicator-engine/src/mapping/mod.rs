//! Translates an image's record for the target. Attributes of the image itself are kept; attributes
//! that depend on the site are the target's own. Visibility and protection are kept, unless
//! `--dontreplicate` names them.
//!
//! In reading order: `property_class` tells which properties depend on the site, `rules` holds the
//! operator's rules for properties, `owners` finds the project that an image goes to, possibly in a
//! `project_table`, and `schema_check` checks whether the target will accept the record.

use std::collections::{BTreeMap, BTreeSet};

use glance_core::image::{Attributes, Image, ImageId, Member, Owner};
use keystone_auth::SignInError;

use crate::loss::Loss;

mod owners;
mod project_table;
mod property_class;
mod rules;
mod schema_check;

pub use owners::Owners;
use owners::Place;
pub use project_table::{InvalidTable, Named, Table};
pub use property_class::Class;
pub use rules::{InvalidRule, Pattern, PropertyRule, PropertyRules};
pub use schema_check::{Fit, Misfit};

/// How the source's records are translated for the target. The default keeps everything as at the
/// source, but skips images whose data is unusable elsewhere.
#[derive(Debug, Clone, Default)]
pub struct Mapping {
    /// Fields and properties to leave out of copies and comparisons.
    pub without: BTreeSet<String>,
    /// The operator's rules for single properties.
    pub properties: PropertyRules,
    /// What to do with properties that are meaningful only at the source's site.
    pub site_local: SiteLocal,
    /// What to do with encrypted images.
    pub encrypted: Encrypted,
    /// What to do with images that describe volumes of the source.
    pub boot_from_volume: BootFromVolume,
    /// The name of the images at the target. `None`: the name at the source.
    pub name: Option<String>,
    /// The owners of images at the target.
    pub owners: Owners,
    /// The projects that images are shared with at the target.
    pub shared_with: Owners,
    /// Ids of images that have another id at the target, by source id. Used for `kernel_id` and
    /// `ramdisk_id`.
    pub ids: BTreeMap<ImageId, ImageId>,
    /// The target's limits for records. `None`: records are not checked.
    pub fit: Option<Fit>,
}

/// What to do with properties that are meaningful only at the source's site.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum SiteLocal {
    /// Keep them, as in a copy to a directory that may be copied back later.
    #[default]
    Keep,
    /// Leave them out, and leave the target's own alone.
    Drop,
}

/// What to do with images that are encrypted with a key of the source's key manager.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Encrypted {
    /// Skip the image.
    #[default]
    Skip,
    /// Copy the image with the key's id, but without the policy that deletes the key with the
    /// image. Where both sites share the key manager, deleting the copy would otherwise make the
    /// original unreadable.
    CopyWithoutPolicy,
}

/// What to do with images without data whose record names volumes to boot from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum BootFromVolume {
    /// Skip the image.
    #[default]
    Skip,
    /// Copy the image, including the description of its volumes.
    Copy,
}

/// What the target should hold for an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The wanted record, without the target's own attributes. With the owner [`Owner::Unsaid`],
    /// the target chooses the owner.
    pub attributes: Attributes,
    /// What was translated, one sentence each, without a full stop.
    pub notes: Vec<String>,
    /// Parts of the image that the target does not get.
    pub losses: Vec<Loss>,
}

/// Why the target should hold nothing of an image.
#[derive(Debug)]
#[non_exhaustive]
pub enum NotWanted {
    /// The image would be unusable at the target; the text is the reason.
    Skipped(String),
    /// The target can't hold the image as wanted.
    Blocked {
        /// The reason.
        reason: String,
        /// What the operator can do about it.
        hint: String,
    },
    /// The owner could not be determined because a Keystone request failed. This is a failure of
    /// the run, not of the image.
    Unknown(SignInError),
}

/// The members of an image, translated for the target.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mapped {
    /// The members, with the target's project ids.
    pub members: Vec<Member>,
    /// Descriptions of the members that have no project at the target.
    pub unresolved: Vec<String>,
}

impl Mapped {
    fn has(&self, project: &str) -> bool {
        self.members.iter().any(|member| member.project == project)
    }
}

impl Mapping {
    /// The wanted state at the target for `image`.
    ///
    /// # Errors
    /// The reason why the target should hold nothing of the image.
    pub async fn wanted(&self, image: &Image) -> Result<Wanted, NotWanted> {
        self.portable(image)?;
        let mut notes = Vec::new();
        let mut attributes = self.of_the_image(&image.attributes, &mut notes);
        let losses = self.give(&mut attributes, &mut notes).await?;
        if let Some(fit) = &self.fit {
            fit.adapt(&mut attributes, |note| notes.push(note));
            let blocked = |Misfit { reason, hint }| NotWanted::Blocked { reason, hint };
            fit.check(&attributes).map_err(blocked)?;
        }
        Ok(Wanted { attributes, notes, losses })
    }

    /// Translates the members of an image for the target.
    ///
    /// # Errors
    /// When a Keystone request fails.
    pub async fn members(&self, members: &[Member]) -> Result<Mapped, SignInError> {
        let mut mapped = Mapped::default();
        for member in members {
            match self.shared_with.place(&member.project).await? {
                // Two source projects may map to the same target project.
                Place::Project { id, .. } if mapped.has(&id) => {}
                Place::Project { id, .. } => {
                    mapped.members.push(Member { project: id, status: member.status });
                }
                Place::Callers => mapped.unresolved.push(format!("project {}", member.project)),
                Place::Nowhere(lost) => {
                    mapped.unresolved.push(format!("project {} {}", lost.label, lost.reason));
                }
            }
        }
        Ok(mapped)
    }

    /// The attributes that `replica` should be updated to: the wanted ones, combined with the
    /// target's own values of those that are left alone. If they equal the replica's, no update is
    /// needed.
    pub fn onto(&self, wanted: &Wanted, replica: &Attributes) -> Attributes {
        let mut attributes = wanted.attributes.clone();
        take_fields(&mut attributes, replica, &self.without);
        if attributes.owner == Owner::Unsaid || replica.owner == Owner::Unsaid {
            attributes.owner.clone_from(&replica.owner);
        }
        // Glance does not allow changes of the formats once there is data.
        for (name, of_wanted, of_replica) in [
            ("disk_format", &mut attributes.disk_format, &replica.disk_format),
            ("container_format", &mut attributes.container_format, &replica.container_format),
        ] {
            if self.without.contains(name) {
                of_wanted.clone_from(of_replica);
            }
        }
        let alone = replica.properties.iter().filter(|(name, _)| self.leaves_alone(name));
        let alone = alone.map(|(name, value)| (name.clone(), value.clone()));
        attributes.properties.extend(alone);
        attributes
    }

    /// Whether the target keeps its own value of the property `name`.
    pub fn leaves_alone(&self, name: &str) -> bool {
        self.without.contains(name)
            || self.properties.leave_alone(name, self.is_left_out(Class::of(name)))
    }

    fn is_left_out(&self, class: Class) -> bool {
        match class {
            Class::Reserved | Class::Link | Class::Stamp => true,
            Class::SiteLocal => self.site_local == SiteLocal::Drop,
            Class::BootFromVolume => {
                self.site_local == SiteLocal::Drop && self.boot_from_volume == BootFromVolume::Skip
            }
            Class::EncryptedVolume | Class::Image | Class::Custom => false,
        }
    }

    /// Rejects images whose data is unusable elsewhere.
    fn portable(&self, image: &Image) -> Result<(), NotWanted> {
        let properties = &image.attributes.properties;
        if properties.contains_key(property_class::KEY) && self.encrypted == Encrypted::Skip {
            let reason = "the data is encrypted with a key of the source's key manager";
            return Err(NotWanted::Skipped(reason.to_owned()));
        }
        let of_volumes = ["block_device_mapping", "bdm_v2"];
        // If the record has neither a size nor a digest, the image may be empty.
        let is_empty = image.size.map_or(image.digests().next().is_none(), |size| size == 0);
        if is_empty
            && of_volumes.iter().any(|name| properties.contains_key(*name))
            && self.boot_from_volume == BootFromVolume::Skip
        {
            let reason = "the image has no data and boots from volumes of the source";
            return Err(NotWanted::Skipped(reason.to_owned()));
        }
        Ok(())
    }

    /// Replaces the owner by the target's owner. Returns a loss if the owner is lost.
    async fn give(
        &self,
        attributes: &mut Attributes,
        notes: &mut Vec<String>,
    ) -> Result<Vec<Loss>, NotWanted> {
        if let Owners::Project { id, label } = &self.owners {
            // An image without an owner gets this one, too.
            let owner = Owner::Project(id.clone());
            if attributes.owner != owner {
                let project = match label {
                    Some(label) => format!("{label} ({id})"),
                    None => id.clone(),
                };
                notes.push(format!(
                    "owner at the target is project {project}; a later run without --owner sets the \
                     source's owner again"
                ));
            }
            attributes.owner = owner;
            return Ok(Vec::new());
        }
        let owner = match std::mem::take(&mut attributes.owner) {
            Owner::Project(owner) => owner,
            Owner::NoProject if !matches!(self.owners, Owners::Caller | Owners::Unknown { .. }) => {
                attributes.owner = Owner::NoProject;
                return Ok(Vec::new());
            }
            Owner::NoProject | Owner::Unsaid => return Ok(Vec::new()),
        };
        let (place, label) = self.place(&owner).await?;
        if let (Owner::Project(id), Some(label)) = (&place, label) {
            if *id != owner {
                notes.push(format!("owner {label} is {id} at the target"));
            }
        }
        attributes.owner = place;
        let lost =
            self.owners.loses(&owner).then(|| Loss::owner(format!("owner: project {owner}")));
        Ok(lost.into_iter().collect())
    }

    /// The owner at the target for the source's project `owner`.
    ///
    /// # Errors
    /// The reason why there is no owner at the target.
    pub async fn owner(&self, owner: &str) -> Result<Owner, NotWanted> {
        self.place(owner).await.map(|(place, _)| place)
    }

    /// Like [`owner`](Self::owner), with a label of the project for messages if it was translated.
    async fn place(&self, owner: &str) -> Result<(Owner, Option<String>), NotWanted> {
        match self.owners.place(owner).await.map_err(NotWanted::Unknown)? {
            Place::Project { id, label } => Ok((Owner::Project(id), label)),
            Place::Callers => Ok((Owner::Unsaid, None)),
            Place::Nowhere(lost) => Err(NotWanted::Blocked {
                reason: format!("the owner, project {}, {}", lost.label, lost.reason),
                hint: lost.hint.to_owned(),
            }),
        }
    }

    /// The record without properties of the source's site, with the operator's rules applied.
    fn of_the_image(&self, source: &Attributes, notes: &mut Vec<String>) -> Attributes {
        let mut wanted = source.clone();
        take_fields(&mut wanted, &Attributes::default(), &self.without);
        if let Some(name) = &self.name {
            if wanted.name.as_ref() != Some(name) {
                notes.push(format!(
                    "the image is named {name:?} at the target; a later run without --rename sets the \
                     source's name again"
                ));
            }
            wanted.name = Some(name.clone());
        }
        let left_out = |name: &str| self.is_left_out(Class::of(name));
        wanted.properties =
            self.properties.apply(&source.properties, left_out, |note| notes.push(note));
        wanted.properties.remove(property_class::KEY_DELETION);
        wanted.properties.retain(|name, _| !self.without.contains(name));
        self.translate_images(&mut wanted, notes);
        wanted
    }

    /// Replaces the ids of other images by their ids at the target.
    fn translate_images(&self, wanted: &mut Attributes, notes: &mut Vec<String>) {
        if self.ids.is_empty() {
            return;
        }
        let properties = wanted.properties.iter_mut();
        for (name, value) in properties.filter(|(name, _)| Class::of(name) == Class::Image) {
            let known = value.parse::<ImageId>().ok().and_then(|id| self.ids.get(&id));
            if let Some(id) = known.filter(|id| id.as_str() != value) {
                notes.push(format!("{name} {value} is {id} at the target"));
                *value = id.to_string();
            }
        }
    }
}

/// Sets the fields that the operator leaves out to those of `from`.
fn take_fields(attributes: &mut Attributes, from: &Attributes, without: &BTreeSet<String>) {
    macro_rules! take {
        ($($field:ident)*) => { $(
            if without.contains(stringify!($field)) {
                attributes.$field.clone_from(&from.$field);
            }
        )* };
    }
    take!(name owner visibility protected os_hidden min_disk min_ram tags);
}

#[cfg(test)]
mod tests;
