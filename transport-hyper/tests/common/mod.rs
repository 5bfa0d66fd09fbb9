//! A TLS library that rejects every server.

use async_trait::async_trait;
use glance_core::transport::{TlsFailure, TransportError, TransportErrorKind};
use transport_hyper::{HandshakeError, Io, TlsBackend, TlsStream};

#[derive(Debug)]
pub(crate) struct Refuses;

#[async_trait]
impl TlsBackend for Refuses {
    async fn handshake(
        &self,
        host: &str,
        endpoint: &str,
        _: Box<dyn Io>,
    ) -> Result<TlsStream, HandshakeError> {
        let kind = TransportErrorKind::Tls(TlsFailure::NotTrusted);
        let refused = TransportError::new(kind, endpoint, format!("{host} is refused"));
        Err(HandshakeError::from(refused.hint("a hint")))
    }
}
