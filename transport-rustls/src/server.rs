//! The TLS server.

use std::io;
use std::sync::Arc;

use async_trait::async_trait;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::TcpStream;
use transport_hyper::{Io, TlsAcceptor, TlsSetupError};

/// The TLS acceptor over rustls.
pub(crate) struct Server(tokio_rustls::TlsAcceptor);

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").finish_non_exhaustive()
    }
}

impl Server {
    pub(crate) fn new(chain: &[u8], key: &[u8]) -> Result<Self, TlsSetupError> {
        let chain = CertificateDer::pem_slice_iter(chain)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| TlsSetupError::new("cannot read the server's certificate", error))?;
        let key = PrivateKeyDer::from_pem_slice(key)
            .map_err(|error| TlsSetupError::new("cannot read the server's key", error))?;
        let mut config =
            ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
                .with_safe_default_protocol_versions()
                .map_err(|error| TlsSetupError::new("cannot set up rustls", error))?
                .with_no_client_auth()
                .with_single_cert(chain, key)
                .map_err(|error| {
                    TlsSetupError::new("cannot use the server's certificate and key", error)
                })?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self(tokio_rustls::TlsAcceptor::from(Arc::new(config))))
    }
}

#[async_trait]
impl TlsAcceptor for Server {
    async fn accept(&self, tcp: TcpStream) -> io::Result<Box<dyn Io>> {
        Ok(Box::new(self.0.accept(tcp).await?))
    }
}
