//! The stores that arguments name, and how to open them.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use glance_client::GlanceStore;
use glance_core::project::Project;
use glance_core::store::memory::MemoryStore;
use glance_core::store::{ImageStore, StoreError, StoreErrorKind};
use glance_core::transport::{RateLimited, Retrying, Transport};
use keystone_auth::auth::TokenScope;
use keystone_auth::plain_http;
use keystone_auth::{Cloud, CloudRetries, Projects, Session};
use replicator_engine::{events, provenance};
use safe_files::file_lock::Lock;
use transport_hyper::Proxies;
use url::Url;

use crate::args::Options;
use crate::certificates;
use crate::error::CliError;
use crate::progress;
use crate::resolve::address;
use crate::resolve::directories::{DirectoryPlace, DirectoryStore};
use crate::resolve::journals;
use crate::resolve::sign_in::{
    auth, cloud, clouds, no_cloud, refuse_cloud_options, refuse_token_of_side,
};
use crate::resolve::store_names::{is_path, no_store};
use crate::resolve::trust::effect;
use crate::resolve::trust::{self, CloudTls};

/// The store that an argument names.
#[derive(Debug)]
pub(crate) enum Endpoint {
    /// A cloud in clouds.yaml.
    Cloud(Box<Cloud>),
    /// A Glance service, by its URL without `/v2`.
    Url(Url),
    /// A directory.
    Directory(DirectoryPlace),
    /// A tar stream, and the projects that it describes.
    Stream(Arc<dyn ImageStore>, Vec<Project>),
}

/// An open store.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) store: Arc<dyn ImageStore>,
    /// The store, if it is a Glance service.
    pub(crate) glance: Option<Arc<GlanceStore>>,
    /// The directory, if the store is in one.
    pub(crate) directory: Option<DirectoryPlace>,
    /// The store, if it is in a directory.
    pub(crate) in_directory: Option<DirectoryStore>,
    /// The kind and the path of a directory opened for reading whose dump was not completed.
    pub(crate) unfinished: Option<String>,
    /// The lock against other writers, if the store is a directory opened for writing.
    pub(crate) lock: Option<Arc<Lock>>,
    /// The sign-in session, if the store has one.
    pub(crate) session: Option<Arc<Session>>,
    /// The projects of owners and members, if Keystone or the dump can name them.
    pub(crate) projects: Option<Arc<Projects>>,
    /// The address of the store, without credentials.
    pub(crate) address: String,
    /// The region of the store's cloud, if known.
    pub(crate) region: Option<String>,
}

impl Opened {
    /// Whether the store is a stream, which can be read only once.
    pub(crate) fn is_stream(&self) -> bool {
        self.glance.is_none() && self.directory.is_none()
    }
}

impl Opened {
    /// Marks a directory that was opened for writing as finished, unless it was unfinished when it
    /// was opened.
    pub(crate) async fn finish_as_found(&self) -> Result<(), CliError> {
        match &self.in_directory {
            Some(store) if self.lock.is_some() => Ok(store.finish_as_found().await?),
            _ => Ok(()),
        }
    }
}

/// The access that a store is opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// Read only.
    Read,
    /// Read only. A missing directory, which a run would create, counts as an empty store.
    DryRun,
    /// Read and write. A missing directory is created.
    Write,
}

impl Access {
    /// The access that a run needs to its target.
    pub(crate) fn of_run(dry_run: bool) -> Self {
        if dry_run { Self::DryRun } else { Self::Write }
    }
}

impl Opened {
    /// How a run marks the replicas of this source. A user who is no administrator sees only a part of
    /// its images.
    pub(crate) async fn stamp(&self) -> Result<provenance::Source, CliError> {
        let stamp = provenance::Source::new(&self.address);
        let Some(session) = &self.session else { return Ok(stamp) };
        session.proof().await?;
        let roles = session.holder().await.map(|holder| holder.roles).unwrap_or_default();
        let is_admin = roles.iter().any(|role| role.eq_ignore_ascii_case("admin"));
        Ok(match session.reach().await {
            _ if is_admin => stamp,
            Some(TokenScope::Project(id)) => stamp.seen_by(&id),
            Some(TokenScope::Domain) => stamp.seen_by("domain"),
            Some(TokenScope::System) => stamp.seen_by("system"),
            // The source has no Keystone, or the operator gave a token.
            None => stamp,
        })
    }
}

