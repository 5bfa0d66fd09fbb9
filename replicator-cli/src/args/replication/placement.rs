//! What the operator typed of the way that data goes, and where the target puts it.

use std::str::FromStr;

use clap::{Args as ClapArgs, ValueEnum};
use replicator_engine::Template;

/// Which way data goes, and where it is put.
#[derive(Debug, ClapArgs)]
#[command(next_help_heading = "Placement")]
pub struct Placement {
    /// Which way data goes: through this machine, or got by the target's own workers from the source
    /// (of the same Keystone), or from a web server
    #[arg(long, global = true, value_name = "WAY", default_value = "stream")]
    pub via: Via,
    /// Let images fail that the target can't get by itself; else their data goes through this
    /// machine
    #[arg(long, global = true)]
    pub no_fallback: bool,
    /// Where a web server has the data of an image; {id} and {name} stand for the image's
    #[arg(long, global = true, value_name = "URL")]
    pub web_url: Option<Template>,
    /// The interface at which the target's workers reach the source: public, internal or admin
    #[arg(long, global = true, value_name = "INTERFACE", default_value = "public")]
    pub import_interface: Interface,
    /// The store of the target that new data is put in
    #[arg(long, global = true, value_name = "NAME")]
    pub store: Option<String>,
    /// The store of the target for data from this store of the source; again for more
    #[arg(long, global = true, value_name = "SOURCE=TARGET")]
    pub store_map: Vec<StoreRule>,
    /// A store that the target then copies the data to; again for more
    #[arg(long, global = true, value_name = "NAME")]
    pub also_store: Vec<String>,
}

/// Which way data goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Via {
    /// Through this machine.
    Stream,
    /// The target gets it from the source.
    GlanceDownload,
    /// The target gets it from a web server.
    WebDownload,
    /// From the source where that can be, else through this machine.
    Auto,
}

/// The interface of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Interface {
    /// For everybody.
    Public,
    /// For the cloud's own services.
    Internal,
    /// For administrators.
    Admin,
}

impl Interface {
    /// Its name in the catalogue.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Internal => "internal",
            Self::Admin => "admin",
        }
    }
}

/// Where data of one of the source's stores goes.
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
