//! What a word on the command line names, and how it is opened.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use format_dump::DumpStore;
use glance_core::glance::GlanceStore;
use glance_core::identity::auth::{FixedToken, NoAuth};
use glance_core::identity::{AuthPlugin, Cloud, Clouds, Environment, Session};
use glance_core::store::ImageStore;
use glance_core::transport::Transport;
use secrecy::SecretString;
use transport_hyper::Proxies;

use crate::args::Options;
use crate::error::CliError;
use crate::trust::{self, OfCloud};

/// What a word names.
#[derive(Debug)]
pub(crate) enum Endpoint {
    /// A cloud of clouds.yaml.
    Cloud(Box<Cloud>),
    /// A Glance, by its address without `/v2`.
    Url(String),
    /// A directory.
    Directory(PathBuf),
}

/// The side of a copy that a store is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    /// It is read.
    Source,
    /// It is written.
    Target,
}

impl Endpoint {
    /// Resolves a word: an explicit scheme, a path, a cloud's name, `host:port`.
    pub(crate) fn parse(word: &str) -> Result<Self, CliError> {
        if let Some(path) = word.strip_prefix("dir:") {
            return Ok(Self::Directory(path.into()));
        }
        if let Some(url) = word.strip_prefix("url:") {
            return Ok(Self::Url(without_version(url)));
        }
        if let Some(name) = word.strip_prefix("cloud:") {
            return cloud(name)?.ok_or_else(|| unknown(word));
        }
        if word.starts_with("https://") || word.starts_with("http://") {
            return Ok(Self::Url(without_version(word)));
        }
        if ["/", "./", "../"].iter().any(|prefix| word.starts_with(prefix)) {
            return Ok(Self::Directory(word.into()));
        }
        if let Some(cloud) = cloud(word)? {
            return Ok(cloud);
        }
        match word.rsplit_once(':') {
            Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok() => {
                Ok(Self::Url(format!("https://{word}")))
            }
            _ => Err(unknown(word)),
        }
    }

    /// Opens the store.
    pub(crate) async fn open(
        self,
        side: Side,
        options: &Options,
    ) -> Result<Arc<dyn ImageStore>, CliError> {
        match self {
            Self::Directory(path) => open_directory(&path, side, options),
            Self::Url(url) => open_url(url, side, options),
            Self::Cloud(cloud) => open_cloud(*cloud, side, options).await,
        }
    }
}

fn open_directory(
    path: &Path,
    side: Side,
    options: &Options,
) -> Result<Arc<dyn ImageStore>, CliError> {
    let store = match side {
        Side::Source => complete_or_warned(path)?,
        Side::Target => DumpStore::create(path)?,
    };
    Ok(Arc::new(store.hashing_with(crate::tls::hashers(options.tls)?)))
}

/// A dump to read, which may lack what its writer was kept from.
fn complete_or_warned(path: &Path) -> Result<DumpStore, CliError> {
    let dump = DumpStore::open(path)?;
    if !dump.is_complete()? {
        tracing::warn!("the dump in {} was not finished: run it again", path.display());
    }
    Ok(dump)
}

fn open_url(url: String, side: Side, options: &Options) -> Result<Arc<dyn ImageStore>, CliError> {
    warn_of_plain_http(&url);
    let transport = transport(&OfCloud::default(), side, options)?;
    let auth: Arc<dyn AuthPlugin> = match token(side, options)? {
        Some(token) => Arc::new(FixedToken { token, endpoint: None }),
        None => Arc::new(NoAuth::default()),
    };
    let session = Arc::new(Session::new(Arc::clone(&transport), auth));
    Ok(Arc::new(GlanceStore::new(url.clone(), transport, url, session)))
}

async fn open_cloud(
    cloud: Cloud,
    side: Side,
    options: &Options,
) -> Result<Arc<dyn ImageStore>, CliError> {
    let transport = transport(&OfCloud::of(&cloud), side, options)?;
    let session = Arc::new(Session::new(Arc::clone(&transport), cloud.auth));
    let endpoint = session.image_endpoint(&cloud.image).await?.url;
    warn_of_plain_http(&endpoint);
    tracing::info!("cloud {} has its Glance at {endpoint}", cloud.name);
    Ok(Arc::new(GlanceStore::new(cloud.name, transport, endpoint, session)))
}

