//! The guarantees that most HTTP clients do not give, added to any client.

use std::future::Future;
use std::pin::{Pin, pin};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::{self, StreamExt};
use http::{Request, Response};
use tokio::time::{Instant, timeout, timeout_at};

use super::address::endpoint;
use super::failure::innermost;
use super::{Transport, TransportError, TransportErrorKind};
use crate::body::Body;
use crate::error::BodyError;

mod exchange;

use exchange::{Exchange, Over};

/// A transport with the guarantees of [`Transport`] about time, bodies and early responses, over a
/// client that gives only the others.
///
/// Most HTTP clients send requests and stream responses as the contract says, but do not notice
/// silence, and do not compare a body with its announced size. A transport over such a client
/// implements [`Transport`] without these guarantees, and wraps itself:
///
/// - **Time**: an exchange fails when neither side sends anything for the time of
///   [`IdleTimeouts`]. The client has no timeouts of its own, except for connecting.
/// - **Request body**: a body that fails, or that ends before or after its announced size, fails the
///   request with [`TransportErrorKind::Body`]. The client gets an error from the body, and must
///   then end the request without completing it.
/// - **Early responses**: a response before the end of the request body stops the body. When the
///   response has been read or dropped, the client gets an error from the body.
/// - **Response body**: each error is a [`TransportError`]. An error of another type becomes one of
///   the kind [`TransportErrorKind::Interrupted`], so the client must report a body that ends
///   before its announced size as an error. A small chunk does not hold the large buffer that it was
///   read into.
///
/// # Example
/// ```
/// use std::sync::Arc;
/// use std::time::Duration;
///
/// use async_trait::async_trait;
/// use glance_core::transport::{Guarded, IdleTimeouts};
/// use glance_core::{Body, Transport, TransportError};
/// use http::{Request, Response};
///
/// /// A client that never answers.
/// #[derive(Debug)]
/// struct Silent;
///
/// #[async_trait]
/// impl Transport for Silent {
///     async fn send(&self, _: Request<Body>) -> Result<Response<Body>, TransportError> {
///         std::future::pending().await
///     }
/// }
///
/// # tokio::runtime::Runtime::new()?.block_on(async {
/// let timeouts = IdleTimeouts { idle: Duration::from_millis(20), ..IdleTimeouts::default() };
/// let transport: Arc<dyn Transport> = Arc::new(Guarded::new(Silent, timeouts));
/// let request = Request::get("https://glance.example/").body(Body::empty())?;
/// let error = transport.send(request).await.map(drop).unwrap_err();
/// assert_eq!(error.to_string(), "no response from https://glance.example:443: no data for 0 s");
/// # Ok::<_, Box<dyn std::error::Error>>(()) })?;
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Guarded<T> {
    client: T,
    timeouts: IdleTimeouts,
}

/// How long the other side may be silent. There is no limit for a whole exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IdleTimeouts {
    /// Timeout without progress: for the server to accept the next bytes of a request or to send
    /// the next bytes of a response.
    pub idle: Duration,
    /// Timeout for the response after the last byte of uploaded data: a store may need long to
    /// commit an image. Values below `idle` have no effect.
    pub commit: Duration,
}

impl Default for IdleTimeouts {
    /// Five minutes, and an hour for the response to uploaded data.
    fn default() -> Self {
        Self { idle: Duration::from_secs(300), commit: Duration::from_secs(3600) }
    }
}

impl<T> Guarded<T> {
    /// Adds the guarantees to `client`.
    pub fn new(client: T, timeouts: IdleTimeouts) -> Self {
        Self { client, timeouts }
    }

    /// The client without the guarantees.
    pub fn client(&self) -> &T {
        &self.client
    }
}

#[async_trait]
impl<T: Transport> Transport for Guarded<T> {
    async fn send(&self, request: Request<Body>) -> Result<Response<Body>, TransportError> {
        let endpoint = endpoint(request.uri());
        tracing::debug!("{} {endpoint}{}", request.method(), request.uri().path());
        let exchange = Exchange::new();
        let request = request.map(|body| match body.size() {
            Some(0) => body,
            _ => exchange.body(body),
        });
        if request.body().size() == Some(0) {
            exchange.sent();
        }
        let answer = pin!(self.client.send(request));
        let answer = self.patiently(answer, &exchange, &endpoint).await?;
        tracing::debug!("{} from {endpoint}", answer.status());
        let limit = self.timeouts.idle;
        let over = exchange.answered();
        Ok(answer.map(|body| impatient(body, limit, endpoint, over)))
    }
}