/// The side of a copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    /// The store that is read.
    Source,
    /// The store that is written.
    Target,
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Source => "source",
            Self::Target => "target",
        })
    }
}

impl Endpoint {
    /// Resolves an argument for this side, using the options of this side.
    ///
    /// # Errors
    /// When the argument names no store, or an option of this side has no effect on the store.
    pub(crate) fn parse(word: &str, side: Side, options: &Options) -> Result<Self, CliError> {
        match Self::find(word, side, options)? {
            Some(endpoint) => Ok(endpoint),
            None => Err(no_store(word)),
        }
    }

    /// Like [`parse`](Self::parse), but `None` if the argument names no store.
    pub(crate) fn find(
        word: &str,
        side: Side,
        options: &Options,
    ) -> Result<Option<Self>, CliError> {
        let Some(endpoint) = Self::resolve(word, side, options)? else { return Ok(None) };
        match endpoint {
            Self::Cloud(_) => refuse_token_of_side(word, side, &options.sign_in)?,
            _ => refuse_cloud_options(word, side, &options.sign_in)?,
        }
        Ok(Some(endpoint))
    }

    /// Resolves an argument, trying in order: an explicit scheme, a path, the name of a cloud, an
    /// existing directory, `host:port`.
    fn resolve(word: &str, side: Side, options: &Options) -> Result<Option<Self>, CliError> {
        if let Some(place) = DirectoryPlace::by_scheme(word) {
            return Ok(Some(Self::Directory(place)));
        }
        if let Some(url) = word.strip_prefix("url:") {
            return address::parse(url).map(|url| Some(Self::Url(url)));
        }
        if let Some(name) = word.strip_prefix("cloud:") {
            let clouds = clouds()?;
            let found = cloud(&clouds, name, side, &options.sign_in)?;
            return found.map(Self::of).map(Some).ok_or_else(|| no_cloud(&clouds, name));
        }
        if address::is_url(word) {
            return address::parse(word).map(|url| Some(Self::Url(url)));
        }
        if is_path(word) {
            return Ok(Some(Self::Directory(DirectoryPlace::dump(word))));
        }
        if let Some(cloud) = cloud(&clouds()?, word, side, &options.sign_in)? {
            return Ok(Some(Self::of(cloud)));
        }
        if Path::new(word).is_dir() {
            return Ok(Some(Self::Directory(DirectoryPlace::dump(word))));
        }
        match word.rsplit_once(':') {
            Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok() => {
                address::parse(&format!("https://{word}")).map(|url| Some(Self::Url(url)))
            }
            _ => Ok(None),
        }
    }

    fn of(cloud: Cloud) -> Self {
        Self::Cloud(Box::new(cloud))
    }

    /// Opens the store: a source for reading, a target for writing.
    pub(crate) async fn open(self, side: Side, options: &Options) -> Result<Opened, CliError> {
        let access = match side {
            Side::Source => Access::Read,
            Side::Target => Access::Write,
        };
        self.open_to(access, side, options).await
    }

    /// Opens the store for this access.
    pub(crate) async fn open_to(
        self,
        access: Access,
        side: Side,
        options: &Options,
    ) -> Result<Opened, CliError> {
        match self {
            Self::Directory(place) => open_directory(place, access, side, options).await,
            Self::Stream(store, projects) => {
                let address = store.to_string();
                Ok(Opened { projects: known(projects), ..without_server(store, address) })
            }
            Self::Url(url) => open_url(&url, side, options),
            Self::Cloud(cloud) => open_cloud(*cloud, side, options).await,
        }
    }
}

