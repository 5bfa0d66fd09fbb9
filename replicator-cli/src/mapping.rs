//! How images are to be at the target: by the options, and by what the two sides are.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use glance_core::identity::Projects;
use glance_core::replicate::mapping::{
    BootFromVolume, Encrypted, Fit, InvalidTable, Mapping, Owners, Signatures, SiteLocal, Table,
};

use crate::args::{self, Options, Owner};
use crate::endpoint::{Opened, Side};
use crate::error::CliError;

/// What the options mean between these two sides. Reads the target's schema, and finds out whether
/// projects can be told apart there.
pub(crate) async fn mapping(
    options: &Options,
    source: &Opened,
    target: &Opened,
) -> Result<Mapping, CliError> {
    let said = &options.mapping;
    let without: BTreeSet<String> =
        options.dontreplicate.split_whitespace().map(str::to_owned).collect();
    let shared_with = projects(&said.owner, source, target).await?;
    let owners = match said.owner == Owner::Caller || without.contains("owner") {
        true => Owners::Caller,
        false => shared_with.clone(),
    };
    if said.owner == Owner::Auto && matches!(shared_with, Owners::Caller) {
        tracing::warn!("{NOT_KNOWN}");
    }
    Ok(Mapping {
        without,
        properties: said.property.iter().cloned().collect(),
        // From a directory, an image may come home.
        site_local: match target.glance {
            Some(_) => SiteLocal::Drop,
            None => SiteLocal::Keep,
        },
        signatures: match said.signatures {
            args::Signatures::Keep => Signatures::Keep,
            args::Signatures::Strip => Signatures::Strip,
        },
        encrypted: match said.encrypted {
            args::Encrypted::Skip => Encrypted::Skip,
            args::Encrypted::CopyWithoutPolicy => Encrypted::CopyWithoutPolicy,
        },
        boot_from_volume: match said.boot_from_volume {
            args::BootFromVolume::Skip => BootFromVolume::Skip,
            args::BootFromVolume::Copy => BootFromVolume::Copy,
        },
        owners,
        shared_with,
        fit: fit(target).await?,
        ..Mapping::default()
    })
}

async fn fit(target: &Opened) -> Result<Option<Fit>, CliError> {
    let Some(glance) = &target.glance else { return Ok(None) };
    Ok(Some(match glance.schema().await? {
        Some(schema) => Fit::of(schema),
        None => {
            tracing::info!("{glance} does not say what it takes as a record");
            Fit::default()
        }
    }))
}

/// To which projects those of the source belong at the target.
async fn projects(said: &Owner, source: &Opened, target: &Opened) -> Result<Owners, CliError> {
    match said {
        // What is meant for owners says nothing of members.
        Owner::Auto | Owner::Caller => automatic(source, target).await,
        Owner::Keep => Ok(Owners::Keep),
        Owner::ByName => Ok(Owners::ByName {
            source: keystone(Side::Source, source)?,
            target: keystone(Side::Target, target)?,
        }),
        Owner::Map(path) => Ok(Owners::Table {
            table: Arc::new(read_table(path)?),
            source: source.projects.clone(),
            target: target.projects.clone(),
        }),
    }
}

/// The rule that fits the two sides: the same ids where they mean the same, the same names where
/// both sides can be asked for all of them, and otherwise none.
async fn automatic(source: &Opened, target: &Opened) -> Result<Owners, CliError> {
    if target.glance.is_none() {
        return Ok(Owners::Keep);
    }
    let (Some(source), Some(target)) = (&source.projects, &target.projects) else {
        return Ok(Owners::Caller);
    };
    if source.are_those_of(target).await? {
        return Ok(Owners::Keep);
    }
    if source.are_all().await? && target.are_all().await? {
        return Ok(Owners::ByName { source: Arc::clone(source), target: Arc::clone(target) });
    }
    Ok(Owners::Caller)
}

fn keystone(side: Side, opened: &Opened) -> Result<Arc<Projects>, CliError> {
    opened.projects.clone().ok_or_else(|| {
        let what = format!("--owner by-name: nobody knows the names of the {side}'s projects");
        CliError::usage(what).hint(format!(
            "name a cloud of clouds.yaml as the {side}, or use ids: --owner map:FILE or --owner keep"
        ))
    })
}

fn read_table(path: &Path) -> Result<Table, CliError> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        CliError::usage(format!("cannot read {}", path.display())).caused_by(error)
    })?;
    text.parse().map_err(|error: InvalidTable| {
        CliError::usage(format!("the table of owners in {} can't be used", path.display()))
            .caused_by(error)
            .hint("each line is SOURCE TARGET: a project's id, its name, or DOMAIN/NAME")
    })
}

const NOT_KNOWN: &str = "images will be owned by the project that the target is signed in to, and \
    members are not copied: the projects of the two sides can't be told apart (that takes \
    administrators of both, or --owner map:FILE); say --owner keep if both have one Keystone, or \
    --owner caller if that is meant";
