//! The TLS client: the handshake by the platform's library, and the meaning of its errors.

use async_trait::async_trait;
use native_tls::Protocol;
use tls_policy::fault::Fault;
use tls_policy::{TlsPolicy, TlsVersion};
use tokio_native_tls::TlsConnector;
use transport_hyper::{HandshakeError, Io, TlsBackend, TlsSession, TlsSetupError, TlsStream};

use super::verify::Verifier;
use super::watched::{Seen, Watched};
use super::{identity, limits, roots};

/// The [`TlsBackend`] over native-tls.
pub(crate) struct Client {
    connector: TlsConnector,
    verifier: Verifier,
    min_version: TlsVersion,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}

impl Client {
    pub(crate) fn new(policy: &TlsPolicy) -> Result<Self, TlsSetupError> {
        limits::check(policy)?;
        let mut connector = native_tls::TlsConnector::builder();
        connector.min_protocol_version(Some(match policy.min_version {
            TlsVersion::V1_2 => Protocol::Tlsv12,
            TlsVersion::V1_3 => Protocol::Tlsv13,
        }));
        roots::trust(policy, &mut connector)?;
        if let Some(identity) = &policy.identity {
            connector.identity(identity::load(identity)?);
        }
        let connector = connector.build().map_err(|error| match &policy.identity {
            Some(identity) => TlsSetupError::new(&identity::mismatch(identity), error),
            None => TlsSetupError::new(&format!("cannot set up {}", super::describe()), error),
        })?;
        Ok(Self {
            connector: connector.into(),
            verifier: Verifier::new(policy),
            min_version: policy.min_version,
        })
    }
}

/// The certificate (DER) of the server at the other end of the stream.
fn certificate(stream: &tokio_native_tls::TlsStream<Watched>) -> Result<Vec<u8>, Fault> {
    let shown = stream.get_ref().peer_certificate();
    let der = shown.and_then(|one| one.map(|one| one.to_der()).transpose());
    let failed = |why: &str| Fault::Other(format!("the TLS handshake failed: {why}"));
    der.map_err(|error| failed(&error.to_string()))?.ok_or_else(|| failed("no certificate"))
}

#[async_trait]
impl TlsBackend for Client {
    async fn handshake(
        &self,
        host: &str,
        endpoint: &str,
        io: Box<dyn Io>,
    ) -> Result<TlsStream, HandshakeError> {
        let refused = |finding| HandshakeError::new(finding, host, endpoint);
        let (io, seen) = Watched::new(io);
        // tokio's cooperative scheduling makes a busy stream return `Pending`, which OpenSSL would
        // take for an error.
        let stream = tokio::task::unconstrained(self.connector.connect(host, io)).await;
        let stream =
            stream.map_err(|error| refused(explain(&error, &seen, self.min_version).into()))?;
        let own = certificate(&stream).map_err(|fault| refused(fault.into()))?;
        if let Some(finding) = self.verifier.objection(&own, host) {
            return Err(refused(finding));
        }
        // native-tls shows no other parameters of the session.
        let session =
            TlsSession { version: None, cipher: None, chain: vec![own], client_certificate: None };
        Ok(TlsStream { io: Box::new(stream), session })
    }
}

/// Translates a handshake error. The library's words are passed on: native-tls gives no codes, and
/// some platforms translate the words.
fn explain(error: &native_tls::Error, seen: &Seen, min_version: TlsVersion) -> Fault {
    if !seen.speaks_tls() {
        return Fault::NotTls;
    }
    match (seen.alert(), seen.closed()) {
        (Some(alert), _) => alert.fault(None, min_version),
        (None, Some(how)) => Fault::Closed(how),
        (None, None) => Fault::Other(format!("{} rejected the server: {error}", super::describe())),
    }
}
