//! HTTP transports: the [`Transport`] trait, and wrappers that identify the caller ([`RequestIdentity`]),
//! retry requests (`Retrying`, Cargo feature `clock`) and limit their rate ([`RateLimited`]). [`Guarded`]
//! makes a transport of an ordinary HTTP client.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use http::{Request, Response};

use crate::body::Body;
use crate::error::BodyError;

pub mod address;
pub mod backoff;
#[cfg(feature = "clock")]
mod circuit_breaker;
pub mod failure;
mod guarded;
mod optional;
mod rate_limit;
mod request_id;
#[cfg(feature = "clock")]
mod retry;
#[cfg(feature = "clock")]
mod retry_after;
mod tls_failure;

pub use guarded::{Guarded, IdleTimeouts};
pub use optional::{Optional, briefly};
pub use rate_limit::RateLimited;
pub use request_id::{RequestIdentity, request_id};
#[cfg(feature = "clock")]
pub use retry::{
    Idempotent, RequestedFor, RetryCount, RetryLimit, RetryNotice, RetryObserver, RetryPolicy,
    Retrying,
};
pub use tls_failure::TlsFailure;

/// Sends HTTP requests to servers whose certificates it verifies.
///
/// # Contract
/// - **Request**: the URI is absolute (`https` or `http`). The transport adds what the protocol
///   needs (`Host`, `Content-Length` from [`Body::size`], or chunked encoding) and nothing else: it
///   adds no tokens, follows no redirects and decodes no content. It may add `Accept: */*`, which
///   means the same as no such header (RFC 9110, section 12.5.1). A transport may skip reading a
///   body whose size is 0; the caller checks such a body first ([`Body::proven_if_empty`]).
/// - **Response**: a response with any status is `Ok`, including 404 and 503. An error means that
///   no complete response head arrived. The response's body streams: apart from a fixed buffer, the
///   transport reads no byte of it before the caller asks for it.
/// - **Errors of a response's body**: each is a [`TransportError`] itself, not an error with a
///   [`TransportError`] among its causes. Its kind decides whether a caller requests the rest of the
///   data. A body that ends before its announced size yields an error, too.
/// - **Client certificate**: if the server asked for a client certificate on a connection, the
///   extensions of every response over that connection contain a [`ClientCertificate`]; otherwise,
///   they contain none. A caller needs the value to explain a refusal by a status code. A transport
///   that cannot tell whether the server asked adds none, and its documentation says so.
/// - **Server certificate**: over `https`, the extensions of every response contain the
///   [`ServerCertificate`]. Reports and metrics show when the certificate expires.
/// - **Verification**: over `https`, the transport writes nothing of a request before it has
///   verified the server's certificate for the URI's host. No setting disables this check.
/// - **Retry**: a transport may send a request again if it has not polled the request's body and no
///   byte of the request reached the server. `Retrying` also sends a request again if its body
///   is [repeatable](Body::again) and a second request is harmless. All other retries are up to the
///   caller.
/// - **Time**: connecting and silence have time limits; the exchange as a whole has none.
/// - **Cancel**: dropping the future or the response's body ends the exchange. A request body that
///   is cut short is never terminated as if it were complete.
/// - **Early responses**: a response that arrives before the request's body has been sent ends the
///   sending.
///
/// [`Guarded`] adds the guarantees that most HTTP clients lack. `glance_core::conformance::transport`
/// (Cargo feature `conformance`) tests all of them for any transport; the guide
/// `docs/write-a-transport.md` has an example.
///
/// # Example
/// A transport that answers every request itself, as a test needs it, and a request over it:
/// ```
/// use async_trait::async_trait;
/// use glance_core::{Body, Transport, TransportError};
/// use http::{Request, Response, StatusCode};
///
/// #[derive(Debug)]
/// struct AlwaysNotFound;
///
/// #[async_trait]
/// impl Transport for AlwaysNotFound {
///     async fn send(&self, _: Request<Body>) -> Result<Response<Body>, TransportError> {
///         let mut response = Response::new(Body::from(bytes::Bytes::from_static(b"no image")));
///         *response.status_mut() = StatusCode::NOT_FOUND;
///         Ok(response)
///     }
/// }
///
/// # tokio::runtime::Runtime::new()?.block_on(async {
/// let request = Request::get("https://glance.example/v2/images/1").body(Body::empty())?;
/// // A status such as 404 is a response, not an error.
/// let response = AlwaysNotFound.send(request).await?;
/// assert_eq!(response.status(), StatusCode::NOT_FOUND);
/// assert_eq!(response.into_body().collect(1024).await?, "no image");
/// # Ok::<_, Box<dyn std::error::Error + Send + Sync>>(()) })?;
/// # Ok::<_, Box<dyn std::error::Error + Send + Sync>>(())
/// ```
#[async_trait]
pub trait Transport: fmt::Debug + Send + Sync {
    /// Sends one request and waits for the head of the response. See the
    /// [example](Transport#example).
    ///
    /// # Errors
    /// [`TransportErrorKind::Body`] when the request's own body failed; the body's error is the
    /// source. See [`TransportErrorKind`] for the other kinds.
    async fn send(&self, request: Request<Body>) -> Result<Response<Body>, TransportError>;
}

