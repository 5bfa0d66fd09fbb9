//! What the operator typed.

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
pub use replication::limits::Limits;
pub use replication::mapping::{BootFromVolume, Encrypted, Mapping, Owner, Signatures};
pub use replication::placement::{Placement, Via};
pub use replication::recovery::{Repair, Resume, Typed};
pub use replication::transfer::{SpoolWhich, Transfer};
pub use replication::{Compare, Identity, Match, Plan, Removing, Sides, Sync};
pub use report::{ReportFile, Reports};
pub use run::Course;
pub use selection::{Selection, ShardOption};
pub use serve::Serve;
pub use verify::{State, Verify};

/// What was typed.
#[derive(Debug, Parser)]
#[command(name = "glance-replicator", about = ABOUT, after_help = ENDPOINTS, arg_required_else_help = true)]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,

    /// Options of every command that reaches a server.
    #[command(flatten)]
    pub options: Options,

    /// Where messages go.
    #[command(flatten)]
    pub logging: Logging,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Say how many images a store holds, and how many bytes
    Size {
        /// The store
        server: String,
        /// Which images
        #[command(flatten)]
        selection: Box<Selection>,
    },
    /// Write every image to a directory; run again, it completes what was interrupted
    Dump {
        /// Where the images are
        server: String,
        /// The directory, or - for a tar archive on standard output
        path: String,
        /// Which namespaces of metadata definitions are written, too
        #[arg(long, value_name = "WHICH", default_value = "none")]
        metadefs: WithMetadefs,
        /// Compress the data that is written
        #[arg(long, value_name = "HOW")]
        compress: Option<Compression>,
        /// How the run goes
        #[command(flatten)]
        course: Course,
        /// Which images
        #[command(flatten)]
        selection: Box<Selection>,
    },
    /// Read the images of a directory into a Glance
    Load {
        /// The directory, or - for what `dump SERVER -` wrote, on standard input, one image at a time
        /// (or, as the old tool had it, the server)
        from: String,
        /// The server (or the directory), or several
        #[arg(required = true)]
        to: Vec<String>,
        /// Which namespaces of metadata definitions are read, too
        #[arg(long, value_name = "WHICH", default_value = "none")]
        metadefs: WithMetadefs,
        /// How the run goes
        #[command(flatten)]
        course: Course,
        /// Which images
        #[command(flatten)]
        selection: Box<Selection>,
    },
    /// Copy every image from one store to others; it is read once for all of them
    Livecopy {
        /// Where the images are
        from: String,
        /// Where they go
        #[arg(required = true)]
        to: Vec<String>,
        /// Which namespaces of metadata definitions are copied, too
        #[arg(long, value_name = "WHICH", default_value = "none")]
        metadefs: WithMetadefs,
        /// How the run goes
        #[command(flatten)]
        course: Course,
        /// Which images
        #[command(flatten)]
        selection: Box<Selection>,
    },
    /// Say how the images of two stores differ
    Compare(Compare),
    /// Say what `sync` would do, image by image; changes nothing
    Plan(Plan),
    /// Copy what is missing, bring the rest in step, and remove, if asked, what the source lost
    Sync(Sync),
    /// Run again what was killed or broke off, with the same options
    Resume(Resume),
    /// Find what killed runs left at a target, and complete it; deletes nothing
    Repair(Repair),
    /// Copy namespaces of metadata definitions, and bring in step what is in them
    Metadefs(Metadefs),
    /// Say whether data is what it should be, by records and by reading; changes nothing
    Verify(Verify),
    /// Serve the images of a directory as a Glance, over HTTPS; read-only unless told otherwise
    Serve(Serve),
    /// Say which clouds are configured, where, and how they are signed in to; asks no server
    Clouds,
    /// Work with the reports of several runs
    #[command(subcommand)]
    Report(Reports),
    /// Say what a connection to each store shows: trust, certificates, sign-in, permissions
    Doctor(Doctor),
}

