//! Finds the project at the target that an image belongs to.

use std::sync::Arc;

use glance_core::project::Project;
use keystone_auth::{Projects, SignInError};

use crate::mapping::project_table::{Named, Table};

/// How projects of the source are mapped to projects of the target.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub enum Owners {
    /// The project with the same id.
    #[default]
    Keep,
    /// One project of the target, for every image.
    Project {
        /// The id of the project.
        id: String,
        /// The project as `DOMAIN/NAME`, for messages; `None` if the name is not known.
        label: Option<String>,
    },
    /// No mapping. Images belong to the project that the target is signed in to, or keep their
    /// owner at the target; members are not added.
    Caller,
    /// The projects of the two sides can't be told apart. Like [`Caller`](Self::Caller), but images
    /// of any project other than the source's own lose their owner.
    Unknown {
        /// The project that the source is signed in to, if known.
        own: Option<String>,
    },
    /// The project with the same name, in the domain with the same name.
    ByName {
        /// The source's projects.
        source: Arc<Projects>,
        /// The target's projects.
        target: Arc<Projects>,
    },
    /// The mapping in a table.
    Table {
        /// The table.
        table: Arc<Table>,
        /// The source's projects. `None`: the table must name them by id.
        source: Option<Arc<Projects>>,
        /// The target's projects. `None`: the table must name them by id.
        target: Option<Arc<Projects>>,
    },
}

/// The place at the target for a project of the source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// The project with this id. `label` describes the source's project, if it was translated.
    Project { id: String, label: Option<String> },
    /// The owner that the target chooses.
    Callers,
    /// There is no such project.
    Nowhere(Lost),
}

/// A project of the source without a counterpart at the target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Lost {
    /// A label for messages.
    pub(super) label: String,
    /// The reason, as text that follows `project LABEL`.
    pub(super) reason: String,
    /// What the operator can do about it.
    pub(super) hint: &'static str,
}

impl Owners {
    /// Whether images of the source's project `id` lose their owner.
    pub(super) fn loses(&self, id: &str) -> bool {
        matches!(self, Self::Unknown { own } if own.as_deref() != Some(id))
    }

    /// Finds the counterpart of the source's project `id`.
    pub(super) async fn place(&self, id: &str) -> Result<Place, SignInError> {
        match self {
            Self::Keep => Ok(Place::Project { id: id.to_owned(), label: None }),
            Self::Project { id, .. } => Ok(Place::Project { id: id.clone(), label: None }),
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
        return Ok(nowhere(id, "is unknown at the source, or not visible", UNKNOWN));
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
            let reason =
                format!("is mapped to {goes_to}, but no Keystone can look up that project's id");
            return Ok(nowhere(&called, reason, BY_ID));
        }
    };
    Ok(match only(&called, found) {
        Place::Nowhere(lost) => {
            Place::Nowhere(Lost { label: format!("{called} (mapped to {goes_to})"), ..lost })
        }
        place => place,
    })
}

/// The place for a look-up that should have found exactly one project.
fn only(called: &str, mut found: Vec<Project>) -> Place {
    match (found.pop(), found.is_empty()) {
        (Some(project), true) => Place::Project { id: project.id, label: Some(called.to_owned()) },
        (Some(_), false) => nowhere(called, "is in several domains of the target", AMBIGUOUS),
        (None, _) => nowhere(called, "does not exist at the target, or is not visible", NOT_THERE),
    }
}

fn nowhere(label: &str, reason: impl Into<String>, hint: &'static str) -> Place {
    Place::Nowhere(Lost { label: label.to_owned(), reason: reason.into(), hint })
}

fn label(project: &Project) -> String {
    format!("{}/{}", project.domain, project.name)
}

const UNKNOWN: &str = "name its owner with --owner map:FILE, or give all images to your own \
    project with --owner caller; the project may be deleted, or visible only to an administrator \
    of the source";
const NOT_THERE: &str = "create the project at the target, or name another one with --owner \
    map:FILE; only an administrator can look up projects of others";
const NOT_LISTED: &str = "add a line for the project to the file of --owner map:FILE";
const AMBIGUOUS: &str = "write the project as DOMAIN/NAME in the file of --owner map:FILE";
const BY_ID: &str = "write the id of the target's project in the file of --owner map:FILE";
