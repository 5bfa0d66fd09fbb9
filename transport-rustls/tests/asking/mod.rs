//! A server that asks for a client certificate and accepts clients without one.

use std::io;
use std::sync::Arc;

use async_trait::async_trait;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::net::TcpStream;
use transport_hyper::{Io, TlsAcceptor};

/// The server with this certificate and key; it accepts client certificates below `root`.
pub(crate) fn acceptor(leaf: &str, key: &str, root: &str) -> Arc<dyn TlsAcceptor> {
    let certificate = |pem: &str| CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(certificate(root)).unwrap();
    let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider.clone())
        .allow_unauthenticated()
        .build()
        .unwrap();
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier)
        .with_single_cert(
            vec![certificate(leaf)],
            PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap(),
        )
        .unwrap();
    Arc::new(Asking(Arc::new(config).into()))
}

struct Asking(tokio_rustls::TlsAcceptor);

impl std::fmt::Debug for Asking {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Asking")
    }
}

#[async_trait]
impl TlsAcceptor for Asking {
    async fn accept(&self, tcp: TcpStream) -> io::Result<Box<dyn Io>> {
        Ok(Box::new(self.0.accept(tcp).await?))
    }
}