/// Whether the client sent a certificate that the server asked for. A [`Transport`] adds this value
/// to the extensions of a response if the server asked: some servers accept every connection and
/// report a missing certificate by a status code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientCertificate {
    /// The server asked for a certificate, and none is configured.
    Missing,
    /// The client sent its certificate.
    Shown,
}

impl ClientCertificate {
    /// What the operator can do if the server then refuses a request.
    pub fn hint(self) -> &'static str {
        match self {
            Self::Missing => {
                "pass a client certificate with --cert FILE and --key FILE: the server asked for one"
            }
            Self::Shown => "use a client certificate that this server accepts",
        }
    }
}

/// The certificate of the server, as DER. A [`Transport`] adds this value to the extensions of every
/// response over `https`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerCertificate(pub Arc<[u8]>);

/// The reason why a request got no response.
#[derive(Debug, thiserror::Error)]
#[error("{} {endpoint}: {reason}", kind.failure())]
#[non_exhaustive]
pub struct TransportError {
    /// The kind of failure.
    pub kind: TransportErrorKind,
    /// The server that failed, as `https://host:port`, or the proxy in front of it, as `the proxy
    /// http://host:port`. Never contains a path, a query or a credential.
    pub endpoint: String,
    /// What happened, as a fragment of a sentence.
    pub reason: String,
    /// What the operator can do about it.
    pub hint: Option<String>,
    /// The underlying error, where it says more than `reason`.
    pub source: Option<BodyError>,
}

impl TransportError {
    /// An error without a hint and a source. `endpoint` must not contain a path, a query or a
    /// credential.
    pub fn new(
        kind: TransportErrorKind,
        endpoint: impl Into<String>,
        reason: impl Into<String>,
    ) -> Self {
        let (endpoint, reason) = (endpoint.into(), reason.into());
        Self { kind, endpoint, reason, hint: None, source: None }
    }

    /// Adds what the operator can do about it.
    #[must_use]
    pub fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    /// Adds the underlying error.
    #[must_use]
    pub fn caused_by(self, source: impl Into<BodyError>) -> Self {
        Self { source: Some(source.into()), ..self }
    }

    /// What happened, in a few words, such as `certificate expired`; for the first line of a
    /// message that shows the whole error below it.
    pub fn headline(&self) -> Cow<'_, str> {
        let what: Cow<'_, str> = match self.kind {
            TransportErrorKind::Tls(failure) => failure.to_string().into(),
            TransportErrorKind::Interrupted => "connection lost".into(),
            TransportErrorKind::Protocol => "the response is not HTTP".into(),
            TransportErrorKind::Body
            | TransportErrorKind::Connect
            | TransportErrorKind::Refused
            | TransportErrorKind::Timeout => self.reason.as_str().into(),
        };
        // The server itself may be fine.
        match self.endpoint.starts_with("the proxy ") {
            true => format!("{}: {what}", self.endpoint).into(),
            false => what,
        }
    }
}

/// Kinds of [`TransportError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TransportErrorKind {
    /// The request's own body failed; the server is not at fault. A retry needs a new body.
    Body,
    /// No connection: name resolution, the route, the port or the proxy failed. A retry can help.
    Connect,
    /// The connection broke before the response was complete. A retry can help.
    Interrupted,
    /// The server violated the protocol, or the request cannot be encoded. A retry cannot help.
    Protocol,
    /// The proxy refused the connection. A retry cannot help.
    Refused,
    /// No data arrived within the time limit. A retry can help.
    Timeout,
    /// The TLS handshake or the certificate verification failed. Nothing was sent; a retry cannot
    /// help.
    Tls(TlsFailure),
}

impl TransportErrorKind {
    /// Whether the same request may succeed later without any change by the operator.
    pub fn is_retryable(self) -> bool {
        matches!(self, Self::Connect | Self::Interrupted | Self::Timeout)
    }

    /// What failed, before the name of the server.
    fn failure(self) -> &'static str {
        match self {
            Self::Body => "cannot send data to",
            Self::Connect | Self::Refused => "cannot connect to",
            Self::Interrupted => "lost the connection to",
            Self::Protocol => "invalid HTTP response from",
            Self::Timeout => "no response from",
            Self::Tls(failure) if failure.is_before_trust() => "no TLS connection to",
            Self::Tls(_) => "cannot trust",
        }
    }
}
