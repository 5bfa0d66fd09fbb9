//! Transports for tests: one that answers from a script, and one that records what passes.
//!
//! ```
//! use std::sync::Arc;
//!
//! use glance_core::testing::{RecordingTransport, ScriptedTransport, answer};
//! use glance_core::transport::TransportErrorKind;
//! use glance_core::{Body, Transport};
//! use http::Request;
//!
//! # tokio::runtime::Runtime::new()?.block_on(async {
//! let script = ScriptedTransport::new([answer(503, "maintenance"), answer(200, "[]")]);
//! let transport = RecordingTransport::new(Arc::new(script));
//! for status in [503, 200] {
//!     let request = Request::get("https://glance.example/v2/images").body(Body::empty())?;
//!     assert_eq!(transport.send(request).await?.status(), status);
//! }
//! let request = Request::put("https://glance.example/v2/images/1/file");
//! let request = request.body(Body::from(bytes::Bytes::from_static(b"data")))?;
//! // The script has ended.
//! assert_eq!(transport.send(request).await.unwrap_err().kind, TransportErrorKind::Protocol);
//!
//! let exchanges = transport.exchanges();
//! assert_eq!(exchanges.len(), 3);
//! assert_eq!((exchanges[2].method.as_str(), &exchanges[2].sent[..]), ("PUT", &b"data"[..]));
//! # Ok::<_, Box<dyn std::error::Error + Send + Sync>>(()) })?;
//! # Ok::<_, Box<dyn std::error::Error + Send + Sync>>(())
//! ```

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt;
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri};

use crate::body::Body;
use crate::transport::{Transport, TransportError, TransportErrorKind};

/// What a transport returns for a request.
pub type Answer = Result<Response<Body>, TransportError>;

/// A response with this status and body. A status that HTTP does not have becomes 500.
pub fn answer(status: u16, body: impl Into<Bytes>) -> Answer {
    let mut response = Response::new(Body::from(body.into()));
    *response.status_mut() =
        StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    Ok(response)
}

/// The failure of a request: no response from `https://scripted`.
pub fn failure(kind: TransportErrorKind, reason: &str) -> Answer {
    Err(TransportError::new(kind, "https://scripted", reason))
}

/// A transport that reads each request to its end, and answers the requests in their order. After the
/// last answer, requests fail with [`TransportErrorKind::Protocol`]. Clones share the script.
#[derive(Clone)]
pub struct ScriptedTransport {
    answers: Arc<Mutex<VecDeque<Answer>>>,
}

impl ScriptedTransport {
    /// A transport that gives these answers.
    pub fn new(answers: impl IntoIterator<Item = Answer>) -> Self {
        Self { answers: Arc::new(Mutex::new(answers.into_iter().collect())) }
    }

    /// The number of answers that were not given yet.
    pub fn remaining(&self) -> usize {
        locked(&self.answers).len()
    }
}

#[async_trait]
impl Transport for ScriptedTransport {
    async fn send(&self, request: Request<Body>) -> Result<Response<Body>, TransportError> {
        let (parts, mut body) = request.into_parts();
        while let Some(chunk) = body.next().await {
            if let Err(error) = chunk {
                let kind = TransportErrorKind::Body;
                let failed = TransportError::new(kind, "https://scripted", "the body failed");
                return Err(failed.caused_by(error));
            }
        }
        let next = locked(&self.answers).pop_front();
        next.unwrap_or_else(|| {
            let request = format!("{} {}", parts.method, parts.uri.path());
            failure(TransportErrorKind::Protocol, &format!("the script has no answer to {request}"))
        })
    }
}

impl fmt::Debug for ScriptedTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let remaining = self.remaining();
        f.debug_struct("ScriptedTransport").field("remaining", &remaining).finish_non_exhaustive()
    }
}

/// A request and its outcome. `Debug` shows neither headers nor data, which may be secret.
#[derive(Clone)]
#[non_exhaustive]
pub struct Exchange {
    /// The method.
    pub method: Method,
    /// The absolute URI.
    pub uri: Uri,
    /// The headers of the request, before the transport adds its own.
    pub headers: HeaderMap,
    /// The bytes of the request's body, as far as the transport has read them.
    pub sent: Bytes,
    /// The status of the response, or the kind of the error; `None` while the response is awaited.
    pub outcome: Option<Result<StatusCode, TransportErrorKind>>,
}

impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {:?}", self.method, self.uri.path(), self.outcome)
    }
}

/// A transport that records the requests to another one, with their bodies in memory. Clones share
/// the record.
#[derive(Debug, Clone)]
pub struct RecordingTransport {
    inner: Arc<dyn Transport>,
    exchanges: Arc<Mutex<Vec<Recorded>>>,
}

#[derive(Debug)]
struct Recorded {
    exchange: Exchange,
    sent: Arc<Mutex<Vec<u8>>>,
}

impl RecordingTransport {
    /// Records the requests that `inner` sends.
    pub fn new(inner: Arc<dyn Transport>) -> Self {
        Self { inner, exchanges: Arc::default() }
    }

    /// All requests so far, in the order in which they were sent.
    pub fn exchanges(&self) -> Vec<Exchange> {
        let with_data = |Recorded { exchange, sent }: &Recorded| {
            let sent = Bytes::copy_from_slice(&locked(sent));
            Exchange { sent, ..exchange.clone() }
        };
        locked(&self.exchanges).iter().map(with_data).collect()
    }

    /// Notes a request, and returns its number.
    fn begin(&self, request: &Request<Body>, sent: &Arc<Mutex<Vec<u8>>>) -> usize {
        let exchange = Exchange {
            method: request.method().clone(),
            uri: request.uri().clone(),
            headers: request.headers().clone(),
            sent: Bytes::new(),
            outcome: None,
        };
        let mut exchanges = locked(&self.exchanges);
        exchanges.push(Recorded { exchange, sent: Arc::clone(sent) });
        exchanges.len() - 1
    }
}

#[async_trait]
impl Transport for RecordingTransport {
    async fn send(&self, request: Request<Body>) -> Result<Response<Body>, TransportError> {
        let sent = Arc::default();
        let number = self.begin(&request, &sent);
        let answer = self.inner.send(request.map(|body| copied(body, sent))).await;
        let outcome = match &answer {
            Ok(response) => Ok(response.status()),
            Err(error) => Err(error.kind),
        };
        locked(&self.exchanges)[number].exchange.outcome = Some(outcome);
        answer
    }
}

/// The same body, whose bytes are added to `sent` when they are read.
fn copied(body: Body, sent: Arc<Mutex<Vec<u8>>>) -> Body {
    body.watched(move |chunk| locked(&sent).extend_from_slice(chunk))
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
