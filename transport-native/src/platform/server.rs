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
        let mut acceptor = native_tls::TlsAcceptor::builder(identity::of_server(chain, key)?);
        acceptor.min_protocol_version(Some(Protocol::Tlsv12));
        let acceptor = acceptor.build();
        let acceptor =
            acceptor.map_err(|error| TlsSetupError::new(identity::CANNOT_SERVE, error))?;
        Ok(Self(acceptor.into()))
    }
}

#[async_trait]
impl TlsAcceptor for Server {
    async fn accept(&self, tcp: TcpStream) -> io::Result<Box<dyn Io>> {
        Ok(Box::new(self.0.accept(tcp).await.map_err(io::Error::other)?))
    }
}
