//! Options of `verify`, and the options for the state directory.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use glance_core::selection::Subset;

use super::SelectionArgs;
use super::replication::limits::duration;

/// Options of `verify`.
#[derive(Debug, Args)]
pub struct Verify {
    /// Store to verify; without REPLICAS, against its own records, by reading all data
    #[arg(value_name = "STORE")]
    pub from: String,
    /// Store with the replicas
    #[arg(value_name = "REPLICAS")]
    pub to: Option<String>,
    /// Read the data of both stores instead of trusting their records
    #[arg(long)]
    pub deep: bool,
    /// Read only a part of the data, such as 2/5, 10% or 5G
    ///
    /// 2/5 is part 2 of 5; each image is always in the same part. 5G is a number of bytes in powers
    /// of 1024. Default: all.
    #[arg(long, value_name = "N/M|P%|SIZE", default_value = "all", hide_default_value = true)]
    pub subset: Subset,
    /// Do not report images that exist only in REPLICAS
    #[arg(long)]
    pub one_way: bool,
    /// Images to verify
    #[command(flatten)]
    pub selection: Box<SelectionArgs>,
}

/// The directory of run journals and of the digests of images whose records have none, and the time
/// to wait for other runs.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "State")]
pub struct StateArg {
    /// Keep remembered digests and run journals in DIR (default: $XDG_STATE_HOME/glance-replicator,
    /// or ~/.local/state/glance-replicator)
    #[arg(long, global = true, value_name = "DIR")]
    pub state_dir: Option<PathBuf>,
    /// Keep no state: remember no digests, write no journal, and work on images even if another run
    /// has them in work
    #[arg(long, global = true, conflicts_with = "state_dir")]
    pub no_state: bool,
    /// Wait this long, such as 10m or 2h, for other runs that work on the same stores or images
    ///
    /// A run that needs stores or a directory for itself waits at its start. A run that shares the
    /// stores waits at its end, for the images that another run still has in work then. Without
    /// this option, both are reported, and the exit code is 7.
    #[arg(long, global = true, value_name = "TIME", value_parser = duration)]
    pub wait: Option<Duration>,
}

impl StateArg {
    /// How long to wait for other runs.
    pub(crate) fn wait(&self) -> Duration {
        self.wait.unwrap_or_default()
    }
}