async fn open_directory(
    place: DirectoryPlace,
    access: Access,
    side: Side,
    options: &Options,
) -> Result<Opened, CliError> {
    let hashers = crate::tls::hashers(options.tls)?;
    let (store, lock) = match access {
        Access::DryRun if place.is_yet_to_be_made() => return Ok(absent(place)),
        Access::Read if side == Side::Source => (place.open_source(hashers)?, None),
        Access::Read | Access::DryRun => (place.open(hashers)?, None),
        Access::Write => {
            let lock = lock(&place, options).await?;
            (place.create(hashers)?, Some(Arc::new(lock)))
        }
    };
    let is_unfinished = access == Access::Read && !store.is_complete().await?;
    let unfinished =
        is_unfinished.then(|| format!("the {} in {}", place.kind(), place.path.display()));
    if let Some(unfinished) = &unfinished {
        tracing::warn!("{unfinished} is unfinished; run the dump again");
    }
    let projects = match side {
        Side::Source => known(store.projects().await?),
        Side::Target => None,
    };
    let address = place.address();
    let opened = without_server(store.images(), address);
    Ok(Opened {
        projects,
        directory: Some(place),
        in_directory: Some(store),
        unfinished,
        lock,
        ..opened
    })
}

/// A directory that a run would create. It has no images.
fn absent(place: DirectoryPlace) -> Opened {
    let address = place.address();
    let store = Arc::new(MemoryStore::new(&address));
    Opened { directory: Some(place), ..without_server(store, address) }
}

/// Locks a directory against other writers. Waits for another one as long as the options allow.
async fn lock(place: &DirectoryPlace, options: &Options) -> Result<Lock, CliError> {
    let holder = journals::this_process(options);
    let lock = || place.lock(&holder);
    let is_held = |error: &StoreError| error.kind == StoreErrorKind::Locked;
    Ok(journals::patiently(options.state.wait(), lock, is_held, ToString::to_string).await?)
}

/// An open store without a server, such as a directory or a stream.
pub(crate) fn without_server(store: Arc<dyn ImageStore>, address: String) -> Opened {
    Opened {
        store,
        glance: None,
        directory: None,
        in_directory: None,
        unfinished: None,
        lock: None,
        session: None,
        projects: None,
        address,
        region: None,
    }
}

/// The projects that a dump describes; `None` if it describes none.
fn known(projects: Vec<Project>) -> Option<Arc<Projects>> {
    (!projects.is_empty()).then(|| Arc::new(Projects::known(projects)))
}

fn open_url(url: &Url, side: Side, options: &Options) -> Result<Opened, CliError> {
    effect::refuse_proxied(url)?;
    plain_http::warn(url, "the token and the data");
    let url = address::text(url);
    let transport = transport(&CloudTls::default(), &CloudRetries::default(), side, options)?;
    let (plugin, keystone) = auth(side, &options.sign_in)?;
    let session = Arc::new(Session::new(Arc::clone(&transport), plugin));
    let store = GlanceStore::new(url.clone(), transport, url.clone(), Arc::clone(&session));
    opened(store, session, keystone.as_deref(), url, options)
}

async fn open_cloud(cloud: Cloud, side: Side, options: &Options) -> Result<Opened, CliError> {
    let transport = transport(&CloudTls::of(&cloud), &cloud.retries, side, options)?;
    if let Some(keystone) = address::keystone(&cloud) {
        effect::refuse_proxied(&keystone)?;
    }
    let session = Arc::new(Session::new(Arc::clone(&transport), Arc::clone(&cloud.auth)));
    let of_cloud = |error| trust::sign_in_error(error, &cloud, side, &options.trust);
    let endpoint = session.image_endpoint(&cloud.image).await.map_err(of_cloud)?.url;
    let region = session.image_region(&cloud.image).await.map_err(of_cloud)?;
    effect::check_found(&cloud, &endpoint, side, options)?;
    tracing::info!("the Glance of cloud {} is at {endpoint}", cloud.name);
    let store = GlanceStore::new(cloud.name, transport, endpoint.clone(), Arc::clone(&session));
    let keystone = match cloud.auth_type.as_str() {
        "none" | "http_basic" => None,
        _ => cloud.auth_url.as_deref(),
    };
    Ok(Opened { region, ..opened(store, session, keystone, endpoint, options)? })
}

