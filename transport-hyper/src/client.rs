//! The client: hyper's pool over our connections, with our limits on silence.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::{self, StreamExt};
use glance_core::body::{Body, BodyError};
use glance_core::transport::{Transport, TransportError, TransportErrorKind};
use http::{Request, Response};
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::time::timeout;

use crate::connector::{Connector, endpoint};
use crate::failure::{OwnBody, explain};
use crate::tls::TlsBackend;

/// Limits on waiting. There is none on the whole of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// For a connection, its handshake included.
    pub connect_timeout: Duration,
    /// For the next bytes of an answer.
    pub idle_timeout: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self { connect_timeout: Duration::from_secs(10), idle_timeout: Duration::from_secs(300) }
    }
}

/// A [`Transport`] over hyper, with the TLS library of `B`.
#[derive(Debug)]
pub struct HyperTransport<B: TlsBackend> {
    client: Client<Connector<B>, Body>,
    options: Options,
}

impl<B: TlsBackend> HyperTransport<B> {
    /// A client that makes its TLS connections with `backend`.
    pub fn new(backend: B, options: Options) -> Self {
        let connector = Connector { backend: Arc::new(backend), patience: options.connect_timeout };
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(POOL_IDLE)
            // A body passes once. hyper would repeat only what was not begun, but its caller
            // counts the attempts.
            .retry_canceled_requests(true)
            .build(connector);
        Self { client, options }
    }
}

#[async_trait]
impl<B: TlsBackend> Transport for HyperTransport<B> {
    async fn send(&self, request: Request<Body>) -> Result<Response<Body>, TransportError> {
        let endpoint = endpoint(request.uri());
        tracing::debug!("{} {endpoint}{}", request.method(), request.uri().path());
        let request = request.map(marked);
        let answer = self.client.request(request).await;
        let answer = answer.map_err(|error| explain(&error, &endpoint))?;
        tracing::debug!("{} from {endpoint}", answer.status());
        let limit = self.options.idle_timeout;
        Ok(answer.map(|body| impatient(Body::from_http(body), limit, endpoint)))
    }
}

/// The body, with its failure marked as its own.
fn marked(body: Body) -> Body {
    let size = body.size();
    let chunks = body.map(|chunk| chunk.map_err(|error| BodyError::from(OwnBody(error))));
    Body::from_stream(chunks, size)
}

/// The body, failing when nothing comes for too long.
fn impatient(body: Body, limit: Duration, endpoint: String) -> Body {
    let size = body.size();
    let chunks = stream::try_unfold((body, endpoint), move |(mut body, endpoint)| async move {
        let failure = |kind, reason| {
            let endpoint = endpoint.clone();
            BodyError::from(TransportError { kind, endpoint, reason, hint: None, source: None })
        };
        match timeout(limit, body.next()).await {
            Err(_elapsed) => {
                let reason = format!("nothing came for {} s", limit.as_secs());
                Err(failure(TransportErrorKind::Timeout, reason))
            }
            Ok(Some(Err(error))) => {
                Err(failure(TransportErrorKind::Interrupted, innermost(&*error)))
            }
            Ok(Some(Ok(chunk))) => Ok(Some((chunk, (body, endpoint)))),
            Ok(None) => Ok::<Option<(Bytes, _)>, BodyError>(None),
        }
    });
    Body::from_stream(chunks, size)
}

fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let chain = std::iter::successors(Some(error), |error| error.source());
    chain.last().map(ToString::to_string).unwrap_or_default()
}

/// Below nginx's `keepalive_timeout` (75 s), so that we end idle connections before the server does.
const POOL_IDLE: Duration = Duration::from_secs(60);
