//! What was typed for `verify`, and where digests are remembered.

use std::path::PathBuf;

use clap::Args;
use glance_core::select::Subset;

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

/// Where digests are remembered, of images whose records have none.
#[derive(Debug, Args)]
#[command(next_help_heading = "State")]
pub struct State {
    /// The directory of the file digests.ndjson, in place of glance-replicator below
    /// $XDG_STATE_HOME or ~/.local/state
    #[arg(long, global = true, value_name = "DIR")]
    pub state_dir: Option<PathBuf>,
    /// Neither use nor remember digests of images whose records have none
    #[arg(long, global = true, conflicts_with = "state_dir")]
    pub no_state: bool,
}