/// An open Glance store. `keystone` is the URL of the Keystone that knows its projects.
fn opened(
    store: GlanceStore,
    session: Arc<Session>,
    keystone: Option<&str>,
    address: String,
    options: &Options,
) -> Result<Opened, CliError> {
    let store = match options.limits.lowest_rate() {
        // All transfers share the rate.
        Some(rate) => {
            let most = options.transfers.or(options.transfer.max_connections.get());
            store.expecting(rate / most as u64)
        }
        None => store,
    };
    let glance = Arc::new(store);
    let projects = keystone.map(|url| Projects::new(Arc::clone(&session), url)).transpose()?;
    Ok(Opened {
        store: Arc::<GlanceStore>::clone(&glance),
        glance: Some(glance),
        directory: None,
        in_directory: None,
        unfinished: None,
        lock: None,
        session: Some(session),
        projects: projects.map(Arc::new),
        address,
        region: None,
    })
}

/// A transport for this side, with a separate request rate limit and separate retries.
fn transport(
    cloud: &CloudTls,
    retries: &CloudRetries,
    side: Side,
    options: &Options,
) -> Result<Arc<dyn Transport>, CliError> {
    let (policy, _) = trust::policy(&options.trust, side, cloud)?;
    let wire = crate::tls::transport(options.tls, &policy, transport_options(options)?)?;
    let wire = certificates::noting(side, wire);
    let wire: Arc<dyn Transport> = match options.limits.tpslimit {
        Some(per_second) => {
            Arc::new(RateLimited::new(wire, Duration::from_secs_f64(1.0 / per_second)))
        }
        None => wire,
    };
    let wanted = match options.limits.low_level_retries {
        Some(0) => return Ok(wire),
        Some(times) => retries.persistence().times(times),
        None => retries.persistence(),
    };
    let events = options.controller().listening(progress::events());
    let observer = events.of_requests(match side {
        Side::Source => events::Side::Source,
        Side::Target => events::Side::Target,
    });
    Ok(Arc::new(Retrying::new(wire, wanted).observed_by(observer)))
}

/// The timeouts and proxies of connections.
pub(crate) fn transport_options(
    options: &Options,
) -> Result<transport_hyper::ClientOptions, CliError> {
    Ok(transport_hyper::ClientOptions {
        connect_timeout: options.limits.connect_timeout,
        idle_timeout: options.limits.idle_timeout,
        proxies: proxies()?,
        ..Default::default()
    })
}

pub(crate) fn proxies() -> Result<Proxies, CliError> {
    Proxies::from_env(&environment)
        .map_err(|error| CliError::usage("cannot use the proxy").hint(error.hint).caused_by(error))
}

/// Fails if an environment variable that is read is not valid UTF-8: it would count as unset.
pub(crate) fn refuse_odd_variables() -> Result<(), CliError> {
    let is_read = |name: &str| {
        let known = ["OS_", "GLANCE_REPLICATOR_", "SSL_CERT_"].iter().any(|p| name.starts_with(p));
        known || name.ends_with("_CA_BUNDLE") || name.to_ascii_lowercase().ends_with("_proxy")
    };
    let mut odd = std::env::vars_os().filter(|(_, value)| value.to_str().is_none());
    match odd.find_map(|(name, _)| name.into_string().ok().filter(|name| is_read(name))) {
        None => Ok(()),
        Some(name) => Err(CliError::usage(format!("the variable {name} is not UTF-8"))
            .hint("correct or unset the variable")),
    }
}

/// The value of an environment variable. An empty value counts as unset.
pub(crate) fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
