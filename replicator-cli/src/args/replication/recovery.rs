//! What was typed for `resume` and `repair`, and what is kept of every command line.

use clap::Args;

use crate::args::Sides;

/// Options of `resume`.
#[derive(Debug, Args)]
pub struct Resume {
    /// Where the images are, of the runs that are meant; without it, all runs of this user are
    #[arg(requires = "to")]
    pub from: Option<String>,
    /// Where they go
    pub to: Option<String>,
    /// Say which runs did not come to their end, and run none
    #[arg(short = 'n', long)]
    pub dry_run: bool,
}

/// Options of `repair`.
#[derive(Debug, Args)]
pub struct Repair {
    /// The two sides
    #[command(flatten)]
    pub sides: Sides,
    /// Say what runs left at the target, and change nothing
    #[arg(short = 'n', long)]
    pub dry_run: bool,
}

/// The command line as a journal keeps it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Typed {
    /// What was typed, without the program's name and without secrets.
    pub(crate) command: Vec<String>,
    /// What was typed and is not in there, an option each.
    pub(crate) left_out: Vec<String>,
}
