//! The TLS client: the handshake by rustls, and the meaning of its errors.

use std::io;
use std::sync::Arc;

use async_trait::async_trait;
use glance_core::transport::ClientCertificate;
use glance_core::transport::failure::io_reason;
use rustls::client::{ClientConnection, Resumption};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::ServerName;
use rustls::sign::CertifiedKey;
use rustls::{
    CertificateError, ClientConfig, Error, InvalidMessage, ProtocolVersion, SupportedCipherSuite,
};
use tls_policy::fault::{Alert, Fault};
use tls_policy::{TlsPolicy, TlsVersion};
use tokio_rustls::TlsConnector;
use transport_hyper::{
    HandshakeError, HandshakeFault, Io, TlsBackend, TlsSession, TlsSetupError, TlsStream,
};

use crate::identity::{self, Asked};
use crate::verify::Verifier;

/// The [`TlsBackend`] over rustls.
pub(crate) struct Client {
    config: ClientConfig,
    min_version: TlsVersion,
    identity: Option<Arc<CertifiedKey>>,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}

impl Client {
    pub(crate) fn new(policy: &TlsPolicy) -> Result<Self, TlsSetupError> {
        let provider = aws_lc_rs::default_provider();
        let verifier = Verifier::new(policy, provider.signature_verification_algorithms)?;
        let identity = policy.identity.as_ref();
        let identity = identity.map(|identity| identity::load(identity, &provider)).transpose()?;
        let versions: &[_] = match policy.min_version {
            TlsVersion::V1_2 => &[&rustls::version::TLS13, &rustls::version::TLS12],
            TlsVersion::V1_3 => &[&rustls::version::TLS13],
        };
        let builder = ClientConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(versions)
            .map_err(|error| TlsSetupError::new("cannot set up rustls", error))?;
        #[expect(clippy::disallowed_methods, reason = "this verifier is stricter than the default")]
        let builder = builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier));
        let mut config = builder.with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        // A resumed session would skip the verification.
        config.resumption = Resumption::disabled();
        Ok(Self { config, min_version: policy.min_version, identity })
    }
}

#[async_trait]
impl TlsBackend for Client {
    async fn handshake(
        &self,
        host: &str,
        endpoint: &str,
        io: Box<dyn Io>,
    ) -> Result<TlsStream, HandshakeError> {
        let name = ServerName::try_from(host.to_owned()).map_err(|_| {
            let what = format!("{host} is neither a DNS name nor an IP address");
            HandshakeError::new(Fault::Other(what).into(), host, endpoint)
        })?;
        let asked = Arc::new(Asked::new(self.identity.clone()));
        let mut config = self.config.clone();
        config.client_auth_cert_resolver = Arc::clone(&asked) as _;
        match TlsConnector::from(Arc::new(config)).connect(name, io).await {
            Ok(stream) => {
                let session = session(stream.get_ref().1, asked.answer());
                Ok(TlsStream { io: Box::new(stream), session })
            }
            Err(error) => {
                let finding = explain(&error, asked.answer(), self.min_version);
                Err(HandshakeError::new(finding, host, endpoint))
            }
        }
    }
}

fn session(connection: &ClientConnection, asked: Option<ClientCertificate>) -> TlsSession {
    let version = match connection.protocol_version() {
        Some(ProtocolVersion::TLSv1_3) => TlsVersion::V1_3,
        _ => TlsVersion::V1_2,
    };
    let chain = connection.peer_certificates().unwrap_or_default();
    TlsSession {
        version: Some(version),
        cipher: connection.negotiated_cipher_suite().map(cipher),
        chain: chain.iter().map(|one| one.to_vec()).collect(),
        client_certificate: asked,
    }
}

/// The IANA name of a cipher suite; rustls spells those of TLS 1.3 differently.
fn cipher(suite: SupportedCipherSuite) -> String {
    format!("{:?}", suite.suite()).replace("TLS13_", "TLS_")
}

fn explain(
    error: &io::Error,
    asked: Option<ClientCertificate>,
    min_version: TlsVersion,
) -> HandshakeFault {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    let Some(inner) = inner else { return Fault::Closed(io_reason(error)).into() };
    if let Error::InvalidCertificate(CertificateError::Other(other)) = inner {
        if let Some(finding) = other.0.downcast_ref::<HandshakeFault>() {
            return finding.clone();
        }
    }
    let fault = match inner {
        Error::InvalidMessage(
            InvalidMessage::CertificatePayloadTooLarge | InvalidMessage::HandshakePayloadTooLarge,
        ) => Fault::TooMuch,
        Error::InvalidMessage(_) => Fault::NotTls,
        Error::AlertReceived(alert) => Alert(u8::from(*alert)).fault(asked, min_version),
        Error::PeerIncompatible(_) => Fault::NothingInCommon(min_version),
        other => Fault::Other(format!("the TLS handshake failed: {other}")),
    };
    fault.into()
}
