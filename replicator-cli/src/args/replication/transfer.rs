//! Parallel reads and disk spool of image data.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, ValueEnum};
use glance_core::units::byte_count;
use replicator_engine::{Spool, SpoolWhen};

/// Parallel reads and disk spool of image data.
#[derive(Debug, Args)]
#[command(next_help_heading = "Transfer")]
pub struct Transfer {
    /// Read N parts of one image from the source in parallel, or as many as raise the rate (auto);
    /// several help on long-distance links, where a single connection is slow
    #[arg(long, global = true, value_name = "N|auto", default_value = "auto")]
    pub streams: Count,
    /// Let `auto` use at most N connections per server for image data
    #[arg(long, global = true, value_name = "N", default_value = "16")]
    pub max_connections: NonZeroUsize,
    /// Use at most this much memory for images in progress and for data that is read ahead, such as
    /// 256M or 1G (powers of 1024)
    #[arg(long, global = true, value_name = "SIZE", default_value = "256M", value_parser = size)]
    pub memory: u64,
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

/// A number that the operator chooses, or that follows what link and servers can take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Count {
    /// The controller chooses the number.
    Auto,
    /// This number.
    Fixed(NonZeroUsize),
}

impl Count {
    /// The number, or this one if the controller chooses it.
    pub(crate) fn or(self, number: usize) -> usize {
        match self {
            Self::Auto => number,
            Self::Fixed(number) => number.get(),
        }
    }
}

impl FromStr for Count {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "auto" => Ok(Self::Auto),
            text => text.parse().map(Self::Fixed).map_err(|_| "write auto, or a number from 1 on"),
        }
    }
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
        let directory = self.spool_dir.clone().or(temporary).unwrap_or_else(|| LASTING.into());
        Spool::new(when, directory, self.spool_max.unwrap_or(u64::MAX))
    }
}

fn size(text: &str) -> Result<u64, String> {
    byte_count(text).map_err(|error| error.to_string())
}

/// The default directory: `/tmp` may be in memory, `/var/tmp` has room for large files.
const LASTING: &str = "/var/tmp";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_spool_is_where_it_was_put() {
        let transfer = |spool_dir: Option<&str>| Transfer {
            streams: Count::Auto,
            max_connections: NonZeroUsize::MIN,
            memory: 0,
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

    #[test]
    fn a_count_is_a_number_or_auto() {
        let count = |text: &str| text.parse::<Count>().map(|count| count.or(4));
        assert_eq!((count("auto"), count("8")), (Ok(4), Ok(8)));
        for wrong in ["0", "-1", "", "Auto", "x"] {
            assert!(count(wrong).is_err(), "{wrong}");
        }
    }
}
