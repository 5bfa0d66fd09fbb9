//! The command line: commands, options and their help texts, parsed by clap.

use std::path::PathBuf;

use clap::builder::{FalseyValueParser, StringValueParser, TypedValueParser};
use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};
use secrecy::SecretString;

mod metadefs;
mod replication;
mod report;
mod run;
mod selection;
mod serve;
mod verify;

pub use metadefs::{Metadefs, WithMetadefs};
pub use replication::limits::LimitArgs;
pub use replication::mapping::{
    BootFromVolumeArg, EncryptedArg, MappingArgs, OwnerArg, SignaturesArg,
};
pub use replication::placement::{PlacementArgs, Via};
pub use replication::recovery::{RecordedArgs, Repair, Resume};
pub use replication::transfer::{SpoolWhich, Transfer};
pub use replication::{Compare, Match, Plan, Removing, ReplicaMatchingArgs, Sides, Sync};
pub use report::{ReportFile, Reports};
pub use run::RunOptions;
pub use selection::{SelectionArgs, ShardOption};
pub use serve::Serve;
pub use verify::{StateArg, Verify};

/// The parsed command line.
#[derive(Debug, Parser)]
#[command(name = "glance-replicator", about = ABOUT, after_help = ENDPOINTS, arg_required_else_help = true)]
pub struct Args {
    /// The command to run.
    #[command(subcommand)]
    pub command: Command,

    /// Options of every command that connects to a server.
    #[command(flatten)]
    pub options: Options,

    /// Destination and level of log messages.
    #[command(flatten)]
    pub logging: Logging,
}

