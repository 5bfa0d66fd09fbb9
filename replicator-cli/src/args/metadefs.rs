//! Options about metadata definitions.

use clap::{Args as ClapArgs, ValueEnum};
use replicator_engine::metadefs::Which;

/// Options of `metadefs`.
#[derive(Debug, ClapArgs)]
pub struct Metadefs {
    /// Source store
    pub from: String,
    /// Target store
    pub to: String,
    /// Copy these namespaces: custom (all except those that come with Glance), all, or a name;
    /// repeatable
    #[arg(long, value_name = "WHICH", default_value = "custom", value_parser = which)]
    pub namespaces: Vec<Which>,
    /// Remove entries that exist only in the target's namespaces; never removes a namespace
    #[arg(long)]
    pub prune: bool,
    /// Report the differences and change nothing
    #[arg(short = 'n', long)]
    pub dry_run: bool,
}

/// The namespaces of metadata definitions that are copied along with the images.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum WithMetadefs {
    /// No namespaces.
    None,
    /// All namespaces except those that come with Glance.
    Custom,
    /// All namespaces.
    All,
}

impl WithMetadefs {
    /// The selection of namespaces; `None` if no namespace is copied.
    pub(crate) fn which(self) -> Option<Which> {
        match self {
            Self::None => None,
            Self::Custom => Some(Which::Custom),
            Self::All => Some(Which::All),
        }
    }
}

fn which(text: &str) -> Result<Which, String> {
    match text {
        "" => Err("write custom, all, or a name".into()),
        "custom" => Ok(Which::Custom),
        "all" => Ok(Which::All),
        name => Ok(Which::Named(name.to_owned())),
    }
}
