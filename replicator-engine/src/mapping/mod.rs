//! How an image of the source is to be at the target: what belongs to the image stays, what belongs
//! to the site is the target's own.
//!
//! In reading order: `classes` says whose business a property is, `rules` what the operator says of
//! it, `owners` to which project an image goes, maybe by a `table`, and `fit` whether the target will
//! take the record.

use std::collections::{BTreeMap, BTreeSet};

use glance_core::image::{Attributes, Image, ImageId, Member, Owner};
use keystone_auth::SignInError;

use crate::planning::loss::Loss;

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

/// How an image of the source is to be at the target. The default keeps everything as the source
/// has it, but for images whose data means nothing elsewhere: those are skipped.
#[derive(Debug, Clone, Default)]
pub struct Mapping {
    /// Fields and properties to leave out, of the copies and of the comparisons.
    pub without: BTreeSet<String>,
    /// What the operator says of single properties.
    pub properties: PropertyRules,
    /// What becomes of properties that mean something at the source's site only.
    pub site_local: SiteLocal,
    /// What becomes of signatures.
    pub signatures: Signatures,
    /// What becomes of encrypted images.
    pub encrypted: Encrypted,
    /// What becomes of images that describe volumes of the source.
    pub boot_from_volume: BootFromVolume,
    /// To whom images go.
    pub owners: Owners,
    /// With whom they are shared, by the target's ids.
    pub shared_with: Owners,
    /// Images that have another id at the target, for `kernel_id` and `ramdisk_id`.
    pub ids: BTreeMap<ImageId, ImageId>,
    /// What the target takes, where it does not take everything.
    pub fit: Option<Fit>,
}

/// What becomes of properties that mean something at the source's site only.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum SiteLocal {
    /// They are kept, as in a directory, from where they may come home.
    #[default]
    Keep,
    /// They are left out, and those of the target left alone.
    Drop,
}

/// What becomes of `img_signature` and the properties that go with it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Signatures {
    /// They are kept.
    #[default]
    Keep,
    /// They are left out, and those of the target left alone.
    Strip,
}

/// What becomes of images that are encrypted with a key of the source's key manager.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Encrypted {
    /// They are skipped.
    #[default]
    Skip,
    /// They are copied with the key's id, but without the policy to delete the key with the image:
    /// where the key manager is shared, deleting the copy would make the original unreadable.
    CopyWithoutPolicy,
}

/// What becomes of images without data whose record says from which volumes to boot.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum BootFromVolume {
    /// They are skipped.
    #[default]
    Skip,
    /// They are copied, with the record of the volumes.
    Copy,
}

/// What the target should hold of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Its record, without what is the target's own. An owner that is not said is the target's choice.
    pub attributes: Attributes,
    /// What was translated, a sentence each, without its full stop.
    pub notes: Vec<String>,
    /// What the target does not get.
    pub losses: Vec<Loss>,
}

/// Why the target is to hold nothing of an image.
#[derive(Debug)]
#[non_exhaustive]
pub enum NotWanted {
    /// It would be of no use there, for this reason.
    Skipped(String),
    /// It can't be as it should be.
    Blocked {
        /// Why.
        reason: String,
        /// What the operator can do about it.
        hint: String,
    },
    /// It is not known, because a Keystone failed. That is a failure of the run, not of the image.
    Unknown(SignInError),
}

/// The members of an image, as the target should have them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mapped {
    /// By the target's ids.
    pub members: Vec<Member>,
    /// Those that have none there, as the operator knows them.
    pub unresolved: Vec<String>,
}

impl Mapped {
    fn has(&self, project: &str) -> bool {
        self.members.iter().any(|member| member.project == project)
    }
}

impl Mapping {
    /// What the target should hold of `image`.
    ///
    /// # Errors
    /// Why it is to hold nothing of it.
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

