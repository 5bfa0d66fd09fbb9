//! How the data of an image gets from one side to the other.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use glance_core::units::byte_count;
use replicator_engine::{Spool, SpoolWhen};

/// How the data of an image gets from one side to the other.
#[derive(Debug, Args)]
#[command(next_help_heading = "Transfer")]
pub struct Transfer {
    /// Parts of one image that are read from the source at once, for long links on which one
    /// connection is slow; each takes about 11 MiB of memory
    #[arg(long, global = true, value_name = "N", default_value = "1")]
    pub streams: NonZeroUsize,
    /// Which data is kept on a disk until every target has it: of several targets, what the slow ones
    /// did not take yet, or all of an image, or none
    #[arg(long, global = true, value_name = "WHICH", default_value = "auto")]
    pub spool: SpoolWhich,
    /// Where it is kept; without it, in $TMPDIR, or in /var/tmp
    #[arg(long, global = true, value_name = "DIR")]
    pub spool_dir: Option<PathBuf>,
    /// Bytes that may be kept at once, such as 50G; without it, as much as there is room
    #[arg(long, global = true, value_name = "SIZE", value_parser = size)]
    pub spool_max: Option<u64>,
}

/// Which data is kept on a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SpoolWhich {
    /// What slow targets did not take yet.
    Auto,
    /// All.
    Always,
    /// None.
    Never,
}

impl Transfer {
    /// The spool that is meant. `temporary` is what `TMPDIR` says.
    pub(crate) fn spool(&self, temporary: Option<PathBuf>) -> Spool {
        let when = match self.spool {
            SpoolWhich::Auto => SpoolWhen::Auto,
            SpoolWhich::Always => SpoolWhen::Always,
            SpoolWhich::Never => SpoolWhen::Never,
        };
        let directory = self.spool_dir.clone().or(temporary).unwrap_or_else(|| LASTING.into());
        Spool::new(when, directory, self.spool_max.unwrap_or(u64::MAX))
    }
}

fn size(text: &str) -> Result<u64, String> {
    byte_count(text).map_err(|error| error.to_string())
}

/// Where there is room for much; `/tmp` may be memory.
const LASTING: &str = "/var/tmp";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_spool_is_where_it_was_put() {
        let transfer = |spool_dir: Option<&str>| Transfer {
            streams: NonZeroUsize::MIN,
            spool: SpoolWhich::Auto,
            spool_dir: spool_dir.map(PathBuf::from),
            spool_max: None,
        };
        let directory = |spool_dir, temporary: Option<&str>| {
            transfer(spool_dir).spool(temporary.map(PathBuf::from)).directory
        };
        assert_eq!(directory(Some("/a"), Some("/b")), PathBuf::from("/a"));
        assert_eq!(directory(None, Some("/b")), PathBuf::from("/b"));
        assert_eq!(directory(None, None), PathBuf::from("/var/tmp"));
        assert_eq!(size("50G"), Ok(50 << 30));
    }
}
