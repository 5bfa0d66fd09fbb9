//! Definitions of metadata, brought in step: namespaces, with the properties, objects, tags and
//! resource types in them. <https://docs.openstack.org/api-ref/image/v2/metadefs-index.html>.
//!
//! `namespace` says what one is and in what two differ. A namespace is never deleted, and what only
//! the target's has in it stays, unless it is to be pruned.

use std::collections::BTreeSet;
use std::error::Error;
use std::fmt;

use glance_core::metadefs::{Difference, MetadefStore, Namespace};

use crate::mapping::{Mapping, NotWanted};
use glance_core::image::Owner;
use glance_core::store::{StoreError, StoreErrorKind};
use keystone_auth::SignInError;

mod shipped;

/// Which namespaces are meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Which {
    /// Those that do not come with Glance. Its own are of its release: each cloud has them already,
    /// as its release has them.
    Custom,
    /// All.
    All,
    /// The one of this name.
    Named(String),
}

impl Which {
    /// Whether a namespace of this name is meant.
    pub fn admits(&self, name: &str) -> bool {
        match self {
            Self::Custom => !shipped::is_shipped(name),
            Self::All => true,
            Self::Named(one) => one == name,
        }
    }
}

/// What becomes of what only the target's namespaces have in them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Surplus {
    /// It stays.
    Keep,
    /// It is removed.
    Prune,
}

/// Whether anything is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// What differs is changed.
    Write,
    /// What differs is only said.
    DryRun,
}

/// How namespaces are brought in step.
#[derive(Debug)]
pub struct Rules<'a> {
    /// Which: those that any of these means.
    pub which: &'a [Which],
    /// To whom they go; that alone is read of it.
    pub mapping: &'a Mapping,
    /// What becomes of what only the target's have in them.
    pub surplus: Surplus,
    /// Whether anything is written.
    pub mode: Mode,
}

/// What became of one namespace, or is to.
#[derive(Debug)]
pub struct Outcome {
    /// Its name.
    pub name: String,
    /// How it was found.
    pub state: State,
    /// What was changed, or is to be.
    pub differences: Vec<Difference>,
    /// What only the target has in it, and keeps.
    pub surplus: Vec<Difference>,
    /// Why it is not in step.
    pub error: Option<MetadefError>,
}

/// How a namespace was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// The target has what it should have of it.
    Same,
    /// The target does not have it.
    Missing,
    /// The target has it otherwise.
    Different,
    /// Only the target has it. It stays.
    Extra,
    /// That could not be found out.
    Unknown,
}

/// Why a namespace is not in step.
#[derive(Debug)]
pub enum MetadefError {
    /// The source failed.
    Source(StoreError),
    /// The target failed.
    Target(StoreError),
    /// Its owner has no place at the target.
    Owner {
        /// Why.
        reason: String,
        /// What the operator can do about it.
        hint: String,
    },
    /// A Keystone failed.
    Keystone(SignInError),
}

impl fmt::Display for MetadefError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Source(error) | Self::Target(error) => error.fmt(f),
            Self::Owner { reason, .. } => f.write_str(reason),
            Self::Keystone(error) => error.fmt(f),
        }
    }
}

impl Error for MetadefError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Source(error) | Self::Target(error) => error.source(),
            Self::Owner { .. } => None,
            Self::Keystone(error) => error.source(),
        }
    }
}

impl MetadefError {
    /// What the operator can do about it.
    pub fn hint(&self) -> Option<&str> {
        match self {
            Self::Source(error) | Self::Target(error) => error.hint.as_deref(),
            Self::Owner { hint, .. } => Some(hint),
            Self::Keystone(error) => error.hint.as_deref(),
        }
    }
}

