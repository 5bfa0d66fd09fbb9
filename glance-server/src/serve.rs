//! Serves an API on a listener.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bytes::Bytes;
use glance_core::body::Body;
use glance_core::{Transport, TransportError};
use http::header::{CONNECTION, EXPECT, HOST, HeaderValue};
use http::uri::{Authority, PathAndQuery, Scheme, Uri};
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use transport_hyper::{Io, TlsAcceptor};

use crate::lingering::Lingering;
use crate::watched::{Watched, watched};

/// Limits on the resources that clients may use.
#[derive(Debug, Clone, Copy)]
pub struct ServerLimits {
    /// Maximum number of open connections. Further ones are accepted when others close.
    pub connections: usize,
    /// Maximum number of requests per connection. The connection is closed after the last.
    pub requests: u32,
    /// Timeout for a handshake, for the head of a request, and for the next request on a
    /// connection.
    pub head: Duration,
    /// Timeout for a client that sends nothing in the middle of a request body, or reads nothing of
    /// a response.
    pub silence: Duration,
}

impl Default for ServerLimits {
    fn default() -> Self {
        let (head, silence) = (Duration::from_secs(30), Duration::from_secs(60));
        Self { connections: 256, requests: 1000, head, silence }
    }
}

/// Answers the connections of `listener` with `api`, each in its own task, until `shutdown`
/// resolves. Requests in progress then get some seconds to finish. Without an `acceptor`, the
/// server speaks plain HTTP. Uses the default [`ServerLimits`].
///
/// # Errors
/// If the address of the listener cannot be read. Errors of a connection end that connection only.
pub async fn serve(
    listener: TcpListener,
    acceptor: Option<Arc<dyn TlsAcceptor>>,
    api: Arc<dyn Transport>,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    serve_within(ServerLimits::default(), listener, acceptor, api, shutdown).await
}

/// Like [`serve`], with the given limits.
///
/// # Errors
/// If the address of the listener cannot be read. Errors of a connection end that connection only.
pub async fn serve_within(
    limits: ServerLimits,
    listener: TcpListener,
    acceptor: Option<Arc<dyn TlsAcceptor>>,
    api: Arc<dyn Transport>,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    let scheme = if acceptor.is_some() { Scheme::HTTPS } else { Scheme::HTTP };
    let local =
        Authority::try_from(listener.local_addr()?.to_string()).map_err(io::Error::other)?;
    let site = Arc::new(Site { limits, acceptor, api, scheme, local });
    let free = Arc::new(Semaphore::new(limits.connections));
    let graceful = GracefulShutdown::new();
    let mut tasks = JoinSet::new();
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        tokio::select! {
            () = &mut shutdown => break,
            Some(_) = tasks.join_next(), if !tasks.is_empty() => {}
            accepted = accept(&listener, &free) => match accepted {
                Ok((tcp, permit)) => {
                    let connection = Arc::clone(&site).connection(tcp, graceful.watcher());
                    tasks.spawn(async move {
                        connection.await;
                        drop(permit);
                    });
                }
                Err(error) => {
                    // Out of file descriptors, for example: some will be freed soon.
                    tracing::debug!(%error, "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
    drop(listener);
    // Connections still open after the grace period are aborted when `tasks` is dropped.
    let _ = tokio::time::timeout(GRACE, graceful.shutdown()).await;
    Ok(())
}

/// Waits for a free connection slot, then accepts a connection.
async fn accept(
    listener: &TcpListener,
    free: &Arc<Semaphore>,
) -> io::Result<(TcpStream, OwnedSemaphorePermit)> {
    let permit = Arc::clone(free).acquire_owned().await.map_err(io::Error::other)?;
    let (tcp, _) = listener.accept().await?;
    Ok((tcp, permit))
}

/// State shared by all connections.
struct Site {
    limits: ServerLimits,
    acceptor: Option<Arc<dyn TlsAcceptor>>,
    api: Arc<dyn Transport>,
    scheme: Scheme,
    /// Replaces the host if a request names none.
    local: Authority,
}

impl Site {
    async fn connection(self: Arc<Self>, tcp: TcpStream, watcher: Watcher) {
        let io = match self.handshake(tcp).await {
            Ok(io) => io,
            Err(error) => {
                tracing::debug!(%error, "a handshake failed");
                return;
            }
        };
        let limits = self.limits;
        let count = Arc::new(AtomicU32::new(0));
        let service = service_fn(move |request| {
            let (site, count) = (Arc::clone(&self), Arc::clone(&count));
            async move {
                let mut answer = site.answer(request).await?;
                if count.fetch_add(1, Ordering::Relaxed) + 1 >= limits.requests {
                    answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
                }
                Ok::<_, TransportError>(answer)
            }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(limits.head)
            .max_buf_size(MAX_HEAD)
            .serve_connection(TokioIo::new(Watched::new(io, limits.silence)), service);
        if let Err(error) = watcher.watch(connection).await {
            tracing::debug!(%error, "a connection broke");
        }
    }

    async fn handshake(&self, tcp: TcpStream) -> io::Result<Box<dyn Io>> {
        // Send small responses immediately (no Nagle's algorithm).
        tcp.set_nodelay(true)?;
        match &self.acceptor {
            None => Ok(Box::new(tcp)),
            Some(acceptor) => tokio::time::timeout(self.limits.head, acceptor.accept(tcp)).await?,
        }
    }

    async fn answer(&self, request: Request<Incoming>) -> Result<Response<Body>, TransportError> {
        let (mut parts, body) = request.into_parts();
        let host = parts.headers.get(HOST).map(|host| Authority::try_from(host.as_bytes()));
        let Ok(authority) = host.unwrap_or_else(|| Ok(self.local.clone())) else {
            return Ok(bad_request());
        };
        let path = parts.uri.path_and_query().cloned();
        let uri = Uri::builder()
            .scheme(self.scheme.clone())
            .authority(authority)
            .path_and_query(path.unwrap_or_else(|| PathAndQuery::from_static("/")))
            .build();
        let Ok(uri) = uri else {
            return Ok(bad_request());
        };
        parts.uri = uri;
        // An error here closes the connection, as no response would be truthful.
        let expecting = parts.headers.contains_key(EXPECT);
        let body = Body::from_http(Lingering::new(body, expecting));
        self.api.send(Request::from_parts(parts, watched(body, self.limits.silence))).await
    }
}

fn bad_request() -> Response<Body> {
    let mut response = Response::new(Body::from(Bytes::from_static(b"no valid host and path\n")));
    *response.status_mut() = StatusCode::BAD_REQUEST;
    response
}

/// Maximum bytes of a request head; a longer one is answered with 431. A head up to about twice as
/// long may pass, if hyper gets it in one read.
const MAX_HEAD: usize = 256 << 10;

/// How long requests in progress may continue after the shutdown.
const GRACE: Duration = Duration::from_secs(10);

/// The pause after a failed accept.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
