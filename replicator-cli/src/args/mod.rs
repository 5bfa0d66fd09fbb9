//! The command line: commands, options and their help texts, parsed by clap.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::OnceLock;

use clap::builder::FalseyValueParser;
use clap::{ArgMatches, Args as ClapArgs, FromArgMatches, Parser, Subcommand, ValueEnum};
use replicator_engine::{Adjustment, Controller};

mod display;
mod effect;
mod examples;
mod guesses;
mod help;
mod metadefs;
mod replication;
mod report;
mod run;
mod selection;
mod serve;
mod sign_in;
mod trust;
mod verify;

pub use display::{ColorArg, Display};
pub use guesses::OldOptions;
pub(crate) use guesses::{nearest, shell_word, suggestion};
pub use metadefs::{Metadefs, WithMetadefs};
pub use replication::jobs::{JobFileCommand, RunJobs};
pub use replication::limits::LimitArgs;
pub use replication::mapping::{BootFromVolumeArg, EncryptedArg, MappingArgs, OwnerArg};
pub use replication::placement::{PlacementArgs, Via};
pub use replication::recovery::{RecordedArgs, Repair, Resume};
pub use replication::transfer::{Count, SpoolWhich, Transfer};
pub use replication::{Compare, Match, Plan, Removing, ReplicaMatchingArgs, Sides, Sync};
pub use report::{ReportFile, ReportFormat, ReportPath, Reports};
pub use run::RunOptions;
pub(crate) use selection::FIELDS;
pub use selection::{Column, Exclusion, Ls, SelectionArgs, ShardOption, Show, SortOrder};
pub use serve::Serve;
pub use sign_in::SignIn;
pub use trust::{MinVersion, Trust};
pub use verify::{StateArg, Verify};

/// The parsed command line.
#[derive(Debug, Parser)]
#[command(name = "glance-replicator", about = help::ABOUT, disable_help_subcommand = true)]
#[command(override_usage = "glance-replicator COMMAND [OPTIONS] STORE...")]
#[command(after_help = help::STORES, after_long_help = help::stores_and_exit_codes())]
pub struct Args {
    /// The command to run.
    #[command(subcommand)]
    pub command: Command,

    /// Options of several commands. `effect.rs` lists the commands that each one acts on.
    #[command(flatten)]
    pub options: Options,

    /// Progress, messages and colours.
    #[command(flatten)]
    pub display: Display,
}

