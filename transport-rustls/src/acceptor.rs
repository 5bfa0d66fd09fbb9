//! The server's side.

use std::fmt;
use std::io;
use std::sync::Arc;

use async_trait::async_trait;
use rustls::ServerConfig;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::TcpStream;
use transport_hyper::{Io, TlsAcceptor};

use crate::{TlsSetupError, given, provider};

pub(crate) struct RustlsAcceptor(tokio_rustls::TlsAcceptor);

impl RustlsAcceptor {
    pub(crate) fn new(chain: &[u8], key: &[u8]) -> Result<Self, TlsSetupError> {
        let chain = CertificateDer::pem_slice_iter(chain).collect::<Result<Vec<_>, _>>();
        let chain = chain.map_err(given("the certificate"))?;
        let key = PrivateKeyDer::from_pem_slice(key).map_err(given("the key"))?;
        let config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(given("its own protocol versions"))?
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .map_err(given("the key with this certificate"))?;
        Ok(Self(Arc::new(config).into()))
    }
}

#[async_trait]
impl TlsAcceptor for RustlsAcceptor {
    async fn accept(&self, tcp: TcpStream) -> io::Result<Box<dyn Io>> {
        Ok(Box::new(self.0.accept(tcp).await?))
    }
}

impl fmt::Debug for RustlsAcceptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RustlsAcceptor")
    }
}
