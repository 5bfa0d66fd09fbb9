//! The server's side.

use std::fmt;
use std::io;
use std::pin::Pin;

use async_trait::async_trait;
use openssl::pkey::PKey;
use openssl::ssl::{Ssl, SslAcceptor, SslMethod};
use openssl::x509::X509;
use tokio::net::TcpStream;
use tokio_openssl::SslStream;
use transport_hyper::{Io, TlsAcceptor};

use crate::{TlsSetupError, given};

pub(crate) struct OpensslAcceptor(SslAcceptor);

impl OpensslAcceptor {
    pub(crate) fn new(chain: &[u8], key: &[u8]) -> Result<Self, TlsSetupError> {
        let mut acceptor = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls_server())
            .map_err(given("its own defaults"))?;
        let mut chain = X509::stack_from_pem(chain).map_err(given("the certificate"))?.into_iter();
        if let Some(leaf) = chain.next() {
            acceptor.set_certificate(&leaf).map_err(given("the certificate"))?;
        }
        for intermediate in chain {
            acceptor.add_extra_chain_cert(intermediate).map_err(given("the chain"))?;
        }
        let key = PKey::private_key_from_pem(key).map_err(given("the key"))?;
        acceptor.set_private_key(&key).map_err(given("the key"))?;
        acceptor.check_private_key().map_err(given("the key with this certificate"))?;
        Ok(Self(acceptor.build()))
    }
}

#[async_trait]
impl TlsAcceptor for OpensslAcceptor {
    async fn accept(&self, tcp: TcpStream) -> io::Result<Box<dyn Io>> {
        let ssl = Ssl::new(self.0.context())?;
        let mut stream = SslStream::new(ssl, tcp)?;
        Pin::new(&mut stream).accept().await.map_err(io::Error::other)?;
        Ok(Box::new(stream))
    }
}

impl fmt::Debug for OpensslAcceptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OpensslAcceptor")
    }
}
