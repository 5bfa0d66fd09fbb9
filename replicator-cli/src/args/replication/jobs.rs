//! Options of `run` and `config`, the commands about job files.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// Options of `run`.
#[derive(Debug, Args)]
pub struct RunJobs {
    /// Job file (TOML)
    #[arg(value_name = "CONFIG")]
    pub config: PathBuf,
    /// Run only the job with this name; repeatable
    #[arg(long, value_name = "NAME")]
    pub job: Vec<String>,
    /// Print the commands of the jobs, and what they would do at their targets; write no report and
    /// no metrics
    #[arg(short = 'n', long)]
    pub dry_run: bool,
}

/// The commands about job files.
#[derive(Debug, Subcommand)]
pub enum JobFileCommand {
    /// Report every error in a job file with its line and column; contacts no server
    #[command(after_help = crate::args::examples::CONFIG_CHECK)]
    Check {
        /// Job file (TOML)
        #[arg(value_name = "CONFIG")]
        config: PathBuf,
    },
    /// Print the JSON Schema of job files, for editors
    #[command(after_help = crate::args::examples::CONFIG_SCHEMA)]
    Schema,
}
