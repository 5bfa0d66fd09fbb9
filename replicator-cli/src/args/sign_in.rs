//! Options for credentials, and for the part of a cloud to use.

use std::path::PathBuf;

use clap::Args;
use clap::builder::{StringValueParser, TypedValueParser};
use secrecy::SecretString;

/// Credentials, and the interface, project and endpoint of each side.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Sign-in")]
pub struct SignIn {
    /// Use this token for both sides; other users can see it in the process list, so prefer
    /// --token-file
    #[arg(short, long, global = true, value_name = "TOKEN", value_parser = secret(), overrides_with = "token")]
    pub token: Option<SecretString>,
    /// Use this token for the source
    #[arg(long, global = true, value_name = "TOKEN", short_alias = 'M', alias = "mastertoken", value_parser = secret(), overrides_with = "sourcetoken")]
    pub sourcetoken: Option<SecretString>,
    /// Use this token for the target
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

    /// Use this interface of the source: public, internal or admin
    #[arg(long, global = true, value_name = "INTERFACE")]
    pub source_interface: Option<String>,
    /// Use this interface of the target: public, internal or admin
    #[arg(long, global = true, value_name = "INTERFACE")]
    pub target_interface: Option<String>,
    /// Sign in to this project at the source, instead of the one in its cloud configuration
    #[arg(long, global = true, value_name = "NAME|ID")]
    pub source_project: Option<String>,
    /// Sign in to this project at the target, instead of the one in its cloud configuration
    #[arg(long, global = true, value_name = "NAME|ID")]
    pub target_project: Option<String>,
    /// Use this URL of the source's Glance, instead of the one in the service catalog
    #[arg(long, global = true, value_name = "URL")]
    pub source_endpoint_override: Option<String>,
    /// Use this URL of the target's Glance, instead of the one in the service catalog
    #[arg(long, global = true, value_name = "URL")]
    pub target_endpoint_override: Option<String>,
}

fn secret() -> impl TypedValueParser<Value = SecretString> {
    StringValueParser::new().map(SecretString::from)
}