/// The commands and their own options.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Print the number of images in a store and their total size
    Size {
        /// Store to examine
        server: String,
        /// Images to process
        #[command(flatten)]
        selection: Box<SelectionArgs>,
    },
    /// Write images to a directory; running it again completes an interrupted dump
    Dump {
        /// Source store
        server: String,
        /// Directory to write to, or - for a tar archive on standard output
        path: String,
        /// Also write these namespaces of metadata definitions
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
    Load {
        /// Directory to read, or - for the output of `dump SERVER -` on standard input, loaded one
        /// image at a time (the server may also come first, as in the old tool)
        from: String,
        /// Target stores (or the directory, if the server comes first)
        #[arg(required = true)]
        to: Vec<String>,
        /// Also load these namespaces of metadata definitions
        #[arg(long, value_name = "WHICH", default_value = "none")]
        metadefs: WithMetadefs,
        /// Order, retries and limits of the run
        #[command(flatten)]
        course: RunOptions,
        /// Images to process
        #[command(flatten)]
        selection: Box<SelectionArgs>,
    },
    /// Copy images from one store to one or more others, reading each image once
    Livecopy {
        /// Source store
        from: String,
        /// Target stores
        #[arg(required = true)]
        to: Vec<String>,
        /// Also copy these namespaces of metadata definitions
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
    Compare(Compare),
    /// Report what `sync` would do with each image; changes nothing
    Plan(Plan),
    /// Copy missing images, update changed ones, and optionally remove those that the source
    /// deleted
    Sync(Sync),
    /// Run interrupted commands again, with their original options
    Resume(Resume),
    /// Find and complete images that interrupted runs left unfinished at a target; deletes nothing
    Repair(Repair),
    /// Copy namespaces of metadata definitions and synchronize their contents
    Metadefs(Metadefs),
    /// Verify image data against recorded digests, or by reading it; changes nothing
    Verify(Verify),
    /// Serve the images of a directory over HTTPS with the Glance API; read-only by default
    Serve(Serve),
    /// List the configured clouds, their configuration files and sign-in methods; contacts no
    /// server
    Clouds,
    /// Work with JSON reports of several runs
    #[command(subcommand)]
    Report(Reports),
    /// Diagnose the connection to each store: trust, certificates, sign-in, permissions
    Doctor(Doctor),
}

impl Command {
    /// The name and the selection options of a command that selects images; `None` for other
    /// commands.
    pub(crate) fn selection(&self) -> Option<(&'static str, &SelectionArgs)> {
        match self {
            Self::Size { selection, .. } => Some(("size", selection)),
            Self::Dump { selection, .. } => Some(("dump", selection)),
            Self::Load { selection, .. } => Some(("load", selection)),
            Self::Livecopy { selection, .. } => Some(("livecopy", selection)),
            Self::Compare(Compare { selection, .. }) => Some(("compare", selection)),
            Self::Plan(Plan { selection, .. }) => Some(("plan", selection)),
            Self::Sync(Sync { selection, .. }) => Some(("sync", selection)),
            Self::Verify(Verify { selection, .. }) => Some(("verify", selection)),
            Self::Resume(_)
            | Self::Repair(_)
            | Self::Metadefs(_)
            | Self::Serve(_)
            | Self::Clouds
            | Self::Report(_)
            | Self::Doctor(_) => None,
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
    #[arg(long)]
    pub read_only: bool,
}

/// Options of every command that connects to a server, before or after the command.
#[derive(Debug, ClapArgs)]
pub struct Options {
    /// Do not copy these fields and properties, separated by spaces
    #[arg(short = 'D', long, global = true, value_name = "FIELDS", default_value = NOT_COPIED, overrides_with = "dontreplicate")]
    pub dontreplicate: String,
    /// Copy only records, without image data: `dump` writes the records of all images, other
    /// commands update those of images that the target already holds
    #[arg(short, long, global = true, overrides_with = "metaonly")]
    pub metaonly: bool,
    /// Number of images to transfer at the same time
    #[arg(long, global = true, value_name = "N", default_value = "4")]
    pub transfers: std::num::NonZeroUsize,
    /// Check before an upload whether the target would refuse the image data
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub content_check: ContentCheckArg,
    /// Format of the report
    #[arg(long, global = true, value_name = "FORMAT", default_value = "text")]
    pub output: Output,
    /// The file of the report.
    #[command(flatten)]
    pub report: ReportFile,
    /// TLS stack to use, if this build contains both
    #[arg(long, global = true, value_name = "STACK")]
    pub tls: Option<Stack>,
    /// Refuse to start unless the cryptography in use is in FIPS mode
    // Every value except an explicit "no" counts as "yes": a typing error must not disable the
    // check.
    #[arg(long, global = true, env = "GLANCE_REPLICATOR_REQUIRE_FIPS", value_parser = FalseyValueParser::new())]
    pub require_fips: bool,

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

    /// The command line as the journal records it, without secrets.
    #[arg(skip)]
    pub typed: RecordedArgs,

    /// Buffer size of the old tool; accepted, has no effect
    #[arg(
        short,
        long,
        global = true,
        value_name = "BYTES",
        hide = true,
        overrides_with = "chunksize"
    )]
    pub chunksize: Option<u64>,
    /// Configuration files of the old tool; rejected
    #[arg(long, global = true, value_name = "PATH", hide = true, alias = "config-dir", value_parser = no_configuration_file)]
    pub config_file: Option<String>,
}

/// Credentials, and the region, interface, project and endpoint of each side.
#[derive(Debug, Clone, ClapArgs)]
#[command(next_help_heading = "Sign-in")]
pub struct SignIn {
    /// Token for both sides; other users can see it in the process list, so prefer --token-file
    #[arg(short, long, global = true, value_name = "TOKEN", value_parser = secret(), overrides_with = "token")]
    pub token: Option<SecretString>,
    /// Token for the source
    #[arg(long, global = true, value_name = "TOKEN", short_alias = 'M', alias = "mastertoken", value_parser = secret(), overrides_with = "sourcetoken")]
    pub sourcetoken: Option<SecretString>,
    /// Token for the target
    #[arg(long, global = true, value_name = "TOKEN", short_alias = 'S', alias = "slavetoken", value_parser = secret(), overrides_with = "targettoken")]
    pub targettoken: Option<SecretString>,
    /// Read the token for servers named by URL from FILE; use /dev/fd/N for a file descriptor
    #[arg(long, global = true, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// Read the token for the source from FILE
    #[arg(long, global = true, value_name = "FILE")]
    pub source_token_file: Option<PathBuf>,
    /// Read the token for the target from FILE
    #[arg(long, global = true, value_name = "FILE")]
    pub target_token_file: Option<PathBuf>,

    /// Region of the source's cloud
    #[arg(long, global = true, value_name = "REGION")]
    pub source_region: Option<String>,
    /// Region of the target's cloud
    #[arg(long, global = true, value_name = "REGION")]
    pub target_region: Option<String>,
    /// Interface of the source: public, internal or admin
    #[arg(long, global = true, value_name = "INTERFACE")]
    pub source_interface: Option<String>,
    /// Interface of the target: public, internal or admin
    #[arg(long, global = true, value_name = "INTERFACE")]
    pub target_interface: Option<String>,
    /// Project to sign in to at the source, instead of the one in its cloud configuration
    #[arg(long, global = true, value_name = "NAME|ID")]
    pub source_project: Option<String>,
    /// Project to sign in to at the target, instead of the one in its cloud configuration
    #[arg(long, global = true, value_name = "NAME|ID")]
    pub target_project: Option<String>,
    /// URL of the source's Glance, instead of the one in the service catalog
    #[arg(long, global = true, value_name = "URL")]
    pub source_endpoint_override: Option<String>,
    /// URL of the target's Glance, instead of the one in the service catalog
    #[arg(long, global = true, value_name = "URL")]
    pub target_endpoint_override: Option<String>,
}

fn no_configuration_file(_: &str) -> Result<String, String> {
    Err("glance-replicator reads no configuration file: clouds are in clouds.yaml, options on the \
         command line, or in the environment variables that `help` names"
        .to_owned())
}

fn secret() -> impl TypedValueParser<Value = SecretString> {
    StringValueParser::new().map(SecretString::from)
}

/// Certificate trust, client certificates and TLS version.
#[derive(Debug, Clone, ClapArgs)]
#[command(next_help_heading = "TLS")]
pub struct Trust {
    /// Trust the CA certificates in PATH, a file or a directory, for both sides
    #[arg(long, global = true, value_name = "PATH")]
    pub cacert: Option<PathBuf>,
    /// Trust the CA certificates in PATH, a file or a directory, for the source
    #[arg(long, global = true, value_name = "PATH")]
    pub source_cacert: Option<PathBuf>,
    /// Trust the CA certificates in PATH, a file or a directory, for the target
    #[arg(long, global = true, value_name = "PATH")]
    pub target_cacert: Option<PathBuf>,
    /// Also trust the system's certificates, in addition to the given CA bundle
    #[arg(long, global = true)]
    pub system_roots: bool,

    /// Client certificate (PEM) for both sides, sent to servers that request one
    #[arg(long, global = true, value_name = "FILE")]
    pub cert: Option<PathBuf>,
    /// Private key of the client certificate, if it is in a separate file
    #[arg(long, global = true, value_name = "FILE")]
    pub key: Option<PathBuf>,
    /// Client certificate (PEM) for the source
    #[arg(long, global = true, value_name = "FILE")]
    pub source_cert: Option<PathBuf>,
    /// Private key of the client certificate for the source, if it is in a separate file
    #[arg(long, global = true, value_name = "FILE")]
    pub source_key: Option<PathBuf>,
    /// Client certificate (PEM) for the target
    #[arg(long, global = true, value_name = "FILE")]
    pub target_cert: Option<PathBuf>,
    /// Private key of the client certificate for the target, if it is in a separate file
    #[arg(long, global = true, value_name = "FILE")]
    pub target_key: Option<PathBuf>,
    /// Read the passphrase of encrypted private keys from FILE (default: ask on the terminal)
    #[arg(long, global = true, value_name = "FILE")]
    pub key_passphrase_file: Option<PathBuf>,

    /// Check certificates against the revocation lists in FILE (PEM or DER), which must cover every
    /// certificate below the root
    #[arg(long, global = true, value_name = "FILE")]
    pub crl: Option<PathBuf>,
    /// Accept only these public keys of the source's server, as sha256//BASE64, separated by `;`
    #[arg(long, global = true, value_name = "PINS")]
    pub source_pin: Option<String>,
    /// Accept only these public keys of the target's server, as sha256//BASE64, separated by `;`
    #[arg(long, global = true, value_name = "PINS")]
    pub target_pin: Option<String>,
    /// Minimum version of TLS (default: 1.2)
    #[arg(long, global = true, value_name = "VERSION")]
    pub tls_min_version: Option<MinVersion>,
}

/// Minimum version of TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum MinVersion {
    /// TLS 1.2
    #[value(name = "1.2")]
    V1_2,
    /// TLS 1.3
    #[value(name = "1.3")]
    V1_3,
}