/// The commands and their own options.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// List the images of a store
    #[command(after_help = examples::LS)]
    Ls(Ls),
    /// Show the record of one image
    #[command(after_help = examples::SHOW)]
    Show(Show),
    /// Print the number of images in a store and their total size
    #[command(after_help = examples::SIZE)]
    Size {
        /// Store to examine
        #[arg(value_name = "STORE")]
        server: String,
        /// Images to process
        #[command(flatten)]
        selection: Box<SelectionArgs>,
    },
    /// Write images to a directory; a second run completes the dump
    #[command(after_help = examples::DUMP)]
    Dump {
        /// Source store
        #[arg(value_name = "STORE")]
        server: String,
        /// Directory to write to, oci:DIR for an OCI image layout, or - for a tar archive on standard
        /// output
        path: String,
        /// Report what would be done, and change nothing
        #[arg(short = 'n', long)]
        dry_run: bool,
        /// Write these namespaces of metadata definitions, too
        #[arg(long, value_name = "WHICH", default_value = "none")]
        metadefs: WithMetadefs,
        /// Compress the image data in the dump
        #[arg(long, value_name = "HOW")]
        compress: Option<Compression>,
        /// Order, retries and limits of the run
        #[command(flatten)]
        course: RunOptions,
        /// Images to process
        #[command(flatten)]
        selection: Box<SelectionArgs>,
    },
    /// Upload the images of a directory to a Glance service
    #[command(after_help = examples::LOAD)]
    Load {
        /// Directory to read, oci:DIR for an OCI image layout, or - for the output of `dump STORE -`
        /// on standard input, loaded one image at a time (the server may also come first, as in the
        /// old tool)
        from: String,
        /// Target stores (or the directory, if the server comes first)
        #[arg(required = true)]
        to: Vec<String>,
        /// Report what would be done, and change nothing
        #[arg(short = 'n', long)]
        dry_run: bool,
        /// Load these namespaces of metadata definitions, too
        #[arg(long, value_name = "WHICH", default_value = "none")]
        metadefs: WithMetadefs,
        /// Order, retries and limits of the run
        #[command(flatten)]
        course: RunOptions,
        /// Images to process
        #[command(flatten)]
        selection: Box<SelectionArgs>,
    },
    /// Copy missing and update changed images, at one or more targets
    #[command(after_help = examples::LIVECOPY)]
    Livecopy {
        /// Source store
        from: String,
        /// Target stores
        #[arg(required = true)]
        to: Vec<String>,
        /// Report what would be done, and change nothing
        #[arg(short = 'n', long)]
        dry_run: bool,
        /// Copy these namespaces of metadata definitions, too
        #[arg(long, value_name = "WHICH", default_value = "none")]
        metadefs: WithMetadefs,
        /// Order, retries and limits of the run
        #[command(flatten)]
        course: RunOptions,
        /// Images to process
        #[command(flatten)]
        selection: Box<SelectionArgs>,
    },
    /// Report how the images of two stores differ
    #[command(after_help = examples::COMPARE)]
    Compare(Compare),
    /// Report what `sync` would do with each image; changes nothing
    #[command(after_help = examples::PLAN)]
    Plan(Plan),
    /// Copy missing images, update changed ones, and remove deleted ones on request
    #[command(after_help = examples::SYNC)]
    Sync(Sync),
    /// Run interrupted commands again, with their original options
    #[command(after_help = examples::RESUME)]
    Resume(Resume),
    /// Find and complete images that interrupted runs left unfinished
    #[command(after_help = examples::REPAIR)]
    Repair(Repair),
    /// Copy and synchronize namespaces of metadata definitions
    #[command(after_help = examples::METADEFS)]
    Metadefs(Metadefs),
    /// Verify image data against recorded digests, or by reading it; changes nothing
    #[command(after_help = examples::VERIFY)]
    Verify(Verify),
    /// Run the jobs of a job file, one after the other
    #[command(after_help = examples::RUN)]
    Run(RunJobs),
    /// Work with job files
    #[command(subcommand)]
    Config(JobFileCommand),
    /// Serve the images of a directory over HTTPS with the Glance API
    #[command(after_help = examples::SERVE)]
    Serve(Serve),
    /// List the configured clouds and their settings; contacts no server
    #[command(after_help = examples::CLOUDS)]
    Clouds {
        /// Cloud to show (default: all)
        cloud: Option<String>,
    },
    /// Print a script that completes commands and options in a shell
    // Packagers expect the plural.
    #[command(after_help = examples::COMPLETION, alias = "completions")]
    Completion {
        /// Shell to complete in
        shell: clap_complete::Shell,
    },
    /// Work with JSON reports of several runs
    #[command(subcommand)]
    Report(Reports),
    /// Diagnose the connection to each store: trust, certificates, sign-in, permissions
    #[command(after_help = examples::DOCTOR)]
    Doctor(Doctor),
    /// Print a page of the guide, or all options of a command
    #[command(after_help = examples::HELP)]
    Help {
        /// Page of the guide, or command (default: list the pages)
        topic: Vec<String>,
    },
    /// Write the manual pages to a directory, for packages
    #[command(hide = true)]
    Man {
        /// Directory that receives man1, man5 and man7
        directory: Option<PathBuf>,
    },
    /// Print the candidates for the last word of a command line, for completion scripts
    #[command(hide = true)]
    Complete {
        /// Command line up to the word to complete, after --
        #[arg(last = true)]
        words: Vec<OsString>,
    },
}

impl Args {
    /// All commands with their options, as clap parses them. The help of each command shows the
    /// options that act on the command.
    pub(crate) fn tree() -> clap::Command {
        help::tailored(<Self as clap::CommandFactory>::command())
    }

    /// Parses a command line. Also returns clap's matches.
    ///
    /// # Errors
    /// When the command line is invalid, or has an option without effect on its command.
    pub(crate) fn parsed<I, T>(
        mut tree: clap::Command,
        line: I,
    ) -> Result<(Self, ArgMatches), clap::Error>
    where
        I: IntoIterator<Item = T>,
        T: Into<OsString> + Clone,
    {
        let line = guesses::understood(line);
        let matches = tree.try_get_matches_from_mut(&line);
        let matches = matches.map_err(|error| match guesses::answer(&error, &line, &tree) {
            Some(answer) => answer,
            None => effect::with_place(guesses::without_hidden(error, &tree), &tree),
        })?;
        effect::refuse_without_effect(&tree, &matches)?;
        Ok((Self::from_arg_matches(&matches)?, matches))
    }
}

impl Command {
    /// The name and the selection options of a command that selects images; `None` for other
    /// commands.
    pub(crate) fn selection(&self) -> Option<(&'static str, &SelectionArgs)> {
        match self {
            Self::Ls(Ls { selection, .. }) => Some(("ls", selection)),
            Self::Size { selection, .. } => Some(("size", selection)),
            Self::Dump { selection, .. } => Some(("dump", selection)),
            Self::Load { selection, .. } => Some(("load", selection)),
            Self::Livecopy { selection, .. } => Some(("livecopy", selection)),
            Self::Compare(Compare { selection, .. }) => Some(("compare", selection)),
            Self::Plan(Plan { selection, .. }) => Some(("plan", selection)),
            Self::Sync(Sync { selection, .. }) => Some(("sync", selection)),
            Self::Verify(Verify { selection, .. }) => Some(("verify", selection)),
            Self::Show(_)
            | Self::Resume(_)
            | Self::Repair(_)
            | Self::Metadefs(_)
            | Self::Run(_)
            | Self::Config(_)
            | Self::Serve(_)
            | Self::Clouds { .. }
            | Self::Completion { .. }
            | Self::Report(_)
            | Self::Doctor(_)
            | Self::Help { .. }
            | Self::Man { .. }
            | Self::Complete { .. } => None,
        }
    }
}

