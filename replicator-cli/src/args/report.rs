//! Options about reports, and the `report` commands.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// The files of the report and of the metrics.
#[derive(Debug, Args)]
#[command(next_help_heading = "Report")]
pub struct ReportFile {
    /// Write the report to FILE instead of standard output; the file appears when it is complete.
    /// `report merge` combines files written with --output json
    #[arg(long, global = true, value_name = "FILE")]
    pub report: Option<PathBuf>,
    /// Write metrics of the run to FILE for Prometheus (the textfile collector of `node_exporter`),
    /// also if the run fails
    #[arg(long, global = true, value_name = "FILE")]
    pub metrics: Option<PathBuf>,
}

/// The commands that work on report files.
#[derive(Debug, Subcommand)]
pub enum Reports {
    /// Combine the reports of all shards of a run, and exit with the code of the worst shard
    #[command(after_help = super::examples::MERGE)]
    Merge {
        /// Files written by --report with --output json, or directories with such files named
        /// *.json
        #[arg(required = true, value_name = "FILE|DIR")]
        parts: Vec<PathBuf>,
    },
}
