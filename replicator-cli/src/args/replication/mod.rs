//! What was typed for `plan`, `sync`, and `compare`.

use std::path::PathBuf;

use clap::{Args as ClapArgs, ValueEnum};
use replicator_engine::{MatchBy, Most, OnBurnedId, Removal};

use super::{Course, Selection, WithMetadefs};

pub(crate) mod limits;
pub(crate) mod mapping;
pub(crate) mod placement;
pub(crate) mod recovery;
pub(crate) mod transfer;

/// The two sides.
#[derive(Debug, ClapArgs)]
pub struct Sides {
    /// Where the images are
    pub from: String,
    /// Where they go
    pub to: String,
}

/// Options of `compare`.
#[derive(Debug, ClapArgs)]
pub struct Compare {
    /// The one store
    pub from: String,
    /// The other
    pub to: String,
    /// Leave out images that only the other holds
    #[arg(long)]
    pub one_way: bool,
    /// Write a line for every image, a sign and its id: = same, + missing at the target, - only
    /// there, * different, ! can't be replicated, ? not proven or left out
    #[arg(long, value_name = "FILE|-")]
    pub combined: Option<PathBuf>,
    /// Which images
    #[command(flatten)]
    pub selection: Box<Selection>,
}

/// Options of `plan`.
#[derive(Debug, ClapArgs)]
pub struct Plan {
    /// The two sides
    #[command(flatten)]
    pub sides: Sides,
    /// Write the plan to this file, for `sync --plan`
    #[arg(short, long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// What is done with images that only the target holds.
    #[command(flatten)]
    pub removal: Removing,
    /// Which images
    #[command(flatten)]
    pub selection: Box<Selection>,
}

/// Options of `sync`.
#[derive(Debug, ClapArgs)]
pub struct Sync {
    /// Where the images are
    pub from: String,
    /// Where they go
    #[arg(required = true)]
    pub to: Vec<String>,
    /// Do what this plan says, and nothing at all if either side has changed since
    #[arg(long, value_name = "FILE")]
    pub plan: Option<PathBuf>,
    /// Which namespaces of metadata definitions are brought in step, too
    #[arg(long, value_name = "WHICH", default_value = "none")]
    pub metadefs: WithMetadefs,
    /// How the run goes
    #[command(flatten)]
    pub course: Course,
    /// What is done with images that only the target holds.
    #[command(flatten)]
    pub removal: Removing,
    /// Which images
    #[command(flatten)]
    pub selection: Box<Selection>,
}

/// What is done with images that only the target holds.
#[derive(Debug, ClapArgs)]
#[command(next_help_heading = "Removal")]
pub struct Removing {
    /// What becomes of images that an earlier sync copied from this source, and that the source
    /// does not hold any more
    #[arg(long, value_name = "HOW", default_value = "none")]
    pub delete: Delete,
    /// How many images one run may remove, or which part of the target's; when there are more, none
    /// is
    #[arg(long, value_name = "N|N%", default_value = "10%")]
    pub max_delete: Most,
    /// Remove protected images too
    #[arg(long)]
    pub unprotect: bool,
    /// Leave no mark on new replicas (they are known by a property); such replicas are
    /// never removed
    #[arg(long)]
    pub no_stamp: bool,
}

/// What becomes of images that the source lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[expect(clippy::enum_variant_names, reason = "the variants are words of the command line")]
pub enum Delete {
    /// They stay.
    None,
    /// They are left out of default listings.
    Hide,
    /// Only administrators can use them.
    Deactivate,
    /// They are deleted, and their ids can't be used again.
    Delete,
}

impl Delete {
    /// The removal that is meant, if any.
    pub(crate) fn removal(self) -> Option<Removal> {
        match self {
            Self::None => None,
            Self::Hide => Some(Removal::Hide),
            Self::Deactivate => Some(Removal::Deactivate),
            Self::Delete => Some(Removal::Delete),
        }
    }
}

/// Which image is the replica of which.
#[derive(Debug, ClapArgs)]
#[command(next_help_heading = "Replicas")]
pub struct Identity {
    /// Copy records without data too
    #[arg(long, global = true)]
    pub queued: bool,
    /// What is done with an image whose id the target does not give, as it had another image of it
    #[arg(long, global = true, value_name = "WHAT", default_value = "fail")]
    pub on_burned_id: BurnedId,
    /// By what the replica of an image is found
    #[arg(long = "match", global = true, value_name = "WHAT", default_value = "id")]
    pub match_by: Match,
}

/// What is done with an image whose id can't be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum BurnedId {
    /// It gets a new one, and is known by a property.
    New,
    /// It is left out.
    Skip,
    /// It fails.
    Fail,
}

impl From<BurnedId> for OnBurnedId {
    fn from(typed: BurnedId) -> Self {
        match typed {
            BurnedId::New => Self::New,
            BurnedId::Skip => Self::Skip,
            BurnedId::Fail => Self::Fail,
        }
    }
}

/// By what the replica of an image is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Match {
    /// Its id.
    Id,
    /// Its name, where one image of each side has it.
    Name,
    /// Its digest.
    Hash,
}

impl From<Match> for MatchBy {
    fn from(typed: Match) -> Self {
        match typed {
            Match::Id => Self::Id,
            Match::Name => Self::Name,
            Match::Hash => Self::Hash,
        }
    }
}
