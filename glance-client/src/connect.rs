//! From the configuration of a cloud to its Glance.

use std::sync::Arc;

use glance_core::error::BodyError;
use glance_core::transport::{Retrying, Transport};
use keystone_auth::{Cloud, Session, SignInError};
use tls_policy::{TlsFileError, TlsPolicy};

use crate::GlanceStore;

impl GlanceStore {
    /// Connects to the Glance of `cloud`: signs in, finds the endpoint, and repeats failed requests
    /// as the cloud configures it. `transport` makes the transport from the cloud's certificate
    /// trust, its CA and its client certificate ([`Cloud::tls_policy`]).
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use glance_client::GlanceStore;
    /// # use glance_core::{Transport, store::memory::MemoryStore};
    /// # use glance_server::GlanceApi;
    /// # use keystone_auth::{Clouds, Environment, Overrides};
    /// # fn transport() -> Result<Arc<dyn Transport>, std::io::Error> {
    /// #     Ok(Arc::new(GlanceApi::new(Arc::new(MemoryStore::new("images")))))
    /// # }
    /// # let directory = tempfile::tempdir()?;
    /// # let path = directory.path().join("clouds.yaml");
    /// # let cloud = "{auth_type: none, image_endpoint_override: 'https://glance.example'}";
    /// # std::fs::write(&path, format!("clouds: {{east: {cloud}}}"))?;
    /// # let path = path.display().to_string();
    /// # let environment = Environment::new([("OS_CLIENT_CONFIG_FILE".to_owned(), path)], ".");
    /// # tokio::runtime::Runtime::new()?.block_on(async {
    /// # let clouds = Clouds::load(environment)?;
    /// # let cloud = clouds.cloud("east", &Overrides::default())?.ok_or("no such cloud")?;
    /// // `Cloud::load("east")` reads clouds.yaml. With rustls, the closure is
    /// // `|trust| transport_rustls::transport(trust, ClientOptions::default())`.
    /// let store = GlanceStore::connect(&cloud, |_trust| transport()).await?;
    /// assert_eq!(store.to_string(), "east (https://glance.example)");
    /// # Ok::<_, Box<dyn std::error::Error>>(()) })?;
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// When a file of the certificate trust or the transport cannot be used, or when signing in or
    /// finding the image service fails.
    pub async fn connect<E: Into<BodyError>>(
        cloud: &Cloud,
        transport: impl FnOnce(&TlsPolicy) -> Result<Arc<dyn Transport>, E>,
    ) -> Result<Self, ConnectError> {
        let wire = transport(&cloud.tls_policy()?);
        let wire = wire.map_err(|error| ConnectError::Transport(error.into()))?;
        let wire: Arc<dyn Transport> = Arc::new(Retrying::new(wire, cloud.retries.persistence()));
        let session = Arc::new(Session::new(Arc::clone(&wire), Arc::clone(&cloud.auth)));
        let endpoint = session.image_endpoint(&cloud.image).await?.url;
        Ok(Self::new(&cloud.name, wire, endpoint, session))
    }
}

/// Why [`GlanceStore::connect`] failed. The cause is the source of the error.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// A file of the certificate trust cannot be used.
    #[error("cannot use the certificates of the cloud")]
    Trust(#[from] TlsFileError),
    /// The transport cannot be made.
    #[error("cannot make the transport")]
    Transport(#[source] BodyError),
    /// Signing in failed, or there is no image service.
    #[error("cannot find the Glance of the cloud")]
    SignIn(#[from] SignInError),
}
