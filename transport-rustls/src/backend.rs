//! The client's side, and its verdict on servers.

use std::fmt;
use std::io;
use std::sync::Arc;

use async_trait::async_trait;
use glance_core::tls::verdict::Refusal;
use glance_core::tls::{Roots, TlsPolicy, TlsVersion};
use glance_core::transport::TransportError;
use rustls::{CertificateError, ClientConfig, InvalidMessage};
use rustls_pki_types::{CertificateDer, ServerName};
use tokio_rustls::TlsConnector;
use transport_hyper::{Io, TlsBackend};

use crate::verifier::{BundleVerifier, Refused};
use crate::{TlsSetupError, given, provider};

pub(crate) struct RustlsBackend(TlsConnector);

impl RustlsBackend {
    pub(crate) fn new(policy: &TlsPolicy) -> Result<Self, TlsSetupError> {
        let versions: &[_] = match policy.min_version {
            TlsVersion::V1_2 => &[&rustls::version::TLS13, &rustls::version::TLS12],
            TlsVersion::V1_3 => &[&rustls::version::TLS13],
        };
        let provider = provider();
        let verifier = BundleVerifier::new(&trusted(&policy.roots)?, &provider);
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .map_err(given("the oldest protocol version"))?;
        // "Dangerous" is the library's word for any verifier of one's own. This one asks for more
        // than the library's: see `verifier`.
        let config = builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier));
        Ok(Self(Arc::new(config.with_no_client_auth()).into()))
    }
}

/// The certificates to trust.
fn trusted(roots: &Roots) -> Result<Vec<CertificateDer<'static>>, TlsSetupError> {
    match roots {
        Roots::Bundle(certificates) => {
            Ok(certificates.iter().map(|certificate| certificate.der.clone().into()).collect())
        }
        Roots::System => {
            let system = rustls_native_certs::load_native_certs();
            for error in &system.errors {
                tracing::warn!("the system's trust store: {error}");
            }
            match system.certs.is_empty() {
                true => Err(given("the system's trust store")("it holds no certificate")),
                false => Ok(system.certs),
            }
        }
    }
}

#[async_trait]
impl TlsBackend for RustlsBackend {
    async fn handshake(
        &self,
        host: &str,
        endpoint: &str,
        io: Box<dyn Io>,
    ) -> Result<Box<dyn Io>, TransportError> {
        let name = ServerName::try_from(host.to_owned()).map_err(|_| {
            Refusal::other(format!("{host:?} is neither a DNS name nor an IP address")).at(endpoint)
        })?;
        match self.0.connect(name, io).await {
            Ok(stream) => Ok(Box::new(stream)),
            Err(error) => Err(refusal(&error).at(endpoint)),
        }
    }
}

/// Why the handshake failed, in the words that both TLS stacks share.
fn refusal(error: &io::Error) -> Refusal {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match inner {
        Some(rustls::Error::InvalidCertificate(CertificateError::Other(other))) => {
            match other.0.downcast_ref::<Refused>() {
                Some(Refused(refusal)) => refusal.clone(),
                None => Refusal::other(other.0.to_string()),
            }
        }
        Some(rustls::Error::InvalidMessage(
            InvalidMessage::InvalidContentType | InvalidMessage::UnknownProtocolVersion,
        )) => Refusal::not_tls(),
        Some(error) => Refusal::other(error.to_string()),
        None => Refusal::other(format!("the handshake broke off: {error}")),
    }
}

impl fmt::Debug for RustlsBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RustlsBackend")
    }
}
