//! The HTTP client: hyper's connection pool over this crate's connector.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use glance_core::body::Body;
use glance_core::transport::address::endpoint;
use glance_core::transport::{Guarded, IdleTimeouts, Transport, TransportError};
use http::{Request, Response, StatusCode, Uri, header};
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};

use crate::connector::Connector;
use crate::failure::explain;
use crate::options::ClientOptions;
use crate::proxy::{Proxies, Proxy};
use crate::tls::{HandshakeError, Inspection, TlsBackend};

/// A [`Transport`] over hyper, with the TLS library of `B`.
#[derive(Debug)]
pub struct HyperTransport<B: TlsBackend>(Guarded<Pool<B>>);

/// Sends requests over hyper's pool of connections.
#[derive(Debug)]
struct Pool<B: TlsBackend> {
    client: Client<Connector<B>, Body>,
    connector: Connector<B>,
}

impl<B: TlsBackend> HyperTransport<B> {
    /// Creates a client whose TLS connections are made by `backend`.
    pub fn new(backend: B, options: ClientOptions) -> Self {
        let connector = Connector {
            backend: Arc::new(backend),
            proxies: Arc::new(options.proxies),
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
        let timeouts = IdleTimeouts { idle: options.idle_timeout, commit: options.commit_timeout };
        Self(Guarded::new(Pool { client, connector }, timeouts))
    }

    /// Connects to the server of `url` once, outside the pool, and reports what the connection
    /// shows.
    pub async fn inspect(&self, url: &Uri) -> Inspection {
        match self.0.client().connector.open(url).await {
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
    async fn send(&self, request: Request<Body>) -> Result<Response<Body>, TransportError> {
        self.0.send(request).await
    }
}

#[async_trait]
impl<B: TlsBackend> Transport for Pool<B> {
    async fn send(&self, mut request: Request<Body>) -> Result<Response<Body>, TransportError> {
        let endpoint = endpoint(request.uri());
        let forwarder = forwarder(&self.connector.proxies, request.uri());
        if let Some(credentials) = forwarder.and_then(|proxy| proxy.credentials.clone()) {
            request.headers_mut().insert(header::PROXY_AUTHORIZATION, credentials);
        }
        let answer = self.client.request(request).await;
        let answer = answer.map_err(|error| explain(&error, &endpoint))?;
        match (answer.status(), forwarder) {
            (status @ StatusCode::PROXY_AUTHENTICATION_REQUIRED, Some(proxy)) => {
                Err(proxy.refusal(status, &endpoint))
            }
            _ => Ok(answer.map(Body::from_http)),
        }
    }
}

/// The proxy that forwards the request. For https servers there is none: a proxy only tunnels.
fn forwarder<'a>(proxies: &'a Proxies, uri: &Uri) -> Option<&'a Proxy> {
    match uri.scheme_str() {
        Some("https") => None,
        _ => proxies.before(uri),
    }
}

/// The maximum number of bytes of one read, and therefore of one chunk of a body.
const CHUNK: usize = 256 * 1024;

/// Below nginx's `keepalive_timeout` (75 s), so that this side closes idle connections first.
const POOL_IDLE: Duration = Duration::from_secs(60);
