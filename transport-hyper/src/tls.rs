//! What this crate asks of a TLS library.

use std::fmt;
use std::io;

use async_trait::async_trait;
use glance_core::TransportError;
use glance_core::error::BodyError;
use glance_core::tls::TlsVersion;
use glance_core::tls::verdict::{self, Fault};
use glance_core::transport::ClientCertificate;
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
    ) -> Result<Secured, Refusal>;
}

/// A connection to a server that has been verified.
pub struct Secured {
    /// What passes over it is encrypted.
    pub io: Box<dyn Io>,
    /// What was agreed.
    pub session: Session,
}

/// What a client and a server agreed on.
#[derive(Debug, Clone)]
pub struct Session {
    /// The protocol's version.
    pub version: TlsVersion,
    /// The cipher suite's name in the registry of IANA, such as `TLS_AES_256_GCM_SHA384`.
    pub cipher: String,
    /// The certificates that the server sent, DER, its own first.
    pub chain: Vec<Vec<u8>>,
    /// What became of the server's wish for a client certificate, where it had one.
    pub client_certificate: Option<ClientCertificate>,
}

/// A handshake that failed.
#[derive(Debug)]
pub struct Refusal {
    /// Why.
    pub error: TransportError,
    /// The certificates that the server sent, DER, its own first, as far as they are known.
    pub chain: Vec<Vec<u8>>,
}

impl From<TransportError> for Refusal {
    fn from(error: TransportError) -> Self {
        Self { error, chain: Vec::new() }
    }
}

impl Refusal {
    /// The refusal of a server, in the words of [`verdict`].
    pub fn new(finding: Finding, host: &str, endpoint: &str) -> Self {
        let Finding { fault, sent, above } = finding;
        Self { error: verdict::refusal(&fault, host, endpoint, &sent, &above), chain: sent }
    }
}

/// What is wrong with a handshake, and with which certificates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What is wrong.
    pub fault: Fault,
    /// The certificates that the server sent, DER, its own first, as far as they are known.
    pub sent: Vec<Vec<u8>>,
    /// Trusted certificates, DER, that those may lead to.
    pub above: Vec<Vec<u8>>,
}

impl From<Fault> for Finding {
    fn from(fault: Fault) -> Self {
        Self { fault, sent: Vec::new(), above: Vec::new() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the server was refused")
    }
}

impl std::error::Error for Finding {}

/// What one connection to a server shows.
#[derive(Debug)]
pub struct Inspection {
    /// The certificates that the server sent, DER, its own first, as far as they are known.
    pub chain: Vec<Vec<u8>>,
    /// What was agreed, over https; or why the server is not trusted or not reached.
    pub verdict: Result<Option<Session>, TransportError>,
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
