//! Order, retries and limits of a run over many images.

use std::time::Duration;

use clap::Args;
use glance_core::units::byte_count;
use replicator_engine::{ErrorLimit, Order, Policy};

use crate::args::replication::limits::duration;

/// Order and retries of a copying run, and the limits that end it before all images are copied.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(next_help_heading = "Run")]
pub struct RunOptions {
    /// Copy images in this order: id, size (smallest first) or size,desc
    #[arg(long, value_name = "ORDER", default_value = "id")]
    pub order_by: Order,
    /// Retry images that failed with a retryable error N times, at the end of the run
    #[arg(long, value_name = "N", default_value = "3")]
    pub retries: usize,
    /// Start no more images at a target once N images, or N% of all images, have failed there
    #[arg(long, value_name = "N|N%", value_parser = most_errors)]
    pub max_errors: Option<ErrorLimit>,
    /// Start no more images once the next would exceed this total of copied bytes, such as 500G
    /// (powers of 1024); an image copied to several targets counts once
    #[arg(long, value_name = "SIZE", value_parser = byte_count)]
    pub max_transfer: Option<u64>,
    /// Stop the run, including transfers in progress, after this time, such as 90m or 8h; another
    /// run completes it
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub max_duration: Option<Duration>,
}

impl Default for RunOptions {
    fn default() -> Self {
        Self {
            order_by: Order::Id,
            retries: 3,
            max_errors: None,
            max_transfer: None,
            max_duration: None,
        }
    }
}

impl RunOptions {
    /// Sets the order, retries and limits of `policy`.
    pub(crate) fn apply(&self, policy: &mut Policy) {
        policy.order = self.order_by;
        policy.retries.per_run = self.retries;
        policy.max_errors = self.max_errors;
        policy.max_bytes = self.max_transfer;
    }

    /// Whether an option requires a listing of all images before the first one is copied.
    pub(crate) fn looks_ahead(&self) -> bool {
        self.order_by != Order::Id || matches!(self.max_errors, Some(ErrorLimit::Percent(_)))
    }
}

fn most_errors(text: &str) -> Result<ErrorLimit, String> {
    match text.parse()? {
        ErrorLimit::Images(0) | ErrorLimit::Percent(0) => {
            Err("the limit must be at least 1 image or 1%".to_owned())
        }
        most => Ok(most),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_of_failures_is_a_number_or_a_part() {
        assert_eq!(most_errors("3"), Ok(ErrorLimit::Images(3)));
        assert_eq!(most_errors("100%"), Ok(ErrorLimit::Percent(100)));
        for wrong in ["0", "0%", "101%", "-1", "", "x"] {
            assert!(most_errors(wrong).is_err(), "{wrong}");
        }
    }
}