/// Destination and level of log messages.
#[derive(Debug, ClapArgs)]
#[command(next_help_heading = "Messages")]
pub struct Logging {
    /// Log every step; never logs a token
    #[arg(short, long, global = true, overrides_with = "debug")]
    pub debug: bool,
    /// Log more details, but fewer than --debug
    #[arg(short, long, global = true, overrides_with = "verbose")]
    pub verbose: bool,
    /// Write log messages to FILE
    #[arg(
        short,
        long,
        global = true,
        value_name = "FILE",
        alias = "log-file",
        overrides_with = "logfile"
    )]
    pub logfile: Option<PathBuf>,
    /// Send log messages to syslog
    #[arg(
        short,
        long,
        global = true,
        alias = "use-syslog",
        conflicts_with = "logfile",
        overrides_with = "syslog"
    )]
    pub syslog: bool,
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
}

/// A TLS stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Stack {
    /// rustls
    Rustls,
    /// The host's TLS library
    Native,
}

/// Fields that the old tool omitted by default and that no server lets a client set.
const NOT_COPIED: &str = "created_at date deleted_at location updated_at";

const ABOUT: &str =
    "Copies and verifies machine images between OpenStack Glance services over verified HTTPS";

const ENDPOINTS: &str = "\
A store is one of:
  NAME[@REGION]                a cloud of clouds.yaml
  https://HOST[:PORT][/PREFIX] a Glance; HOST:PORT alone means https
  dir:PATH, ./PATH, /PATH      a directory written by `dump`
  cloud:NAME, url:URL          a cloud or a URL, without ambiguity

Exit codes: 0 success, 1 differences (compare, plan, verify, metadefs -n), 2 usage or configuration
error, 3 some images failed, 4 connection or TLS failure, 5 authentication or policy failure,
6 integrity failure, 7 another run uses the same stores, 8 limit reached or results not written,
9 owners or members of images were lost, 10 time limit reached, 130 and 143 stopped by a signal.";
