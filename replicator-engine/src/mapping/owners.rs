//! To which project an image goes.

use std::sync::Arc;

use glance_core::project::Project;
use keystone_auth::{Projects, SignInError};

use crate::mapping::project_table::{Named, Table};

/// To which projects those of the source belong at the target.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub enum Owners {
    /// The same, by the same ids.
    #[default]
    Keep,
    /// To none that is known: an image goes to the project that the target is signed in to, and
    /// the target's owner is left alone; a member is not added.
    Caller,
    /// The projects of the two sides can't be told apart. As [`Caller`](Self::Caller), but every image
    /// of another project than the source's own loses its owner.
    Unknown {
        /// The project that the source is signed in to, where that is known.
        own: Option<String>,
    },
    /// Those of the same name, in the domain of the same name.
    ByName {
        /// The source's projects.
        source: Arc<Projects>,
        /// The target's.
        target: Arc<Projects>,
    },
    /// As a table says.
    Table {
        /// The table.
        table: Arc<Table>,
        /// The source's projects; without them, the table must name them by id.
        source: Option<Arc<Projects>>,
        /// The target's projects; without them, the table must name them by id.
        target: Option<Arc<Projects>>,
    },
}

/// Where a project of the source is found at the target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// By this id; with what the operator calls it, where it was translated.
    Project { id: String, label: Option<String> },
    /// Wherever the target puts it.
    Callers,
    /// Nowhere.
    Nowhere(Lost),
}

/// A project without a place at the target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Lost {
    /// What to call it.
    pub(super) label: String,
    /// Why, in words that follow `project LABEL`.
    pub(super) reason: String,
    /// The remedy.
    pub(super) hint: &'static str,
}

impl Owners {
    /// Whether what belongs to the source's project `id` loses its owner.
    pub(super) fn loses(&self, id: &str) -> bool {
        matches!(self, Self::Unknown { own } if own.as_deref() != Some(id))
    }

    /// Where the source's project `id` is at the target.
    pub(super) async fn place(&self, id: &str) -> Result<Place, SignInError> {
        match self {
            Self::Keep => Ok(Place::Project { id: id.to_owned(), label: None }),
            Self::Caller | Self::Unknown { .. } => Ok(Place::Callers),
            Self::ByName { source, target } => by_name(id, source, target).await,
            Self::Table { table, source, target } => {
                by_table(id, table, source.as_deref(), target.as_deref()).await
            }
        }
    }
}

async fn by_name(id: &str, source: &Projects, target: &Projects) -> Result<Place, SignInError> {
    let Some(project) = source.by_id(id).await? else {
        return Ok(nowhere(id, "is not known at the source, or not shown", UNKNOWN));
    };
    let found = target.by_name(Some(&project.domain), &project.name).await?;
    Ok(only(&label(&project), found))
}

async fn by_table(
    id: &str,
    table: &Table,
    source: Option<&Projects>,
    target: Option<&Projects>,
) -> Result<Place, SignInError> {
    let project = match source {
        Some(source) if table.has_names() => source.by_id(id).await?,
        _ => None,
    };
    let called = project.as_ref().map_or(id.to_owned(), label);
    let Some(goes_to) = table.find(id, project.as_ref()) else {
        return Ok(nowhere(&called, "is not in the table of owners", NOT_LISTED));
    };
    let found = match (goes_to, target) {
        (Named::Id(id), None) => {
            return Ok(Place::Project { id: id.clone(), label: Some(called) });
        }
        (Named::Id(id), Some(target)) => target.by_id(id).await?.into_iter().collect(),
        (Named::Name { domain, name }, Some(target)) => {
            target.by_name(domain.as_deref(), name).await?
        }
        (Named::Name { .. }, None) => {
            let reason = format!("goes to {goes_to}, and there is no Keystone to ask for its id");
            return Ok(nowhere(&called, reason, BY_ID));
        }
    };
    Ok(match only(&called, found) {
        Place::Nowhere(lost) => {
            Place::Nowhere(Lost { label: format!("{called} (to go to {goes_to})"), ..lost })
        }
        place => place,
    })
}

/// The one project that was found.
fn only(called: &str, mut found: Vec<Project>) -> Place {
    match (found.pop(), found.is_empty()) {
        (Some(project), true) => Place::Project { id: project.id, label: Some(called.to_owned()) },
        (Some(_), false) => nowhere(called, "is in several domains of the target", AMBIGUOUS),
        (None, _) => nowhere(called, "is not at the target, or not shown", NOT_THERE),
    }
}

fn nowhere(label: &str, reason: impl Into<String>, hint: &'static str) -> Place {
    Place::Nowhere(Lost { label: label.to_owned(), reason: reason.into(), hint })
}

fn label(project: &Project) -> String {
    format!("{}/{}", project.domain, project.name)
}

const UNKNOWN: &str = "it may have been deleted, or only an administrator of the source may look; \
    say whose it is to be by --owner map:FILE, or give all to your own project by --owner caller";
const NOT_THERE: &str = "make the project at the target, or say another by --owner map:FILE; to \
    look for those of others takes an administrator";
const NOT_LISTED: &str = "add a line for it to the file of --owner map:FILE";
const AMBIGUOUS: &str = "write it as DOMAIN/NAME in the file of --owner map:FILE";
const BY_ID: &str = "write the target's project by its id in the file of --owner map:FILE";