impl Command {
    /// Which images, of a command that is about images, and that command's name.
    pub(crate) fn selection(&self) -> Option<(&'static str, &Selection)> {
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
    /// The stores
    #[arg(required = true, value_name = "STORE")]
    pub stores: Vec<String>,
    /// Leave out what writes: the permissions are tried with a record that is deleted again
    #[arg(long)]
    pub read_only: bool,
}

/// Options of every command that reaches a server. They may stand before or after the command.
#[derive(Debug, ClapArgs)]
pub struct Options {
    /// Fields and properties to leave out, separated by spaces
    #[arg(short = 'D', long, global = true, value_name = "FIELDS", default_value = NOT_COPIED, hide_default_value = true, overrides_with = "dontreplicate")]
    pub dontreplicate: String,
    /// Replicate records only: `dump` those of all images, others those of images that the target holds
    #[arg(short, long, global = true, overrides_with = "metaonly")]
    pub metaonly: bool,
    /// Images under way at once
    #[arg(long, global = true, value_name = "N", default_value = "4")]
    pub transfers: std::num::NonZeroUsize,
    /// Whether data that the target would refuse after the upload is refused before it
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub content_check: ContentCheck,
    /// How the report is written
    #[arg(long, global = true, value_name = "FORMAT", default_value = "text")]
    pub output: Output,
    /// Where it goes.
    #[command(flatten)]
    pub report: ReportFile,
    /// The TLS stack, where this build has both
    #[arg(long, global = true, value_name = "STACK")]
    pub tls: Option<Stack>,
    /// Refuse to start unless the cryptography in use is in FIPS mode
    // Any value but an explicit no counts as yes: a typing error must not weaken the demand.
    #[arg(long, global = true, env = "GLANCE_REPLICATOR_REQUIRE_FIPS", value_parser = FalseyValueParser::new())]
    pub require_fips: bool,

    /// Which image is the replica of which.
    #[command(flatten)]
    pub identity: Identity,

    /// How images are to be at the target.
    #[command(flatten)]
    pub mapping: Mapping,

    /// Which way data goes, and where it is put.
    #[command(flatten)]
    pub placement: Placement,

    /// How the data of an image gets from one side to the other.
    #[command(flatten)]
    pub transfer: Transfer,

    /// Where digests are remembered, and journals kept.
    #[command(flatten)]
    pub state: State,

    /// How much is asked of servers and links.
    #[command(flatten)]
    pub limits: Limits,

    /// Whom to trust, and who the client is.
    #[command(flatten)]
    pub trust: Trust,

    /// Who the operator is.
    #[command(flatten)]
    pub sign_in: SignIn,

    /// What is kept of the command line.
    #[arg(skip)]
    pub typed: Typed,

    /// The old tool's buffer size; accepted and without effect
    #[arg(
        short,
        long,
        global = true,
        value_name = "BYTES",
        hide = true,
        overrides_with = "chunksize"
    )]
    pub chunksize: Option<u64>,
    /// The old tool's configuration files; refused
    #[arg(long, global = true, value_name = "PATH", hide = true, alias = "config-dir", value_parser = no_configuration_file)]
    pub config_file: Option<String>,
}

/// How to sign in, and to which part of a cloud.
#[derive(Debug, Clone, ClapArgs)]
#[command(next_help_heading = "Sign-in")]
pub struct SignIn {
    /// Token for both sides; others can see it in the process list, so better a file
    #[arg(short, long, global = true, value_name = "TOKEN", value_parser = secret(), overrides_with = "token")]
    pub token: Option<SecretString>,
    /// Token for the source
    #[arg(long, global = true, value_name = "TOKEN", short_alias = 'M', alias = "mastertoken", value_parser = secret(), overrides_with = "sourcetoken")]
    pub sourcetoken: Option<SecretString>,
    /// Token for the target
    #[arg(long, global = true, value_name = "TOKEN", short_alias = 'S', alias = "slavetoken", value_parser = secret(), overrides_with = "targettoken")]
    pub targettoken: Option<SecretString>,
    /// A file with the token for servers that are named by URL; a file descriptor is /dev/fd/N
    #[arg(long, global = true, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// A file with the token for the source
    #[arg(long, global = true, value_name = "FILE")]
    pub source_token_file: Option<PathBuf>,
    /// A file with the token for the target
    #[arg(long, global = true, value_name = "FILE")]
    pub target_token_file: Option<PathBuf>,

    /// The region of the source's cloud
    #[arg(long, global = true, value_name = "REGION")]
    pub source_region: Option<String>,
    /// The region of the target's cloud
    #[arg(long, global = true, value_name = "REGION")]
    pub target_region: Option<String>,
    /// The interface of the source: public, internal or admin
    #[arg(long, global = true, value_name = "INTERFACE")]
    pub source_interface: Option<String>,
    /// The interface of the target
    #[arg(long, global = true, value_name = "INTERFACE")]
    pub target_interface: Option<String>,
    /// The project to sign in to at the source, in place of what its cloud says
    #[arg(long, global = true, value_name = "NAME|ID")]
    pub source_project: Option<String>,
    /// The project to sign in to at the target
    #[arg(long, global = true, value_name = "NAME|ID")]
    pub target_project: Option<String>,
    /// Where the source's Glance is, in place of what the catalogue says
    #[arg(long, global = true, value_name = "URL")]
    pub source_endpoint_override: Option<String>,
    /// Where the target's Glance is
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

/// Whom to trust, and who the client is.
#[derive(Debug, Clone, ClapArgs)]
#[command(next_help_heading = "TLS")]
pub struct Trust {
    /// CA bundle, a file or a directory, for both sides
    #[arg(long, global = true, value_name = "PATH")]
    pub cacert: Option<PathBuf>,
    /// CA bundle for the source
    #[arg(long, global = true, value_name = "PATH")]
    pub source_cacert: Option<PathBuf>,
    /// CA bundle for the target
    #[arg(long, global = true, value_name = "PATH")]
    pub target_cacert: Option<PathBuf>,
    /// Trust the system's store too, beside the bundle that is named
    #[arg(long, global = true)]
    pub system_roots: bool,

