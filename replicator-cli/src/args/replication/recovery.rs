//! Options of `resume` and `repair`, and the command line that journals record.

use clap::Args;

use crate::args::Sides;

/// Options of `resume`.
#[derive(Debug, Args)]
pub struct Resume {
    /// Source store of the runs to resume (default: all runs of this user)
    #[arg(requires = "to")]
    pub from: Option<String>,
    /// Target store of the runs to resume
    pub to: Option<String>,
    /// List the unfinished runs without resuming any
    #[arg(short = 'n', long)]
    pub dry_run: bool,
    /// Take the runs off the list of unfinished runs, without resuming any
    ///
    /// Changes nothing at the target. `repair` still finds the images that the runs left there.
    #[arg(long, conflicts_with = "dry_run")]
    pub dismiss: bool,
}

/// Options of `repair`.
#[derive(Debug, Args)]
pub struct Repair {
    /// The source and the target
    #[command(flatten)]
    pub sides: Sides,
    /// List the unfinished images at the target and change nothing
    #[arg(short = 'n', long)]
    pub dry_run: bool,
}

/// The command line as a journal records it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RecordedArgs {
    /// The arguments, without the program name and without secrets.
    pub(crate) command: Vec<String>,
    /// The options that were given but are not recorded, because their values are secrets.
    pub(crate) left_out: Vec<String>,
    /// What decides the work between the two stores, in a fixed order.
    pub(crate) work: Vec<String>,
}