fn warn_of_plain_http(url: &str) {
    if url.starts_with("http://") {
        tracing::warn!("{url} is plain http: everybody on the way can read the token and the data");
    }
}

/// A transport for this side.
fn transport(
    cloud: &OfCloud,
    side: Side,
    options: &Options,
) -> Result<Arc<dyn Transport>, CliError> {
    let (policy, _) = trust::policy(&options.trust, side, cloud)?;
    crate::tls::transport(options.tls, &policy, transport_options()?)
}

/// How servers are reached.
pub(crate) fn transport_options() -> Result<transport_hyper::Options, CliError> {
    Ok(transport_hyper::Options { proxies: proxies()?, ..Default::default() })
}

fn proxies() -> Result<Proxies, CliError> {
    Proxies::from_env(&environment).map_err(|error| {
        CliError::usage("the proxy can't be used").hint(error.hint).caused_by(error)
    })
}

/// This side's token: an option, a file, or the environment.
fn token(side: Side, options: &Options) -> Result<Option<SecretString>, CliError> {
    let (flag, file, variable) = match side {
        Side::Source => {
            (&options.sourcetoken, &options.source_token_file, "GLANCE_REPLICATOR_SOURCE_TOKEN")
        }
        Side::Target => {
            (&options.targettoken, &options.target_token_file, "GLANCE_REPLICATOR_TARGET_TOKEN")
        }
    };
    if let Some(token) = flag.as_ref().or(options.token.as_ref()) {
        tracing::info!("a token on the command line is visible to others; better name a file");
        return Ok(Some(SecretString::from(token.clone())));
    }
    if let Some(path) = file.as_ref().or(options.token_file.as_ref()) {
        return read_token(path).map(Some);
    }
    let variables = [variable, "OS_TOKEN", "OS_AUTH_TOKEN"];
    Ok(variables.into_iter().find_map(environment).map(SecretString::from))
}

/// The token in a file, without the line's end.
pub(crate) fn read_token(path: &Path) -> Result<SecretString, CliError> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        CliError::usage(format!("cannot read the token file {}", path.display())).caused_by(error)
    })?;
    match text.trim() {
        "" => Err(CliError::usage(format!("the token file {} is empty", path.display()))),
        token => Ok(SecretString::from(token.to_owned())),
    }
}

/// A variable of the environment; an empty one counts as unset.
pub(crate) fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// A cloud by its name, or by its name and a region: `NAME@REGION`.
fn cloud(word: &str) -> Result<Option<Endpoint>, CliError> {
    let clouds = Clouds::load(Environment::of_process())?;
    let find = |name: &str, region: Option<&str>| clouds.cloud(name, region);
    let whole = find(word, None)?;
    let found = match (whole, word.rsplit_once('@')) {
        (None, Some((name, region))) => find(name, Some(region))?,
        (whole, _) => whole,
    };
    Ok(found.map(|cloud| Endpoint::Cloud(Box::new(cloud))))
}

fn unknown(word: &str) -> CliError {
    let clouds = Clouds::load(Environment::of_process());
    let names: Vec<&str> = clouds.iter().flat_map(Clouds::names).collect();
    let known = match names.is_empty() {
        true => "no clouds.yaml was found".to_owned(),
        false => format!("the clouds are {}", names.join(", ")),
    };
    CliError::usage(format!("{word:?} is no cloud, no host:port, no URL and no path"))
        .hint(format!("{known}; a directory is written as ./{word} or dir:{word}"))
}

/// An address without `/v2` and the slashes around it.
fn without_version(url: &str) -> String {
    let url = url.trim_end_matches('/');
    url.strip_suffix("/v2").unwrap_or(url).trim_end_matches('/').to_owned()
}
