//! The HTTP client: hyper's connection pool over this crate's connector, with timeouts on silence.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::{self, StreamExt};
use glance_core::body::Body;
use glance_core::error::BodyError;
use glance_core::transport::{Transport, TransportError, TransportErrorKind};
use http::{Request, Response, StatusCode, Uri, header};
use hyper_util::client::legacy::{self, Client};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::time::{Instant, timeout, timeout_at};

use crate::address::endpoint;
use crate::connector::Connector;
use crate::exchange::{Exchange, Over};
use crate::failure::{explain, failure, innermost};
use crate::options::ClientOptions;
use crate::proxy::Proxy;
use crate::tls::{HandshakeError, Inspection, TlsBackend};

/// A [`Transport`] over hyper, with the TLS library of `B`.
#[derive(Debug)]
pub struct HyperTransport<B: TlsBackend> {
    client: Client<Connector<B>, Body>,
    connector: Connector<B>,
    options: ClientOptions,
}

impl<B: TlsBackend> HyperTransport<B> {
    /// Creates a client whose TLS connections are made by `backend`.
    pub fn new(backend: B, options: ClientOptions) -> Self {
        let connector = Connector {
            backend: Arc::new(backend),
            proxies: Arc::new(options.proxies.clone()),
            patience: options.connect_timeout,
        };
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(POOL_IDLE)
            .http1_read_buf_exact_size(CHUNK)
            // Safe although a body can be read only once: hyper retries only requests that it has
            // not begun to send.
            .retry_canceled_requests(true)
            .build(connector.clone());
        Self { client, connector, options }
    }

    /// Connects to the server of `url` once, outside the pool, and reports what the connection
    /// shows.
    pub async fn inspect(&self, url: &Uri) -> Inspection {
        match self.connector.open(url).await {
            Ok(wire) => {
                let chain = wire.session.as_ref().map(|session| session.chain.clone());
                let chain = chain.unwrap_or_default();
                Inspection { chain, at_fault: None, verdict: Ok(wire.session) }
            }
            Err(refusal) => {
                let HandshakeError { error, chain, at_fault } = refusal;
                Inspection { chain, at_fault, verdict: Err(error) }
            }
        }
    }
}

#[async_trait]
impl<B: TlsBackend> Transport for HyperTransport<B> {
    async fn send(&self, mut request: Request<Body>) -> Result<Response<Body>, TransportError> {
        let endpoint = endpoint(request.uri());
        tracing::debug!("{} {endpoint}{}", request.method(), request.uri().path());
        let forwarder = self.forwarder(request.uri());
        if let Some(credentials) = forwarder.and_then(|proxy| proxy.credentials.clone()) {
            request.headers_mut().insert(header::PROXY_AUTHORIZATION, credentials);
        }
        let exchange = Exchange::new();
        let request = request.map(|body| match body.size() {
            Some(0) => body,
            _ => exchange.body(body),
        });
        if request.body().size() == Some(0) {
            exchange.sent();
        }
        let answer = pin!(self.client.request(request));
        let answer = self.patiently(answer, &exchange, &endpoint).await?;
        tracing::debug!("{} from {endpoint}", answer.status());
        if let (StatusCode::PROXY_AUTHENTICATION_REQUIRED, Some(proxy)) =
            (answer.status(), forwarder)
        {
            return Err(proxy.refusal(answer.status(), &endpoint));
        }
        let limit = self.options.idle_timeout;
        let over = exchange.answered();
        Ok(answer.map(|body| impatient(Body::from_http(body), limit, endpoint, over)))
    }
}

impl<B: TlsBackend> HyperTransport<B> {
    /// The proxy that forwards the request. For https servers there is none: a proxy only tunnels.
    fn forwarder(&self, uri: &Uri) -> Option<&Proxy> {
        match uri.scheme_str() {
            Some("https") => None,
            _ => self.options.proxies.before(uri),
        }
    }

    /// Waits for the response head; fails with a timeout when the exchange is silent for too long.
    async fn patiently<T>(
        &self,
        mut answer: Pin<&mut impl Future<Output = Result<T, legacy::Error>>>,
        exchange: &Exchange,
        endpoint: &str,
    ) -> Result<T, TransportError> {
        loop {
            let (due, limit) = exchange.due(&self.options);
            match timeout_at(due, answer.as_mut()).await {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(error)) => return Err(explain(&error, exchange.failure(), endpoint)),
                Err(_elapsed) if exchange.due(&self.options).0 > Instant::now() => {}
                Err(_elapsed) => {
                    let reason = format!("no data for {} s", limit.as_secs());
                    return Err(failure(TransportErrorKind::Timeout, reason, endpoint));
                }
            }
        }
    }
}

/// Wraps a response body: reading fails when no bytes arrive within `limit`.
fn impatient(body: Body, limit: Duration, endpoint: String, over: Over) -> Body {
    let size = body.size();
    let chunks =
        stream::try_unfold((body, endpoint, over), move |(mut body, endpoint, over)| async move {
            let failure = |kind, reason| BodyError::from(failure(kind, reason, &endpoint));
            match timeout(limit, body.next()).await {
                Err(_elapsed) => {
                    let reason = format!("no data for {} s", limit.as_secs());
                    Err(failure(TransportErrorKind::Timeout, reason))
                }
                Ok(Some(Err(error))) => {
                    Err(failure(TransportErrorKind::Interrupted, innermost(&*error)))
                }
                Ok(Some(Ok(chunk))) => Ok(Some((compact(chunk), (body, endpoint, over)))),
                Ok(None) => Ok::<Option<(Bytes, _)>, BodyError>(None),
            }
        });
    Body::from_stream(chunks, size)
}

/// Copies a chunk that fills little of its buffer. On slow links all chunks are small, and queued
/// data would otherwise hold many times its size in memory.
fn compact(chunk: Bytes) -> Bytes {
    match chunk.len() <= CHUNK / 4 {
        true => Bytes::copy_from_slice(&chunk),
        false => chunk,
    }
}

/// The maximum number of bytes of one read, and therefore of one chunk of a body.
const CHUNK: usize = 256 * 1024;

/// Below nginx's `keepalive_timeout` (75 s), so that this side closes idle connections first.
const POOL_IDLE: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use bytes::BytesMut;

    use super::*;

    /// The result of a read: `length` bytes in a buffer of `CHUNK` bytes.
    fn read(length: usize) -> Bytes {
        let mut buffer = BytesMut::zeroed(CHUNK);
        buffer.truncate(length);
        buffer.freeze()
    }

    /// The number of bytes of memory that a chunk holds.
    fn held(chunk: Bytes) -> usize {
        chunk.try_into_mut().expect("the only reference").capacity()
    }

    #[test]
    fn a_small_chunk_does_not_hold_the_buffer_it_was_read_into() {
        assert_eq!(held(read(1000)), CHUNK);
        assert_eq!(held(compact(read(1000))), 1000);
    }

    #[test]
    fn a_large_chunk_is_not_copied() {
        let chunk = read(CHUNK - 1);
        let address = chunk.as_ptr();
        assert_eq!(compact(chunk).as_ptr(), address);
    }
}