    /// The members that the target should have of an image with `members`.
    ///
    /// # Errors
    /// When a Keystone fails.
    pub async fn members(&self, members: &[Member]) -> Result<Mapped, SignInError> {
        let mut mapped = Mapped::default();
        for member in members {
            match self.shared_with.place(&member.project).await? {
                // Two projects may go to one.
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

    /// What the target's record is to become where it holds `replica`: what is wanted, and of what
    /// is the target's own, what it has. A replica that differs from it nowhere is as wanted.
    pub fn onto(&self, wanted: &Wanted, replica: &Attributes) -> Attributes {
        let mut attributes = wanted.attributes.clone();
        take_fields(&mut attributes, replica, &self.without);
        if attributes.owner == Owner::Unsaid || replica.owner == Owner::Unsaid {
            attributes.owner.clone_from(&replica.owner);
        }
        // Glance never changes the formats of data.
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

    /// Whether the target keeps its own property `name`.
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
            Class::Signature => self.signatures == Signatures::Strip,
            Class::EncryptedVolume | Class::Image | Class::Custom => false,
        }
    }

    /// Refuses images whose data means nothing elsewhere.
    fn portable(&self, image: &Image) -> Result<(), NotWanted> {
        let properties = &image.attributes.properties;
        if properties.contains_key(property_class::KEY) && self.encrypted == Encrypted::Skip {
            let reason = "its data is encrypted with a key of the source's key manager";
            return Err(NotWanted::Skipped(reason.to_owned()));
        }
        let of_volumes = ["block_device_mapping", "bdm_v2"];
        // A record that says neither a size nor a digest may be of such an image.
        let is_empty = image.size.map_or(image.digests().next().is_none(), |size| size == 0);
        if is_empty
            && of_volumes.iter().any(|name| properties.contains_key(*name))
            && self.boot_from_volume == BootFromVolume::Skip
        {
            let reason = "it has no data, and boots from volumes of the source";
            return Err(NotWanted::Skipped(reason.to_owned()));
        }
        Ok(())
    }

    /// Makes the owner the target's, and says whether it is lost.
    async fn give(
        &self,
        attributes: &mut Attributes,
        notes: &mut Vec<String>,
    ) -> Result<Vec<Loss>, NotWanted> {
        let owner = match std::mem::take(&mut attributes.owner) {
            Owner::Project(owner) => owner,
            Owner::Nobody if !matches!(self.owners, Owners::Caller | Owners::Unknown { .. }) => {
                attributes.owner = Owner::Nobody;
                return Ok(Vec::new());
            }
            Owner::Nobody | Owner::Unsaid => return Ok(Vec::new()),
        };
        let (place, label) = self.place(&owner).await?;
        if let (Owner::Project(id), Some(label)) = (&place, label) {
            if *id != owner {
                notes.push(format!("its owner {label} is {id} at the target"));
            }
        }
        attributes.owner = place;
        let lost =
            self.owners.loses(&owner).then(|| Loss::owner(format!("its owner, project {owner}")));
        Ok(lost.into_iter().collect())
    }

    /// Whose something is to be at the target that is the project `owner`'s at the source.
    ///
    /// # Errors
    /// Why it can't be had there.
    pub async fn owner(&self, owner: &str) -> Result<Owner, NotWanted> {
        self.place(owner).await.map(|(place, _)| place)
    }

    /// The same, with what the operator calls the project, where it was translated.
    async fn place(&self, owner: &str) -> Result<(Owner, Option<String>), NotWanted> {
        match self.owners.place(owner).await.map_err(NotWanted::Unknown)? {
            Place::Project { id, label } => Ok((Owner::Project(id), label)),
            Place::Callers => Ok((Owner::Unsaid, None)),
            Place::Nowhere(lost) => Err(NotWanted::Blocked {
                reason: format!("its owner, project {}, {}", lost.label, lost.reason),
                hint: lost.hint.to_owned(),
            }),
        }
    }

    /// The record without what belongs to the site, and as the operator wants it.
    fn of_the_image(&self, source: &Attributes, notes: &mut Vec<String>) -> Attributes {
        let mut wanted = source.clone();
        take_fields(&mut wanted, &Attributes::default(), &self.without);
        let left_out = |name: &str| self.is_left_out(Class::of(name));
        wanted.properties =
            self.properties.apply(&source.properties, left_out, |note| notes.push(note));
        wanted.properties.remove(property_class::KEY_DELETION);
        wanted.properties.retain(|name, _| !self.without.contains(name));
        self.translate_images(&mut wanted, notes);
        wanted
    }

    /// Makes the ids of other images the target's.
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

/// Makes the fields that the operator leaves out those of `from`.
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
