//! What was typed about reports.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// Where the report goes.
#[derive(Debug, Args)]
#[command(next_help_heading = "Report")]
pub struct ReportFile {
    /// Write the report to this file in place of standard output; it is there once it is whole. With
    /// --output json, it can be merged with others by `report merge`
    #[arg(long, global = true, value_name = "FILE")]
    pub report: Option<PathBuf>,
}

/// What is done with reports.
#[derive(Debug, Subcommand)]
pub enum Reports {
    /// Make one of the reports of all shards of a run, and exit as the worst of them did
    Merge {
        /// The files that --report wrote with --output json, or directories with such files, named
        /// *.json
        #[arg(required = true, value_name = "FILE|DIR")]
        parts: Vec<PathBuf>,
    },
}
