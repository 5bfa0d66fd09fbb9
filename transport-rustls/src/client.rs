//! The client's side: rustls' handshake, and what its errors mean.

use std::io;
use std::sync::Arc;

use async_trait::async_trait;
use glance_core::TransportError;
use glance_core::tls::verdict::{Fault, refusal};
use glance_core::tls::{TlsPolicy, TlsVersion};
use rustls::client::Resumption;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::ServerName;
use rustls::{AlertDescription, CertificateError, ClientConfig, Error};
use tokio_rustls::TlsConnector;
use transport_hyper::{Io, TlsBackend, TlsSetupError};

use crate::roots::Trusted;
use crate::verify::{Refused, Verifier};

/// The client's side of rustls.
pub(crate) struct Client(TlsConnector);

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}

impl Client {
    pub(crate) fn new(policy: &TlsPolicy) -> Result<Self, TlsSetupError> {
        let provider = aws_lc_rs::default_provider();
        let algorithms = provider.signature_verification_algorithms;
        let verifier = Verifier { trusted: Trusted::of(policy)?, algorithms };
        let versions: &[_] = match policy.min_version {
            TlsVersion::V1_2 => &[&rustls::version::TLS13, &rustls::version::TLS12],
            TlsVersion::V1_3 => &[&rustls::version::TLS13],
        };
        let builder = ClientConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(versions)
            .map_err(|error| TlsSetupError::new("rustls can't be set up", error))?;
        // The one place that may.
        #[allow(clippy::disallowed_methods, reason = "this verifier is stricter than the default")]
        let builder = builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier));
        let mut config = builder.with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        // A resumed session would not be verified again.
        config.resumption = Resumption::disabled();
        Ok(Self(TlsConnector::from(Arc::new(config))))
    }
}

#[async_trait]
impl TlsBackend for Client {
    async fn handshake(
        &self,
        host: &str,
        endpoint: &str,
        io: Box<dyn Io>,
    ) -> Result<Box<dyn Io>, TransportError> {
        let name = ServerName::try_from(host.to_owned()).map_err(|_| {
            let what = format!("{host} is neither a DNS name nor an IP address");
            refusal(Fault::Other(what), host, endpoint, &[])
        })?;
        match self.0.connect(name, io).await {
            Ok(stream) => Ok(Box::new(stream)),
            Err(error) => Err(explain(&error, host, endpoint)),
        }
    }
}

fn explain(error: &io::Error, host: &str, endpoint: &str) -> TransportError {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    let Some(inner) = inner else {
        return refusal(Fault::Closed(error.to_string()), host, endpoint, &[]);
    };
    if let Error::InvalidCertificate(CertificateError::Other(other)) = inner {
        if let Some(refused) = other.0.downcast_ref::<Refused>() {
            return refusal(refused.fault.clone(), host, endpoint, &refused.chain);
        }
    }
    let fault = match inner {
        Error::InvalidMessage(_) => Fault::NotTls,
        Error::PeerIncompatible(_)
        | Error::AlertReceived(
            AlertDescription::ProtocolVersion
            | AlertDescription::HandshakeFailure
            | AlertDescription::InsufficientSecurity,
        ) => Fault::NothingInCommon,
        Error::AlertReceived(alert) => Fault::Other(format!("the server refused TLS: {alert:?}")),
        other => Fault::Other(format!("the TLS handshake failed: {other}")),
    };
    refusal(fault, host, endpoint, &[])
}