/// Options of `doctor`.
#[derive(Debug, ClapArgs)]
pub struct Doctor {
    /// Stores to examine
    #[arg(required = true, value_name = "STORE")]
    pub stores: Vec<String>,
    /// Skip the permission checks that create and delete a temporary record
    #[arg(short = 'n', long, alias = "dry-run")]
    pub read_only: bool,
}

/// Options of several commands, accepted before and after the command.
#[derive(Debug, ClapArgs)]
pub struct Options {
    /// Leave out these fields and properties, separated by spaces
    #[arg(short = 'D', long, global = true, value_name = "FIELDS", default_value = NOT_COPIED, overrides_with = "dontreplicate")]
    pub dontreplicate: String,
    /// Process only records, not image data
    ///
    /// `dump` writes the records of all images. Other commands use only images that the target
    /// already has.
    #[arg(short, long, global = true, overrides_with = "metaonly")]
    pub metaonly: bool,
    /// Process N images at the same time, or as many as raise the rate
    ///
    /// `auto` begins with 4, and adjusts the number while images are copied. Commands that copy
    /// nothing process 4.
    #[arg(long, global = true, value_name = "N|auto", default_value = "auto")]
    pub transfers: Count,
    /// Check before an upload whether the target would refuse the image data
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub content_check: ContentCheckArg,
    /// Write the report in this format
    #[arg(long, global = true, value_name = "FORMAT", default_value = "text")]
    pub output: Output,
    /// Remove images and definitions without asking
    ///
    /// The tool asks only at a terminal, before `sync --delete` and `metadefs --prune` remove
    /// something.
    #[arg(short, long, global = true)]
    pub yes: bool,
    /// Use this TLS stack, if this build contains several
    #[arg(long, global = true, value_name = "STACK")]
    pub tls: Option<Stack>,
    /// Refuse to start unless the cryptography in use is in FIPS mode
    // Every value except an explicit "no" counts as "yes": a typing error must not disable the
    // check.
    #[arg(long, global = true, env = "GLANCE_REPLICATOR_REQUIRE_FIPS", value_parser = FalseyValueParser::new())]
    pub require_fips: bool,

    // The heading of a group of options applies to all that follow.
    /// The files of the report and of the metrics.
    #[command(flatten)]
    pub report: ReportFile,

    /// How replicas are matched with their source images.
    #[command(flatten)]
    pub identity: ReplicaMatchingArgs,

    /// How properties, owners and special images are mapped to the target.
    #[command(flatten)]
    pub mapping: MappingArgs,

    /// Data path and target stores.
    #[command(flatten)]
    pub placement: PlacementArgs,

    /// Parallel reads and disk spool of image data.
    #[command(flatten)]
    pub transfer: Transfer,

    /// Directory of the remembered digests and the journals.
    #[command(flatten)]
    pub state: StateArg,

    /// Rate limits, retries and timeouts.
    #[command(flatten)]
    pub limits: LimitArgs,

    /// Certificate trust, client certificates and TLS version.
    #[command(flatten)]
    pub trust: Trust,

    /// Credentials, and the part of the cloud to use.
    #[command(flatten)]
    pub sign_in: SignIn,

    /// Adjusts the numbers of transfers and streams.
    #[arg(skip)]
    pub controller: OnceLock<Controller>,

    /// The command line as the journal records it, without secrets.
    #[arg(skip)]
    pub typed: RecordedArgs,

    /// The name of the job in a job file, if the command is a job.
    #[arg(skip)]
    pub job: Option<String>,

    /// Options of the old tool that have no effect here.
    #[command(flatten)]
    pub old: OldOptions,
}

impl Options {
    /// The controller of the command, which all its runs share.
    pub(crate) fn controller(&self) -> &Controller {
        self.controller.get_or_init(|| {
            Controller::new(Adjustment {
                transfers: self.transfers == Count::Auto,
                streams: self.transfer.streams == Count::Auto,
                connections: self.transfer.max_connections.get(),
                memory: self.transfer.memory,
            })
        })
    }
}

/// When image data is checked before the upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ContentCheckArg {
    /// If the target is a Glance service.
    Auto,
    /// Never.
    Off,
}

/// Compression of image data in a dump.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Compression {
    /// Zstandard, in files that `zstd -d` can read.
    Zstd,
}

/// Format of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// Text for people.
    Text,
    /// A JSON document.
    Json,
    /// One JSON object per line, for each event.
    Ndjson,
    /// Comma-separated values, one row per image.
    Csv,
}

/// A TLS stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Stack {
    /// rustls
    Rustls,
    /// The host's TLS library
    Native,
    /// reqwest: a client only, for hosts that need it
    Reqwest,
}

/// Fields that the old tool omitted by default and that no server lets a client set.
const NOT_COPIED: &str = "created_at date deleted_at location updated_at";
