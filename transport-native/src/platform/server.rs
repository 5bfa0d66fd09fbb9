//! The TLS server.

use std::io;

use async_trait::async_trait;
use native_tls::Protocol;
use tokio::net::TcpStream;
use transport_hyper::{Io, TlsAcceptor, TlsSetupError};

use super::identity;

/// The TLS acceptor over native-tls.
pub(crate) struct Server(tokio_native_tls::TlsAcceptor);

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").finish_non_exhaustive()
    }
}

impl Server {
    pub(crate) fn new(chain: &[u8], key: &[u8]) -> Result<Self, TlsSetupError> {
        const CANNOT_USE: &str = "cannot use the server's certificate and key";
        let key = identity::key_in(key)
            .map_err(|error| TlsSetupError::new("cannot read the server's key", error))?;
        let identity = identity::identity_of(chain, &key)
            .map_err(|error| TlsSetupError::new(CANNOT_USE, error))?;
        let mut acceptor = native_tls::TlsAcceptor::builder(identity);
        acceptor.min_protocol_version(Some(Protocol::Tlsv12));
        let acceptor = acceptor.build().map_err(|error| TlsSetupError::new(CANNOT_USE, error))?;
        Ok(Self(acceptor.into()))
    }
}

#[async_trait]
impl TlsAcceptor for Server {
    async fn accept(&self, tcp: TcpStream) -> io::Result<Box<dyn Io>> {
        Ok(Box::new(self.0.accept(tcp).await.map_err(io::Error::other)?))
    }
}
