//! Options of `plan`, `sync` and `compare`, and of all commands that replicate.

use std::path::PathBuf;

use clap::{Args as ClapArgs, ValueEnum};
use replicator_engine::{ErrorLimit, MatchBy, Members, OnBurnedId, Removal};

use super::{RunOptions, SelectionArgs, WithMetadefs};

pub(crate) mod jobs;
pub(crate) mod limits;
pub(crate) mod mapping;
pub(crate) mod placement;
pub(crate) mod recovery;
pub(crate) mod transfer;

/// The source and the target.
#[derive(Debug, ClapArgs)]
pub struct Sides {
    /// Source store
    pub from: String,
    /// Target store
    pub to: String,
}

/// Options of `compare`.
#[derive(Debug, ClapArgs)]
pub struct Compare {
    /// First store, the source
    pub from: String,
    /// Second store, the target
    pub to: String,
    /// Do not report images that exist only in the second store
    #[arg(long)]
    pub one_way: bool,
    /// Write one line per image to FILE (- for standard output): state sign and id
    ///
    /// The signs are = same, + missing at the target, - only at the target, * different, ! cannot
    /// be replicated, ? not verifiable, or skipped because the image is unusable elsewhere.
    #[arg(long, value_name = "FILE|-")]
    pub combined: Option<PathBuf>,
    /// Images to process
    #[command(flatten)]
    pub selection: Box<SelectionArgs>,
}

/// Options of `plan`.
#[derive(Debug, ClapArgs)]
pub struct Plan {
    /// The source and the target
    #[command(flatten)]
    pub sides: Sides,
    /// Write the plan to FILE, for `sync --plan`
    #[arg(short, long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Removal of images that exist only at the target.
    #[command(flatten)]
    pub removal: Removing,
    /// Images to process
    #[command(flatten)]
    pub selection: Box<SelectionArgs>,
}

/// Options of `sync`.
#[derive(Debug, ClapArgs)]
pub struct Sync {
    /// Source store
    pub from: String,
    /// Target stores
    #[arg(required = true)]
    pub to: Vec<String>,
    /// Report what would be done, and change nothing
    #[arg(short = 'n', long)]
    pub dry_run: bool,
    /// Carry out the plan in FILE, if it still applies
    ///
    /// Does nothing if either side has changed since the plan was made.
    #[arg(long, value_name = "FILE")]
    pub plan: Option<PathBuf>,
    /// Synchronize these namespaces of metadata definitions, too
    #[arg(long, value_name = "WHICH", default_value = "none")]
    pub metadefs: WithMetadefs,
    /// Order, retries and limits of the run
    #[command(flatten)]
    pub course: RunOptions,
    /// Removal of images that exist only at the target.
    #[command(flatten)]
    pub removal: Removing,
    /// Images to process
    #[command(flatten)]
    pub selection: Box<SelectionArgs>,
}

/// Removal of images that exist only at the target.
#[derive(Debug, ClapArgs)]
#[command(next_help_heading = "Removal")]
pub struct Removing {
    /// Remove extra replicas, within --max-delete
    ///
    /// An extra replica is an image that an earlier sync copied from this source, and that the source
    /// deleted since.
    #[arg(long, value_name = "HOW", default_value = "none")]
    pub delete: Delete,
    /// Remove at most this number of images in one run, or this percentage of the target's images;
    /// if more would be removed, remove none
    #[arg(long, value_name = "N|N%", default_value = "10%")]
    pub max_delete: ErrorLimit,
    /// Remove protected images, too
    #[arg(long)]
    pub unprotect: bool,
    /// Mark replicas that other commands made, too, if their data is that of the source
    ///
    /// Without the mark of a sync, --delete never removes a replica.
    #[arg(long, conflicts_with = "no_stamp")]
    pub adopt: bool,
    /// Do not mark new replicas with the property that identifies their source; unmarked replicas
    /// are never removed
    #[arg(long)]
    pub no_stamp: bool,
}

/// Action for replicas whose source image no longer exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[expect(clippy::enum_variant_names, reason = "the variants are words of the command line")]
pub enum Delete {
    /// Leave them unchanged.
    None,
    /// Hide them from default listings.
    Hide,
    /// Deactivate them: only administrators can use them.
    Deactivate,
    /// Delete them; their ids cannot be used again.
    Delete,
}

impl Delete {
    /// The removal that is requested, if any.
    pub(crate) fn removal(self) -> Option<Removal> {
        match self {
            Self::None => None,
            Self::Hide => Some(Removal::Hide),
            Self::Deactivate => Some(Removal::Deactivate),
            Self::Delete => Some(Removal::Delete),
        }
    }
}

/// Matching of replicas with their source images.
#[derive(Debug, ClapArgs)]
#[command(next_help_heading = "Replicas")]
pub struct ReplicaMatchingArgs {
    /// Copy records without data, too
    #[arg(long, global = true)]
    pub queued: bool,
    /// Choose what to do when the target refuses to reuse an image id (Glance never frees the ids
    /// of deleted images)
    #[arg(long, global = true, value_name = "WHAT", default_value = "fail")]
    pub on_burned_id: BurnedId,
    /// Give new copies another id; later runs recognize these copies
    ///
    /// A copy that has the id of its image does not count.
    #[arg(long, global = true, conflicts_with = "on_burned_id")]
    pub new_id: bool,
    /// Find the replica of an image by this attribute
    #[arg(long = "match", global = true, value_name = "WHAT", default_value = "id")]
    pub match_by: Match,
    /// Compare the members of shared images, or skip that, which saves a request per image on each
    /// side; new copies get their members in both cases
    #[arg(long, global = true, value_name = "WHAT", default_value = "check")]
    pub members: MembersArg,
}

/// What is done about the members of shared images.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum MembersArg {
    /// Compare them with those of the replicas.
    Check,
    /// Do not look at the members of images that the target already has.
    Skip,
}

impl From<MembersArg> for Members {
    fn from(typed: MembersArg) -> Self {
        match typed {
            MembersArg::Check => Self::Check,
            MembersArg::Skip => Self::CheckNew,
        }
    }
}

/// Action when the target refuses an image id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum BurnedId {
    /// Use a new id, and record the original id in a property.
    New,
    /// Skip the image.
    Skip,
    /// Count the image as failed.
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

/// The attribute that identifies the replica of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Match {
    /// The image id.
    Id,
    /// The image name, if it is unique on each side.
    Name,
    /// The digest of the image data.
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
