//! What this crate asks of a TLS library.

use std::fmt;
use std::io;

use async_trait::async_trait;
use glance_core::TransportError;
use glance_core::body::BodyError;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

/// A byte stream, encrypted or not.
pub trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// The client's side of a TLS library.
#[async_trait]
pub trait TlsBackend: fmt::Debug + Send + Sync + 'static {
    /// Shakes hands over `io` and verifies the server for `host` (a DNS name or an IP address,
    /// without brackets). `endpoint` names it in errors, as `https://host:port` or, when it is a
    /// proxy, `the proxy https://host:port`. `io` may be TLS itself.
    ///
    /// # Errors
    /// Of kind `Tls` with the reason and a remedy when the server can't be trusted, before any
    /// byte of a request was written.
    async fn handshake(
        &self,
        host: &str,
        endpoint: &str,
        io: Box<dyn Io>,
    ) -> Result<Box<dyn Io>, TransportError>;
}

/// The server's side of a TLS library.
#[async_trait]
pub trait TlsAcceptor: fmt::Debug + Send + Sync + 'static {
    /// Shakes hands with a client.
    async fn accept(&self, tcp: TcpStream) -> io::Result<Box<dyn Io>>;
}

/// TLS that can't be set up: a certificate, a key or the library itself.
#[derive(Debug, thiserror::Error)]
#[error("{what}")]
pub struct TlsSetupError {
    /// What can't be used, a fragment of a sentence.
    pub what: String,
    /// What the TLS library says.
    pub source: Option<BodyError>,
}

impl TlsSetupError {
    /// An error of the TLS library, and what it is about.
    pub fn new(what: &str, source: impl Into<BodyError>) -> Self {
        Self { what: what.to_owned(), source: Some(source.into()) }
    }
}
