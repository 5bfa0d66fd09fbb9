//! Options of `serve`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;

/// Options of `serve`.
#[derive(Debug, Args)]
pub struct Serve {
    /// Directory to serve, as written by `dump`; oci:DIR for an OCI image layout
    pub path: PathBuf,
    /// Listen on this address and port
    #[arg(long, default_value = "127.0.0.1:9292", value_name = "ADDRESS:PORT")]
    pub listen: SocketAddr,
    /// Present the certificate in FILE, PEM, with its intermediates
    #[arg(long, value_name = "FILE")]
    pub cert: PathBuf,
    /// Use the private key in FILE, PEM
    #[arg(long, value_name = "FILE")]
    pub key: PathBuf,
    /// Let callers create, change and delete images
    #[arg(long)]
    pub writable: bool,
    /// Accept only callers that present the token in FILE
    #[arg(long, value_name = "FILE")]
    pub require_token_file: Option<PathBuf>,
    /// Accept callers without a token on an address that other machines can reach
    #[arg(long, conflicts_with = "require_token_file")]
    pub open_to_everyone: bool,
}
