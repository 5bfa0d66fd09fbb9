//! What was typed of metadata definitions.

use clap::{Args as ClapArgs, ValueEnum};
use replicator_engine::metadefs::Which;

/// Options of `metadefs`.
#[derive(Debug, ClapArgs)]
pub struct Metadefs {
    /// Where the namespaces are
    pub from: String,
    /// Where they go
    pub to: String,
    /// Which namespaces: custom (all but those that come with Glance), all, or the one of this name;
    /// again for more
    #[arg(long, value_name = "WHICH", default_value = "custom", value_parser = which)]
    pub namespaces: Vec<Which>,
    /// Remove what only the target's namespaces have in them; a namespace itself is never removed
    #[arg(long)]
    pub prune: bool,
    /// Say what differs, and change nothing
    #[arg(short = 'n', long)]
    pub dry_run: bool,
}

/// Which namespaces of metadata definitions go with the images.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum WithMetadefs {
    /// None.
    None,
    /// All but those that come with Glance.
    Custom,
    /// All.
    All,
}

impl WithMetadefs {
    /// Those that are meant, if any.
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
        "" => Err("say custom, all, or a name".into()),
        "custom" => Ok(Which::Custom),
        "all" => Ok(Which::All),
        name => Ok(Which::Named(name.to_owned())),
    }
}
