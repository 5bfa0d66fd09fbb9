//! Parallel reads and disk spool of image data.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use glance_core::units::byte_count;
use replicator_engine::{Spool, SpoolWhen};

/// Parallel reads and disk spool of image data.
#[derive(Debug, Args)]
#[command(next_help_heading = "Transfer")]
pub struct Transfer {
    /// Read N parts of one image from the source in parallel, for long-distance links on which a
    /// single connection is slow; each part takes about 11 MiB of memory
    #[arg(long, global = true, value_name = "N", default_value = "1")]
    pub streams: NonZeroUsize,
    /// Spool image data on disk until every target has received it: with several targets, data that
    /// slow targets have not read yet (auto), all data (always) or none (never)
    #[arg(long, global = true, value_name = "WHICH", default_value = "auto")]
    pub spool: SpoolWhich,
    /// Spool in this directory (default: $TMPDIR, else /var/tmp)
    #[arg(long, global = true, value_name = "DIR")]
    pub spool_dir: Option<PathBuf>,
    /// Limit the size of the spool to this many bytes, such as 50G (powers of 1024; default: all
    /// free space)
    #[arg(long, global = true, value_name = "SIZE", value_parser = size)]
    pub spool_max: Option<u64>,
}

/// The image data that is spooled on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SpoolWhich {
    /// Data that slow targets have not read yet.
    Auto,
    /// All data.
    Always,
    /// No data.
    Never,
}

impl Transfer {
    /// The spool that the options describe. `temporary` is the value of `TMPDIR`.
    pub(crate) fn spool(&self, temporary: Option<PathBuf>) -> Spool {
        let when = match self.spool {
            SpoolWhich::Auto => SpoolWhen::Auto,
            SpoolWhich::Always => SpoolWhen::Always,
            SpoolWhich::Never => SpoolWhen::Never,
        };
        let directory = self.spool_dir.clone().or(temporary).unwrap_or_else(lasting);
        Spool::new(when, directory, self.spool_max.unwrap_or(u64::MAX))
    }
}

fn size(text: &str) -> Result<u64, String> {
    byte_count(text).map_err(|error| error.to_string())
}

/// The default directory: `/tmp` may be in memory, `/var/tmp` has room for large files.
fn lasting() -> PathBuf {
    if cfg!(windows) { std::env::temp_dir() } else { "/var/tmp".into() }
}

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