    /// Client certificate, PEM, for servers that ask for one; for both sides
    #[arg(long, global = true, value_name = "FILE")]
    pub cert: Option<PathBuf>,
    /// The certificate's private key, where it stands in a file of its own
    #[arg(long, global = true, value_name = "FILE")]
    pub key: Option<PathBuf>,
    /// Client certificate for the source
    #[arg(long, global = true, value_name = "FILE")]
    pub source_cert: Option<PathBuf>,
    /// Its private key
    #[arg(long, global = true, value_name = "FILE")]
    pub source_key: Option<PathBuf>,
    /// Client certificate for the target
    #[arg(long, global = true, value_name = "FILE")]
    pub target_cert: Option<PathBuf>,
    /// Its private key
    #[arg(long, global = true, value_name = "FILE")]
    pub target_key: Option<PathBuf>,
    /// A file with the passphrase of encrypted keys; without it a terminal is asked
    #[arg(long, global = true, value_name = "FILE")]
    pub key_passphrase_file: Option<PathBuf>,

    /// Revocation lists, PEM or DER, which must cover every certificate below the roots
    #[arg(long, global = true, value_name = "FILE")]
    pub crl: Option<PathBuf>,
    /// The public keys that the source's server may have, as sha256//BASE64, separated by `;`
    #[arg(long, global = true, value_name = "PINS")]
    pub source_pin: Option<String>,
    /// The public keys that the target's server may have
    #[arg(long, global = true, value_name = "PINS")]
    pub target_pin: Option<String>,
    /// The oldest version of TLS to speak [default: 1.2]
    #[arg(long, global = true, value_name = "VERSION")]
    pub tls_min_version: Option<MinVersion>,
}

/// A version of TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum MinVersion {
    /// TLS 1.2
    #[value(name = "1.2")]
    V1_2,
    /// TLS 1.3
    #[value(name = "1.3")]
    V1_3,
}

/// Where messages go.
#[derive(Debug, ClapArgs)]
#[command(next_help_heading = "Messages")]
pub struct Logging {
    /// Say what is done, step by step; never shows a token
    #[arg(short, long, global = true, overrides_with = "debug")]
    pub debug: bool,
    /// Say a little more
    #[arg(short, long, global = true, overrides_with = "verbose")]
    pub verbose: bool,
    /// Write messages to this file
    #[arg(
        short,
        long,
        global = true,
        value_name = "FILE",
        alias = "log-file",
        overrides_with = "logfile"
    )]
    pub logfile: Option<PathBuf>,
    /// Send messages to syslog
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

/// Whether data is looked at before it is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ContentCheck {
    /// When the target is a Glance.
    Auto,
    /// Never.
    Off,
}

/// How data is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Compression {
    /// By zstd, in files that `zstd -d` reads too.
    Zstd,
}

/// How a report is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people.
    Text,
    /// One JSON document.
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

/// What the old tool left out by default, and what no server lets a client set.
const NOT_COPIED: &str = "created_at date deleted_at location updated_at";

const ABOUT: &str =
    "Copies machine images between OpenStack Glance services over verified HTTPS, and proves it";

const ENDPOINTS: &str = "\
A store is one of:
  NAME[@REGION]                a cloud of clouds.yaml
  https://HOST[:PORT][/PREFIX] a Glance; HOST:PORT alone means https
  dir:PATH, ./PATH, /PATH      a directory written by `dump`
  cloud:NAME, url:URL          the same, never mistaken for another

Exit codes: 0 all in place, 1 differences (compare, plan, verify, metadefs -n), 2 usage or
configuration, 3 some images failed, 4 connection or TLS, 5 authentication or policy, 6 integrity
failure, 7 another run works on the same, 8 limit reached or results not written, 9 something was lost
(owners, members), 10 out of time, 130 and 143 stopped by a signal.";
