//! Options that map image properties, owners and special images to the target.

use std::collections::BTreeSet;
use std::path::PathBuf;

use clap::builder::NonEmptyStringValueParser;
use clap::{Args as ClapArgs, ValueEnum};
use replicator_engine::LossKind;
use replicator_engine::mapping::{Named, PropertyRule};

/// Mapping of properties, owners and special images to the target.
#[derive(Debug, ClapArgs)]
#[command(next_help_heading = "Mapping")]
pub struct MappingArgs {
    /// Keep or change a property: keep=NAME, drop=NAME, set=NAME=VALUE or rename=OLD=NEW;
    /// repeatable, applied in order; `*` in a name to keep or drop matches any text
    #[arg(long, global = true, value_name = "RULE")]
    pub property: Vec<PropertyRule>,
    /// Choose the owner of images at the target: a project, or a rule
    ///
    /// PROJECT is a name, DOMAIN/NAME or an id; it owns all copies. The rules are auto, by-name (the
    /// project of the same name and domain), keep (the same project id), caller (the project signed
    /// in to) and map:FILE (lines of SOURCE TARGET). project:NAME is a project even if a rule has
    /// this name.
    #[arg(long, global = true, value_name = "PROJECT|RULE", default_value = "auto", value_parser = owner)]
    pub owner: OwnerArg,
    /// Give the copy this name; exactly one image must be selected
    #[arg(long, global = true, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    pub rename: Option<String>,
    /// Skip or copy encrypted images, whose keys stay in the source's key manager
    #[arg(long, global = true, value_name = "WHAT", default_value = "skip")]
    pub encrypted: EncryptedArg,
    /// Skip or copy images without data that boot from volumes of the source
    #[arg(long, global = true, value_name = "WHAT", default_value = "skip")]
    pub boot_from_volume: BootFromVolumeArg,
    /// Exit with 0 instead of 9 if images are copied without these parts, separated by commas
    #[arg(long, global = true, value_name = "WHAT", value_delimiter = ',')]
    pub allow_loss: Vec<AllowedLoss>,
}

impl MappingArgs {
    /// Parts that images may lose without changing the exit code.
    pub(crate) fn accepted_losses(&self) -> BTreeSet<LossKind> {
        let kinds = |allowed: &AllowedLoss| match allowed {
            AllowedLoss::Members => vec![LossKind::Members],
            AllowedLoss::Owner => vec![LossKind::Owner],
            AllowedLoss::All => vec![LossKind::Members, LossKind::Owner],
        };
        self.allow_loss.iter().flat_map(kinds).collect()
    }
}

/// Parts that images may lose without changing the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum AllowedLoss {
    /// Projects that an image is shared with.
    Members,
    /// Project that owns an image.
    Owner,
    /// All of these parts.
    All,
}

/// How the target project of an image is chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OwnerArg {
    /// The rule that fits the two sides.
    Auto,
    /// The project of the same name and domain.
    ByName,
    /// The project of the same id.
    Keep,
    /// The project that the replicator is signed in to.
    Caller,
    /// A table in this file.
    Map(PathBuf),
    /// This project.
    Project(Named),
}

fn owner(text: &str) -> Result<OwnerArg, String> {
    match (text, text.strip_prefix("map:")) {
        ("auto", _) => Ok(OwnerArg::Auto),
        ("by-name", _) => Ok(OwnerArg::ByName),
        ("keep", _) => Ok(OwnerArg::Keep),
        ("caller", _) => Ok(OwnerArg::Caller),
        ("" | "map:" | "project:", _) => {
            Err("write auto, by-name, keep, caller, map:FILE, or a project".into())
        }
        (_, Some(path)) => Ok(OwnerArg::Map(path.into())),
        _ => Ok(OwnerArg::Project(text.strip_prefix("project:").unwrap_or(text).into())),
    }
}

/// Handling of encrypted images.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum EncryptedArg {
    /// Skip them.
    Skip,
    /// Copy them without the policy that deletes their key.
    CopyWithoutPolicy,
}

/// Handling of images without data that boot from volumes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum BootFromVolumeArg {
    /// Skip them.
    Skip,
    /// Copy them.
    Copy,
}
