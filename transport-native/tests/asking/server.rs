//! The server, by OpenSSL.

use std::io;
use std::pin::Pin;
use std::sync::Arc;

use async_trait::async_trait;
use openssl::pkey::PKey;
use openssl::ssl::{Ssl, SslAcceptor, SslMethod, SslVerifyMode};
use openssl::x509::X509;
use tokio::net::TcpStream;
use tokio_openssl::SslStream;
use transport_hyper::{Io, TlsAcceptor};

/// The server with this certificate and key; it accepts client certificates below `root`.
pub(crate) fn acceptor(leaf: &str, key: &str, root: &str) -> Arc<dyn TlsAcceptor> {
    let certificate = |pem: &str| X509::from_pem(pem.as_bytes()).unwrap();
    let mut acceptor = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls_server()).unwrap();
    acceptor.set_private_key(&PKey::private_key_from_pem(key.as_bytes()).unwrap()).unwrap();
    acceptor.set_certificate(&certificate(leaf)).unwrap();
    acceptor.cert_store_mut().add_cert(certificate(root)).unwrap();
    ask(&mut acceptor);
    Arc::new(Asking(acceptor.build()))
}

#[expect(clippy::disallowed_methods, reason = "a server asks for a certificate by this call")]
fn ask(acceptor: &mut openssl::ssl::SslAcceptorBuilder) {
    acceptor.set_verify(SslVerifyMode::PEER);
}

struct Asking(SslAcceptor);

impl std::fmt::Debug for Asking {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Asking")
    }
}

#[async_trait]
impl TlsAcceptor for Asking {
    async fn accept(&self, tcp: TcpStream) -> io::Result<Box<dyn Io>> {
        let mut stream = SslStream::new(Ssl::new(self.0.context())?, tcp)?;
        Pin::new(&mut stream).accept().await.map_err(io::Error::other)?;
        Ok(Box::new(stream))
    }
}
