//! What the operator typed of how images are to be at the target.

use std::collections::BTreeSet;
use std::path::PathBuf;

use clap::{Args as ClapArgs, ValueEnum};
use replicator_engine::LossKind;
use replicator_engine::mapping::PropertyRule;

/// How images are to be at the target.
#[derive(Debug, ClapArgs)]
#[command(next_help_heading = "Mapping")]
pub struct Mapping {
    /// What becomes of single properties: keep=NAME, drop=NAME, set=NAME=VALUE or rename=OLD=NEW;
    /// again for more, in order; `*` in a name to keep or drop stands for anything
    #[arg(long, global = true, value_name = "RULE")]
    pub property: Vec<PropertyRule>,
    /// Whose images and shares are: auto, by-name (the project of the same name and domain), keep
    /// (the same id), caller (the project signed in to), or map:FILE (lines of SOURCE TARGET)
    #[arg(long, global = true, value_name = "RULE", default_value = "auto", value_parser = owner)]
    pub owner: Owner,
    /// What becomes of image signatures, which name a certificate of the source's key manager
    #[arg(long, global = true, value_name = "WHAT", default_value = "keep")]
    pub signatures: Signatures,
    /// What becomes of encrypted images, whose key stays in the source's key manager
    #[arg(long, global = true, value_name = "WHAT", default_value = "skip")]
    pub encrypted: Encrypted,
    /// What becomes of images without data that boot from volumes of the source
    #[arg(long, global = true, value_name = "WHAT", default_value = "skip")]
    pub boot_from_volume: BootFromVolume,
    /// Exit 0, not 9, when images arrive without these parts
    #[arg(long, global = true, value_name = "WHAT", value_delimiter = ',')]
    pub allow_loss: Vec<AllowedLoss>,
}

impl Mapping {
    /// What images may lose.
    pub(crate) fn accepted_losses(&self) -> BTreeSet<LossKind> {
        let kinds = |allowed: &AllowedLoss| match allowed {
            AllowedLoss::Members => vec![LossKind::Members],
            AllowedLoss::Owner => vec![LossKind::Owner],
            AllowedLoss::All => vec![LossKind::Members, LossKind::Owner],
        };
        self.allow_loss.iter().flat_map(kinds).collect()
    }
}

/// What images may lose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum AllowedLoss {
    /// The projects that an image is shared with.
    Members,
    /// The project that an image belongs to.
    Owner,
    /// Anything that can be lost.
    All,
}

/// Whose images are to be at the target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Owner {
    /// What fits the two sides.
    Auto,
    /// The project's of the same name.
    ByName,
    /// The project's of the same id.
    Keep,
    /// The project's that is signed in to.
    Caller,
    /// By a table in a file.
    Map(PathBuf),
}

fn owner(text: &str) -> Result<Owner, String> {
    match (text, text.strip_prefix("map:")) {
        ("auto", _) => Ok(Owner::Auto),
        ("by-name", _) => Ok(Owner::ByName),
        ("keep", _) => Ok(Owner::Keep),
        ("caller", _) => Ok(Owner::Caller),
        (_, Some(path)) if !path.is_empty() => Ok(Owner::Map(path.into())),
        _ => Err("say auto, by-name, keep, caller or map:FILE".into()),
    }
}

/// What becomes of image signatures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Signatures {
    /// They are copied.
    Keep,
    /// They are left out.
    Strip,
}

/// What becomes of encrypted images.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Encrypted {
    /// They are skipped.
    Skip,
    /// They are copied, without the policy that deletes their key.
    CopyWithoutPolicy,
}

/// What becomes of images without data that boot from volumes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum BootFromVolume {
    /// They are skipped.
    Skip,
    /// They are copied.
    Copy,
}
