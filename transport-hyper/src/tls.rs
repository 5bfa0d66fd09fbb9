//! The interface to a TLS library.

use std::fmt;
use std::io;

use async_trait::async_trait;
use glance_core::TransportError;
use glance_core::error::BodyError;
use glance_core::transport::ClientCertificate;
use tls_policy::TlsVersion;
use tls_policy::fault::Fault;
use tls_policy::verdict;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

/// A byte stream, encrypted or not.
pub trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// Makes TLS connections to servers with one TLS library.
#[async_trait]
pub trait TlsBackend: fmt::Debug + Send + Sync + 'static {
    /// Performs the TLS handshake over `io` and verifies the server for `host` (a DNS name or an IP
    /// address, without brackets). `endpoint` identifies the server in errors: `https://host:port`,
    /// or `the proxy https://host:port` for a proxy. `io` may itself be a TLS connection.
    ///
    /// # Errors
    /// An error of kind `Tls` with a reason and a hint if the server cannot be trusted. No byte of
    /// a request has been written then.
    async fn handshake(
        &self,
        host: &str,
        endpoint: &str,
        io: Box<dyn Io>,
    ) -> Result<TlsStream, HandshakeError>;
}

/// A TLS connection to a verified server.
pub struct TlsStream {
    /// The stream of plain bytes over the encrypted connection.
    pub io: Box<dyn Io>,
    /// The parameters of the session.
    pub session: TlsSession,
}

/// The parameters that client and server negotiated.
#[derive(Debug, Clone)]
pub struct TlsSession {
    /// The TLS version; `None` if the TLS library does not show it.
    pub version: Option<TlsVersion>,
    /// The IANA name of the cipher suite, such as `TLS_AES_256_GCM_SHA384`; `None` if the TLS library
    /// does not show it.
    pub cipher: Option<String>,
    /// The certificates sent by the server, as DER, its own first, as far as the TLS library shows
    /// them.
    pub chain: Vec<Vec<u8>>,
    /// Whether the client answered with a certificate; `None` if the server did not request one, or
    /// if the TLS library does not show this.
    pub client_certificate: Option<ClientCertificate>,
}

/// A failed handshake.
#[derive(Debug)]
pub struct HandshakeError {
    /// The reason.
    pub error: TransportError,
    /// The certificates sent by the server, as DER, its own first, as far as known.
    pub chain: Vec<Vec<u8>>,
    /// The index in `chain` of the certificate that is at fault, if it is one of them.
    pub at_fault: Option<usize>,
}

impl From<TransportError> for HandshakeError {
    fn from(error: TransportError) -> Self {
        Self { error, chain: Vec::new(), at_fault: None }
    }
}

impl HandshakeError {
    /// Builds the error for a rejected server, worded by [`verdict`].
    pub fn new(finding: HandshakeFault, host: &str, endpoint: &str) -> Self {
        let HandshakeFault { fault, sent, above } = finding;
        let error = verdict::refusal(&fault, host, endpoint, &sent, &above);
        Self { error, at_fault: verdict::at_fault(&fault, &sent, &above), chain: sent }
    }
}

/// The fault of a handshake, and the certificates involved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HandshakeFault {
    /// The fault.
    pub fault: Fault,
    /// The certificates sent by the server, as DER, its own first, as far as known.
    pub sent: Vec<Vec<u8>>,
    /// Trusted certificates, as DER, that may have issued those sent by the server.
    pub above: Vec<Vec<u8>>,
}

impl From<Fault> for HandshakeFault {
    fn from(fault: Fault) -> Self {
        Self { fault, sent: Vec::new(), above: Vec::new() }
    }
}

impl fmt::Display for HandshakeFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the server was rejected")
    }
}

impl std::error::Error for HandshakeFault {}

/// The result of one connection to a server.
#[derive(Debug)]
pub struct Inspection {
    /// The certificates sent by the server, as DER, its own first, as far as known.
    pub chain: Vec<Vec<u8>>,
    /// The index in `chain` of the certificate because of which the server is not trusted, if it is
    /// one of them.
    pub at_fault: Option<usize>,
    /// The TLS session (`None` for http, and for a TLS stack that does not describe its sessions), or
    /// the error if the server is not trusted or cannot be reached.
    pub verdict: Result<Option<TlsSession>, TransportError>,
}

/// Accepts TLS connections with one TLS library.
#[async_trait]
pub trait TlsAcceptor: fmt::Debug + Send + Sync + 'static {
    /// Performs the TLS handshake with a client.
    async fn accept(&self, tcp: TcpStream) -> io::Result<Box<dyn Io>>;
}

/// TLS cannot be set up: a problem of a certificate, a private key or the library itself.
#[derive(Debug, thiserror::Error)]
#[error("{what}")]
pub struct TlsSetupError {
    /// What cannot be used, as a fragment of a sentence.
    pub what: String,
    /// The error of the TLS library.
    pub source: Option<BodyError>,
}

impl TlsSetupError {
    /// Describes an error of the TLS library by the item it concerns.
    pub fn new(what: &str, source: impl Into<BodyError>) -> Self {
        Self { what: what.to_owned(), source: Some(source.into()) }
    }
}
