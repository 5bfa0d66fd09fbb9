//! What was typed for `verify`, and where state is kept.

use std::path::PathBuf;

use clap::Args;
use glance_core::selection::Subset;

use super::Selection;

/// Options of `verify`.
#[derive(Debug, Args)]
pub struct Verify {
    /// The store; alone, all its data is read and compared with its own records
    #[arg(value_name = "STORE")]
    pub from: String,
    /// The store with the replicas
    #[arg(value_name = "REPLICAS")]
    pub to: Option<String>,
    /// Trust no record: read the data of both stores
    #[arg(long)]
    pub deep: bool,
    /// Read only a part: the N-th of M (an image is always in the same), so many of a hundred, or
    /// so many bytes, such as 2/5, 10% or 5G
    #[arg(long, value_name = "N/M|P%|SIZE", default_value = "all", hide_default_value = true)]
    pub subset: Subset,
    /// Leave out images that only the other store holds
    #[arg(long)]
    pub one_way: bool,
    /// Which images
    #[command(flatten)]
    pub selection: Box<Selection>,
}

/// Where digests are remembered of images whose records have none, and journals kept.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "State")]
pub struct State {
    /// The directory of remembered digests and of the journals of runs; without it,
    /// glance-replicator in the user's directory for state, which is ~/.local/state unless XDG says
    /// otherwise
    #[arg(long, global = true, value_name = "DIR")]
    pub state_dir: Option<PathBuf>,
    /// Keep no state: no digests are remembered, no journal is written, and nothing keeps another run
    /// from working on the same
    #[arg(long, global = true, conflicts_with = "state_dir")]
    pub no_state: bool,
}