impl<T> Guarded<T> {
    /// Waits for the response head; fails with a timeout when the exchange is silent for too long.
    async fn patiently(
        &self,
        mut answer: Pin<&mut impl Future<Output = Result<Response<Body>, TransportError>>>,
        exchange: &Exchange,
        endpoint: &str,
    ) -> Result<Response<Body>, TransportError> {
        loop {
            let (due, limit) = exchange.due(self.timeouts);
            match timeout_at(due, answer.as_mut()).await {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(error)) => {
                    let own = exchange.failure().map(|own| unreadable(own, endpoint));
                    return Err(own.unwrap_or(error));
                }
                Err(_elapsed) if exchange.due(self.timeouts).0 > Instant::now() => {}
                Err(_elapsed) => return Err(silent(limit, endpoint)),
            }
        }
    }
}

/// The error of a request whose own body failed.
fn unreadable(own: BodyError, endpoint: &str) -> TransportError {
    let reason = "the data cannot be read".to_owned();
    let error = TransportError::of_exchange(TransportErrorKind::Body, reason, endpoint);
    error.caused_by(own)
}

fn silent(limit: Duration, endpoint: &str) -> TransportError {
    let reason = format!("no data for {} s", limit.as_secs());
    TransportError::of_exchange(TransportErrorKind::Timeout, reason, endpoint)
}

/// Wraps a response body: reading fails when no bytes arrive within `limit`.
fn impatient(body: Body, limit: Duration, endpoint: String, over: Over) -> Body {
    let size = body.size();
    let chunks =
        stream::try_unfold((body, endpoint, over), move |(mut body, endpoint, over)| async move {
            match timeout(limit, body.next()).await {
                Err(_elapsed) => Err(BodyError::from(silent(limit, &endpoint))),
                Ok(Some(Err(error))) => Err(interrupted(error, &endpoint)),
                Ok(Some(Ok(chunk))) => Ok(Some((compact(chunk), (body, endpoint, over)))),
                Ok(None) => Ok(None),
            }
        });
    Body::from_stream(chunks, size)
}

/// The error of a response body, as a [`TransportError`].
fn interrupted(error: BodyError, endpoint: &str) -> BodyError {
    if error.is::<TransportError>() {
        return error;
    }
    let kind = TransportErrorKind::Interrupted;
    TransportError::of_exchange(kind, innermost(&*error), endpoint).into()
}

/// Copies a small chunk, which may fill little of the buffer that it was read into. On slow links
/// all chunks are small, and queued data would otherwise hold many times its size in memory.
fn compact(chunk: Bytes) -> Bytes {
    match chunk.len() <= SMALL {
        true => Bytes::copy_from_slice(&chunk),
        false => chunk,
    }
}

/// A quarter of the largest buffer that the clients of this project read into.
const SMALL: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use bytes::BytesMut;

    use super::*;

    const BUFFER: usize = 4 * SMALL;

    /// The result of a read: `length` bytes in a buffer of `BUFFER` bytes.
    fn read(length: usize) -> Bytes {
        let mut buffer = BytesMut::zeroed(BUFFER);
        buffer.truncate(length);
        buffer.freeze()
    }

    /// The number of bytes of memory that a chunk holds.
    fn held(chunk: Bytes) -> usize {
        chunk.try_into_mut().expect("the only reference").capacity()
    }

    #[test]
    fn a_small_chunk_does_not_hold_the_buffer_it_was_read_into() {
        assert_eq!(held(read(1000)), BUFFER);
        assert_eq!(held(compact(read(1000))), 1000);
    }

    #[test]
    fn a_large_chunk_is_not_copied() {
        let chunk = read(BUFFER - 1);
        let address = chunk.as_ptr();
        assert_eq!(compact(chunk).as_ptr(), address);
    }
}
