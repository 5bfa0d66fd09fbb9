//! The TLS server.

use std::io;
use std::pin::Pin;

use async_trait::async_trait;
use openssl::error::ErrorStack;
use openssl::pkey::PKey;
use openssl::ssl::{Ssl, SslAcceptor, SslMethod};
use openssl::x509::X509;
use tokio::net::TcpStream;
use tokio_openssl::SslStream;
use transport_hyper::{Io, TlsAcceptor, TlsSetupError};

/// The TLS acceptor over OpenSSL.
pub(crate) struct Server(SslAcceptor);

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").finish_non_exhaustive()
    }
}

impl Server {
    pub(crate) fn new(chain: &[u8], key: &[u8]) -> Result<Self, TlsSetupError> {
        let chain = X509::stack_from_pem(chain)
            .map_err(|error| TlsSetupError::new("cannot read the server's certificate", error))?;
        let key = PKey::private_key_from_pem(key)
            .map_err(|error| TlsSetupError::new("cannot read the server's key", error))?;
        let acceptor = || -> Result<SslAcceptor, ErrorStack> {
            let mut acceptor = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls_server())?;
            acceptor.set_private_key(&key)?;
            for (index, one) in chain.into_iter().enumerate() {
                match index {
                    0 => acceptor.set_certificate(&one)?,
                    _ => acceptor.add_extra_chain_cert(one)?,
                }
            }
            acceptor.check_private_key()?;
            Ok(acceptor.build())
        };
        let acceptor = acceptor().map_err(|error| {
            TlsSetupError::new("cannot use the server's certificate and key", error)
        })?;
        Ok(Self(acceptor))
    }
}

#[async_trait]
impl TlsAcceptor for Server {
    async fn accept(&self, tcp: TcpStream) -> io::Result<Box<dyn Io>> {
        let ssl = Ssl::new(self.0.context())?;
        let mut stream = SslStream::new(ssl, tcp)?;
        Pin::new(&mut stream).accept().await.map_err(io::Error::other)?;
        Ok(Box::new(stream))
    }
}
