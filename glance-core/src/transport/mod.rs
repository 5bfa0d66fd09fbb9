//! The contract of whatever carries HTTP requests: [`Transport`]; who sends them: [`Caller`]; and
//! how often and how fast: [`Persistent`], [`Spaced`].

use std::error::Error;
use std::fmt;

use async_trait::async_trait;
use http::{Request, Response};

use crate::body::Body;
use crate::error::BodyError;

pub mod backoff;
mod circuit_breaker;
mod optional;
mod rate_limit;
pub mod redirect;
mod request_id;
mod retry;
mod retry_after;

pub use optional::{Optional, briefly};
pub use rate_limit::Spaced;
pub use request_id::{Caller, request_id};
pub use retry::{Harmless, Persistence, Persistent, Repeated, Repeats};

/// Carries HTTP requests to servers whose certificates it verifies.
///
/// # Contract
/// - **Request**: the URI is absolute (`https` or `http`). The transport adds what the protocol
///   needs (`Host`, `Content-Length` from [`Body::size`], or chunked) and nothing else: it knows no
///   tokens, follows no redirects and decodes no content. It need not read a body that promises no
///   bytes; its caller reads it first ([`Body::proven_if_empty`]).
/// - **Answer**: any status is a response; 404 and 503 are no errors here. An error means that no
///   complete response head came. The response's body streams: no byte of it is read before it is
///   asked for, beyond a fixed buffer.
/// - **Verification**: over `https` nothing of a request is written before the server's
///   certificate was verified for the URI's host. There is no way around that.
/// - **Retry**: a transport may send a request again while none of its body was polled and no byte
///   of it reached the server; or, as [`Persistent`] does, when its body can be had
///   [again](Body::again) and a second time does no harm. The rest is the caller's business.
/// - **Time**: limits on connecting and on silence, none on the whole.
/// - **Cancel**: dropping the future or the response's body ends the exchange; a request body cut
///   short is never ended properly.
/// - **Early answers**: a response that comes before the request's body has passed ends the
///   sending.
#[async_trait]
pub trait Transport: fmt::Debug + Send + Sync {
    /// Sends one request and waits for the head of its answer.
    ///
    /// # Errors
    /// [`TransportErrorKind::Body`] when the request's own body failed, with that failure as the
    /// source; the other kinds as they say.
    async fn send(&self, request: Request<Body>) -> Result<Response<Body>, TransportError>;
}

/// What became of a server's wish for a client certificate. Transports put it among the extensions
/// of a response when the server had that wish: some servers let everybody in, to say by a status
/// that they wanted one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientCertificate {
    /// There is none to show.
    Missing,
    /// It was shown.
    Shown,
}

impl ClientCertificate {
    /// What the operator can do when the server then refuses a request.
    pub fn hint(self) -> &'static str {
        match self {
            Self::Missing => {
                "the server asked for a client certificate: name one with --cert FILE and --key FILE"
            }
            Self::Shown => "is the client certificate one that this server takes?",
        }
    }
}

/// Why no answer came.
#[derive(Debug)]
pub struct TransportError {
    /// What kind of failure.
    pub kind: TransportErrorKind,
    /// The guilty one: the server, as `https://host:port`, or the proxy before it, as `the proxy
    /// http://host:port`; never a path, a query or a credential.
    pub endpoint: String,
    /// What happened, a fragment of a sentence.
    pub reason: String,
    /// What the operator can do about it.
    pub hint: Option<String>,
    /// The failure below, where it says more than `reason`.
    pub source: Option<BodyError>,
}

/// Kinds of [`TransportError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TransportErrorKind {
    /// The request's own body failed; the server is not guilty. A retry needs a new body.
    Body,
    /// No connection: the name, the route, the port or the proxy. A retry can help.
    Connect,
    /// The connection broke before the answer was complete. A retry can help.
    Interrupted,
    /// The server broke the protocol, or the request can't be written. A retry can't help.
    Protocol,
    /// The proxy does not let us through. A retry can't help.
    Refused,
    /// Nothing came for too long. A retry can help.
    Timeout,
    /// The handshake or the verification failed. Nothing was sent; a retry can't help.
    Tls,
}

impl TransportErrorKind {
    /// Whether the same request may succeed later without anybody changing anything.
    pub fn is_retryable(self) -> bool {
        matches!(self, Self::Connect | Self::Interrupted | Self::Timeout)
    }
}

impl fmt::Display for TransportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.kind {
            TransportErrorKind::Body => "the data for",
            TransportErrorKind::Connect | TransportErrorKind::Refused => "cannot connect to",
            TransportErrorKind::Interrupted => "the connection broke with",
            TransportErrorKind::Protocol => "no HTTP with",
            TransportErrorKind::Timeout => "no answer from",
            TransportErrorKind::Tls => "cannot trust",
        };
        write!(f, "{what} {}: {}", self.endpoint, self.reason)
    }
}

impl Error for TransportError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}
