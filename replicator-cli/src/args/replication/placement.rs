//! Options for the data path and for the target stores.

use std::str::FromStr;

use clap::{Args as ClapArgs, ValueEnum};
use replicator_engine::Template;

/// Data path, and stores of the target.
#[derive(Debug, ClapArgs)]
#[command(next_help_heading = "Placement")]
pub struct PlacementArgs {
    /// Choose the data path: stream data through this machine, or let the target's workers download
    /// it from the source (of the same Keystone) or from a web server
    #[arg(long, global = true, value_name = "WAY", default_value = "stream")]
    pub via: Via,
    /// Fail images that the target cannot download, instead of streaming them through this machine
    #[arg(long, global = true)]
    pub no_fallback: bool,
    /// Have the target download the data of an image from this URL; {id} and {name} are replaced by
    /// those of the image
    #[arg(long, global = true, value_name = "URL")]
    pub web_url: Option<Template>,
    /// Have the target's workers reach the source through this interface
    #[arg(long, global = true, value_name = "INTERFACE", default_value = "public")]
    pub import_interface: Interface,
    /// Put new data into this store of the target
    #[arg(long, global = true, value_name = "NAME")]
    pub store: Option<String>,
    /// Put data from this store of the source into this store of the target; repeatable
    #[arg(long, global = true, value_name = "SOURCE=TARGET")]
    pub store_map: Vec<StoreRule>,
    /// Have the target copy the data to this store afterwards, too; repeatable
    #[arg(long, global = true, value_name = "NAME")]
    pub also_store: Vec<String>,
}

/// Data path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Via {
    /// Through this machine.
    Stream,
    /// Downloaded from the source by the target.
    GlanceDownload,
    /// Downloaded from a web server by the target.
    WebDownload,
    /// Downloaded from the source by the target if possible, else through this machine.
    Auto,
}

/// The interface of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Interface {
    /// For all users.
    Public,
    /// For the cloud's own services.
    Internal,
    /// For administrators.
    Admin,
}

impl Interface {
    /// The name of the interface in the service catalog.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Internal => "internal",
            Self::Admin => "admin",
        }
    }
}

/// The target store for data of one of the source's stores.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreRule {
    /// The source's store.
    pub source: String,
    /// The target's store.
    pub target: String,
}

impl FromStr for StoreRule {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        match text.split_once('=') {
            Some((source, target)) if !source.is_empty() && !target.is_empty() => {
                Ok(Self { source: source.to_owned(), target: target.to_owned() })
            }
            _ => Err("write it as SOURCE=TARGET"),
        }
    }
}
