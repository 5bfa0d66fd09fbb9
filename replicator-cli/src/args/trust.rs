//! Options for certificate trust and client certificates.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// Certificate trust, client certificates and TLS version.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "TLS")]
pub struct Trust {
    /// Trust the CA certificates in PATH, a file or a directory
    #[arg(long, global = true, value_name = "PATH")]
    pub cacert: Option<PathBuf>,
    /// Trust the CA certificates in PATH, a file or a directory, for the source
    #[arg(long, global = true, value_name = "PATH")]
    pub source_cacert: Option<PathBuf>,
    /// Trust the CA certificates in PATH, a file or a directory, for the target
    #[arg(long, global = true, value_name = "PATH")]
    pub target_cacert: Option<PathBuf>,
    /// Trust the system's certificates, too, in addition to the given CA bundle
    #[arg(long, global = true)]
    pub system_roots: bool,

    /// Present this client certificate (PEM) to servers that request one
    #[arg(long, global = true, value_name = "FILE")]
    pub cert: Option<PathBuf>,
    /// Use this private key of the client certificate, if it is in a separate file
    #[arg(long, global = true, value_name = "FILE")]
    pub key: Option<PathBuf>,
    /// Present this client certificate (PEM) to the source
    #[arg(long, global = true, value_name = "FILE")]
    pub source_cert: Option<PathBuf>,
    /// Use this private key of the client certificate for the source, if it is in a separate
    /// file
    #[arg(long, global = true, value_name = "FILE")]
    pub source_key: Option<PathBuf>,
    /// Present this client certificate (PEM) to the target
    #[arg(long, global = true, value_name = "FILE")]
    pub target_cert: Option<PathBuf>,
    /// Use this private key of the client certificate for the target, if it is in a separate
    /// file
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
    /// Require at least this version of TLS (default: 1.2)
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
