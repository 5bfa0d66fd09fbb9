//! How a run goes about many images, and what ends it.

use std::time::Duration;

use clap::Args;
use glance_core::units::byte_count;
use replicator_engine::{Most, Order, Policy};

use crate::args::replication::limits::duration;

/// How a run that copies goes about its images, and what ends it before all are in place.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(next_help_heading = "Run")]
pub struct Course {
    /// In which order images are copied: by id, by size (the smallest first), or by size,desc
    #[arg(long, value_name = "ORDER", default_value = "id")]
    pub order_by: Order,
    /// How often images that failed are tried again at the end, as long as that may help
    #[arg(long, value_name = "N", default_value = "3")]
    pub retries: usize,
    /// Begin no more images at a target where so many have failed, or such a part of all
    #[arg(long, value_name = "N|N%", value_parser = most_errors)]
    pub max_errors: Option<Most>,
    /// The same as --max-errors 1
    #[arg(long, conflicts_with = "max_errors")]
    pub fail_fast: bool,
    /// Begin no more images once the next would make it more than so many bytes that are copied, such
    /// as 500G (powers of 1024); what goes to several targets counts once
    #[arg(long, value_name = "SIZE", value_parser = byte_count)]
    pub max_transfer: Option<u64>,
    /// Break off what is under way after this time, such as 90m or 8h; another run completes it
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub max_duration: Option<Duration>,
}

impl Default for Course {
    fn default() -> Self {
        Self {
            order_by: Order::Id,
            retries: 3,
            max_errors: None,
            fail_fast: false,
            max_transfer: None,
            max_duration: None,
        }
    }
}

impl Course {
    /// Has a run go so.
    pub(crate) fn apply(&self, policy: &mut Policy) {
        policy.order = self.order_by;
        policy.retries.per_run = self.retries;
        policy.most_errors = self.max_errors.or(self.fail_fast.then_some(Most::Images(1)));
        policy.most_bytes = self.max_transfer;
    }

    /// The options that all images must be known for before the first is copied.
    pub(crate) fn looks_ahead(&self) -> bool {
        self.order_by != Order::Id || matches!(self.max_errors, Some(Most::Percent(_)))
    }
}

fn most_errors(text: &str) -> Result<Most, String> {
    match text.parse()? {
        Most::Images(0) | Most::Percent(0) => Err("one failure is the least".to_owned()),
        most => Ok(most),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_of_failures_is_a_number_or_a_part() {
        assert_eq!(most_errors("3"), Ok(Most::Images(3)));
        assert_eq!(most_errors("100%"), Ok(Most::Percent(100)));
        for wrong in ["0", "0%", "101%", "-1", "", "x"] {
            assert!(most_errors(wrong).is_err(), "{wrong}");
        }
    }
}
