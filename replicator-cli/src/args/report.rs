//! Options about reports, and the `report` commands.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::{OsStringValueParser, TypedValueParser};
use clap::{Args, Subcommand};

use super::{Command, JobFileCommand, Output, Sync};

/// The files of the report and of the metrics.
#[derive(Debug, Args)]
#[command(next_help_heading = "Report")]
pub struct ReportFile {
    /// Also write the report to FILE, which appears when it is complete; repeatable
    ///
    /// The name decides the format: .json, .ndjson, .csv, .html (a page for a browser), .md (a summary
    /// for a ticket) or .xml (test cases for continuous integration). A file named .txt or .log, or without an extension, has the format of
    /// --output. `report merge` combines files named .json.
    #[arg(long, global = true, value_name = "FILE", value_parser = OsStringValueParser::new().try_map(ReportPath::parse))]
    pub report: Vec<ReportPath>,
    /// Write metrics of the run to FILE for Prometheus (the textfile collector of `node_exporter`),
    /// also if the run fails
    #[arg(long, global = true, value_name = "FILE")]
    pub metrics: Option<PathBuf>,
}

/// A report file and its format.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportPath {
    /// The path.
    pub path: PathBuf,
    /// The format that the name asks for.
    pub format: ReportFormat,
}

/// Format of a report file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReportFormat {
    /// The JSON document.
    Json,
    /// One JSON object per line, for each event.
    Ndjson,
    /// Comma-separated values, one row per image.
    Csv,
    /// A page for a browser.
    Html,
    /// Markdown for a ticket.
    Markdown,
    /// XML in the format of `JUnit`.
    JUnit,
    /// The format of `--output`.
    OfOutput,
}

impl ReportPath {
    fn parse(path: OsString) -> Result<Self, String> {
        let path = PathBuf::from(path);
        let extension = path.extension().map(|it| it.to_string_lossy().to_ascii_lowercase());
        let format = match extension.as_deref() {
            Some("json") => ReportFormat::Json,
            Some("ndjson" | "jsonl") => ReportFormat::Ndjson,
            Some("csv") => ReportFormat::Csv,
            Some("md") => ReportFormat::Markdown,
            Some("xml") => ReportFormat::JUnit,
            Some("html" | "htm") => ReportFormat::Html,
            // The names of devices and pipes promise no format.
            None | Some("txt" | "log") => ReportFormat::OfOutput,
            Some(_) => {
                let what = "the name of a report ends in .json, .ndjson, .jsonl, .csv, .html, .htm, .md, \
                            .xml, .txt or .log, or has no extension";
                return Err(what.to_owned());
            }
        };
        Ok(Self { path, format })
    }
}

impl ReportFormat {
    /// Whether the report is made from the complete document.
    pub(crate) fn is_derived(self) -> bool {
        matches!(self, Self::Html | Self::Markdown | Self::JUnit)
    }

    /// The format of results, if the name decides it.
    pub(crate) fn output(self) -> Option<Output> {
        match self {
            Self::Json => Some(Output::Json),
            Self::Ndjson => Some(Output::Ndjson),
            Self::Csv => Some(Output::Csv),
            _ => None,
        }
    }
}

impl Command {
    /// The name of the command, such as `report merge`.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            // A dry run has the report of `plan`.
            _ if self.is_dry_run() => "plan",
            Self::Plan(_) => "plan",
            Self::Ls(_) => "ls",
            Self::Show(_) => "show",
            Self::Completion { .. } => "completion",
            Self::Help { .. } => "help",
            Self::Man { .. } => "man",
            Self::Complete { .. } => "complete",
            Self::Run(_) => "run",
            Self::Config(JobFileCommand::Check { .. }) => "config check",
            Self::Config(JobFileCommand::Schema) => "config schema",
            Self::Size { .. } => "size",
            Self::Dump { .. } => "dump",
            Self::Load { .. } => "load",
            Self::Livecopy { .. } => "livecopy",
            Self::Compare(_) => "compare",
            Self::Sync(_) => "sync",
            Self::Resume(_) => "resume",
            Self::Repair(_) => "repair",
            Self::Metadefs(_) => "metadefs",
            Self::Verify(_) => "verify",
            Self::Serve(_) => "serve",
            Self::Clouds { .. } => "clouds",
            Self::Report(Reports::Merge { .. }) => "report merge",
            Self::Doctor(_) => "doctor",
        }
    }

    /// Whether a command that copies images only reports what it would do.
    pub(crate) fn is_dry_run(&self) -> bool {
        matches!(
            self,
            Self::Dump { dry_run: true, .. }
                | Self::Load { dry_run: true, .. }
                | Self::Livecopy { dry_run: true, .. }
                | Self::Sync(Sync { dry_run: true, .. })
        )
    }

    /// The argument that names the source or the only store.
    pub(crate) fn source(&self) -> Option<&str> {
        match self {
            Self::Size { server, .. } | Self::Dump { server, .. } => Some(server),
            Self::Load { from, .. } | Self::Livecopy { from, .. } => Some(from),
            Self::Compare(typed) => Some(&typed.from),
            Self::Plan(typed) => Some(&typed.sides.from),
            Self::Sync(typed) => Some(&typed.from),
            Self::Repair(typed) => Some(&typed.sides.from),
            Self::Metadefs(typed) => Some(&typed.from),
            Self::Verify(typed) => Some(&typed.from),
            Self::Resume(typed) => typed.from.as_deref(),
            Self::Ls(typed) => Some(&typed.server),
            Self::Show(typed) => Some(&typed.server),
            Self::Completion { .. }
            | Self::Help { .. }
            | Self::Man { .. }
            | Self::Complete { .. }
            | Self::Run(_)
            | Self::Config(_)
            | Self::Serve(_)
            | Self::Clouds { .. }
            | Self::Report(_)
            | Self::Doctor(_) => None,
        }
    }

    /// The arguments that name the targets.
    pub(crate) fn targets(&self) -> Vec<&str> {
        match self {
            Self::Load { to, .. } | Self::Livecopy { to, .. } => {
                to.iter().map(String::as_str).collect()
            }
            Self::Sync(typed) => typed.to.iter().map(String::as_str).collect(),
            Self::Dump { path, .. } => vec![path],
            Self::Compare(typed) => vec![&typed.to],
            Self::Plan(typed) => vec![&typed.sides.to],
            Self::Repair(typed) => vec![&typed.sides.to],
            Self::Metadefs(typed) => vec![&typed.to],
            Self::Verify(typed) => typed.to.iter().map(String::as_str).collect(),
            Self::Resume(typed) => typed.to.iter().map(String::as_str).collect(),
            Self::Size { .. }
            | Self::Ls(_)
            | Self::Show(_)
            | Self::Completion { .. }
            | Self::Help { .. }
            | Self::Man { .. }
            | Self::Complete { .. }
            | Self::Run(_)
            | Self::Config(_)
            | Self::Serve(_)
            | Self::Clouds { .. }
            | Self::Report(_)
            | Self::Doctor(_) => Vec::new(),
        }
    }
}

/// The commands that work on report files.
#[derive(Debug, Subcommand)]
pub enum Reports {
    /// Combine the reports of all shards of a run, and exit with the code of the worst shard
    #[command(after_help = super::examples::MERGE)]
    Merge {
        /// JSON files written by --report, or directories with such files named
        /// *.json
        #[arg(required = true, value_name = "FILE|DIR")]
        parts: Vec<PathBuf>,
    },
}