/// Brings the target's namespaces in step with the source's, one after the other, in the order of
/// names. A namespace that fails keeps no other from its turn.
///
/// # Errors
/// When one of the two can't be listed, or the target lets these credentials change nothing.
pub async fn bring_in_step(
    source: &dyn MetadefStore,
    target: &dyn MetadefStore,
    rules: &Rules<'_>,
    mut observe: impl FnMut(Outcome),
) -> Result<(), StoreError> {
    let meant = |name: &String| rules.which.iter().any(|which| which.admits(name));
    let of_source: BTreeSet<String> = source.names().await?.into_iter().filter(meant).collect();
    let of_target: BTreeSet<String> = target.names().await?.into_iter().filter(meant).collect();
    for name in &of_source {
        let pair = Pair { source, target, rules, is_there: of_target.contains(name) };
        let mut outcome = Outcome::new(name, State::Unknown);
        let done = pair.bring(&mut outcome).await;
        if let Err(MetadefError::Target(error)) = done {
            if error.kind == StoreErrorKind::Forbidden {
                return Err(error);
            }
            outcome.error = Some(MetadefError::Target(error));
        } else {
            outcome.error = done.err();
        }
        observe(outcome);
    }
    for name in of_target.difference(&of_source) {
        observe(Outcome::new(name, State::Extra));
    }
    Ok(())
}

impl Outcome {
    fn new(name: &str, state: State) -> Self {
        let name = name.to_owned();
        Self { name, state, differences: Vec::new(), surplus: Vec::new(), error: None }
    }
}

/// The two sides of one namespace.
struct Pair<'a> {
    source: &'a dyn MetadefStore,
    target: &'a dyn MetadefStore,
    rules: &'a Rules<'a>,
    /// Whether the target has it.
    is_there: bool,
}

impl Pair<'_> {
    async fn bring(&self, outcome: &mut Outcome) -> Result<(), MetadefError> {
        let read = self.source.namespace(&outcome.name).await.map_err(MetadefError::Source)?;
        let Some(mut wanted) = read else {
            // It was deleted meanwhile.
            outcome.state = State::Same;
            return Ok(());
        };
        self.give(&mut wanted).await?;
        let found = match self.is_there {
            true => self.target.namespace(&outcome.name).await.map_err(MetadefError::Target)?,
            false => None,
        };
        let writes = self.rules.mode == Mode::Write;
        let Some(found) = found else {
            outcome.state = State::Missing;
            let made = if writes { self.target.make(&wanted).await } else { Ok(()) };
            return made.map_err(MetadefError::Target);
        };
        if wanted.owner().is_none() {
            wanted.take_owner(&found);
        }
        if self.rules.surplus == Surplus::Keep {
            outcome.surplus = wanted.take_surplus(&found);
        }
        outcome.differences = wanted.differences(&found);
        if outcome.differences.is_empty() {
            outcome.state = State::Same;
            return Ok(());
        }
        outcome.state = State::Different;
        if !writes {
            return Ok(());
        }
        let changed = self.target.change(&found, &wanted, &outcome.differences).await;
        changed.map_err(MetadefError::Target)
    }

    /// Makes the owner the target's.
    async fn give(&self, wanted: &mut Namespace) -> Result<(), MetadefError> {
        let Some(owner) = wanted.owner().map(str::to_owned) else { return Ok(()) };
        match self.rules.mapping.owner(&owner).await {
            Ok(Owner::Project(id)) => wanted.set_owner(Some(id)),
            Ok(Owner::Nobody | Owner::Unsaid) => wanted.set_owner(None),
            Err(NotWanted::Unknown(error)) => return Err(MetadefError::Keystone(error)),
            // That is no project: it stays what it is.
            Err(_) if owner == LOADED => {}
            Err(NotWanted::Blocked { reason, hint }) => {
                return Err(MetadefError::Owner { reason, hint });
            }
            Err(NotWanted::Skipped(reason)) => {
                return Err(MetadefError::Owner { reason, hint: String::new() });
            }
        }
        Ok(())
    }
}

/// Whose namespaces are that `glance-manage db_load_metadefs` loads from files that say no owner
/// (`glance/db/sqlalchemy/metadata.py`).
const LOADED: &str = "admin";

#[cfg(test)]
mod tests;
