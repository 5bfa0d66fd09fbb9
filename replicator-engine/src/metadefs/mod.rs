//! Synchronizes metadata definitions: namespaces with their properties, objects, tags and resource
//! types. See <https://docs.openstack.org/api-ref/image/v2/metadefs-index.html>.
//!
//! Namespaces and their differences are defined in [`glance_core::metadefs`]. A namespace is never
//! deleted. Definitions that only the target's namespace contains are kept, unless pruning is
//! requested.

use std::collections::BTreeSet;
use std::error::Error;
use std::fmt;

use glance_core::metadefs::{MetadefStore, Namespace, NamespaceDifference};

use crate::mapping::{Mapping, NotWanted};
use glance_core::image::Owner;
use glance_core::store::{StoreError, StoreErrorKind};
use keystone_auth::SignInError;

mod shipped;

/// Which namespaces are synchronized.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Which {
    /// Those that do not ship with Glance. The shipped ones belong to a release of Glance: each
    /// cloud already has those of its own release.
    Custom,
    /// All namespaces.
    All,
    /// The namespace with this name.
    Named(String),
}

impl Which {
    /// Whether the namespace `name` is included.
    pub fn admits(&self, name: &str) -> bool {
        match self {
            Self::Custom => !shipped::is_shipped(name),
            Self::All => true,
            Self::Named(one) => one == name,
        }
    }
}

/// What to do with definitions that only the target's namespace contains.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Surplus {
    /// Keep them.
    Keep,
    /// Remove them.
    Prune,
}

/// Whether changes are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Write the changes.
    Write,
    /// Only report the differences.
    DryRun,
}

/// Settings of a synchronization.
#[derive(Debug)]
pub struct Rules<'a> {
    /// Namespaces included by any of these are synchronized.
    pub which: &'a [Which],
    /// The mapping for owners; the rest of it is not used.
    pub mapping: &'a Mapping,
    /// What to do with definitions that only the target's namespace contains.
    pub surplus: Surplus,
    /// Whether changes are written.
    pub mode: Mode,
}

/// The result for one namespace.
#[derive(Debug)]
#[non_exhaustive]
pub struct NamespaceOutcome {
    /// The namespace's name.
    pub name: String,
    /// State of the target's namespace before any change.
    pub state: NamespaceState,
    /// The differences that were resolved, or would be in a dry run.
    pub differences: Vec<NamespaceDifference>,
    /// Definitions that only the target's namespace contains, and that are kept.
    pub surplus: Vec<NamespaceDifference>,
    /// Why the namespace could not be synchronized.
    pub error: Option<MetadefError>,
}

/// State of the target's namespace compared with the source's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NamespaceState {
    /// The target's namespace is as wanted.
    Same,
    /// The target does not have the namespace.
    Missing,
    /// The target's namespace differs.
    Different,
    /// Only the target has the namespace. It is kept.
    Extra,
    /// The state could not be determined.
    Unknown,
}

/// Why a namespace could not be synchronized.
#[derive(Debug)]
pub enum MetadefError {
    /// A request to the source failed.
    Source(StoreError),
    /// A request to the target failed.
    Target(StoreError),
    /// The owner has no counterpart at the target.
    Owner {
        /// The reason.
        reason: String,
        /// What the operator can do about it.
        hint: String,
    },
    /// A Keystone request failed.
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

/// Updates the target's namespaces to match the source's, one after the other, ordered by name. A
/// namespace that fails does not prevent the others.
///
/// # Errors
/// When one of the stores can't be listed, or the target forbids changes with these credentials.
pub async fn bring_in_step(
    source: &dyn MetadefStore,
    target: &dyn MetadefStore,
    rules: &Rules<'_>,
    mut observe: impl FnMut(NamespaceOutcome),
) -> Result<(), StoreError> {
    let meant = |name: &String| rules.which.iter().any(|which| which.admits(name));
    let of_source: BTreeSet<String> = source.names().await?.into_iter().filter(meant).collect();
    let of_target: BTreeSet<String> = target.names().await?.into_iter().filter(meant).collect();
    for name in &of_source {
        let pair = Pair { source, target, rules, is_there: of_target.contains(name) };
        let mut outcome = NamespaceOutcome::new(name, NamespaceState::Unknown);
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
        observe(NamespaceOutcome::new(name, NamespaceState::Extra));
    }
    Ok(())
}

impl NamespaceOutcome {
    fn new(name: &str, state: NamespaceState) -> Self {
        let name = name.to_owned();
        Self { name, state, differences: Vec::new(), surplus: Vec::new(), error: None }
    }
}

/// One namespace with its two stores.
struct Pair<'a> {
    source: &'a dyn MetadefStore,
    target: &'a dyn MetadefStore,
    rules: &'a Rules<'a>,
    /// Whether the target listed the namespace.
    is_there: bool,
}

impl Pair<'_> {
    async fn bring(&self, outcome: &mut NamespaceOutcome) -> Result<(), MetadefError> {
        let read = self.source.namespace(&outcome.name).await.map_err(MetadefError::Source)?;
        let Some(mut wanted) = read else {
            // The namespace was deleted in the meantime.
            outcome.state = NamespaceState::Same;
            return Ok(());
        };
        self.give(&mut wanted).await?;
        let found = match self.is_there {
            true => self.target.namespace(&outcome.name).await.map_err(MetadefError::Target)?,
            false => None,
        };
        let writes = self.rules.mode == Mode::Write;
        let Some(found) = found else {
            outcome.state = NamespaceState::Missing;
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
            outcome.state = NamespaceState::Same;
            return Ok(());
        }
        outcome.state = NamespaceState::Different;
        if !writes {
            return Ok(());
        }
        let changed = self.target.change(&found, &wanted, &outcome.differences).await;
        changed.map_err(MetadefError::Target)
    }

    /// Replaces the owner by the target's owner.
    async fn give(&self, wanted: &mut Namespace) -> Result<(), MetadefError> {
        let Some(owner) = wanted.owner().map(str::to_owned) else { return Ok(()) };
        match self.rules.mapping.owner(&owner).await {
            Ok(Owner::Project(id)) => wanted.set_owner(Some(id)),
            Ok(Owner::NoProject | Owner::Unsaid) => wanted.set_owner(None),
            Err(NotWanted::Unknown(error)) => return Err(MetadefError::Keystone(error)),
            // This owner is not a project, so it is kept as it is.
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

/// The owner of namespaces that `glance-manage db_load_metadefs` loads from files without an owner
/// (`glance/db/sqlalchemy/metadata.py`).
const LOADED: &str = "admin";

#[cfg(test)]
mod tests;
