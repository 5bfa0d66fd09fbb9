//! Puts an API behind a listener.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use glance_core::body::Body;
use glance_core::{Transport, TransportError};
use http::header::{EXPECT, HOST};
use http::uri::{Authority, PathAndQuery, Scheme, Uri};
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::{Body as _, Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::task::JoinSet;
use transport_hyper::{Io, TlsAcceptor};

/// Answers the connections of `listener` by `api`, each on a task of its own, until `shutdown`;
/// then lets the requests in progress end for some seconds. Without an `acceptor` it speaks plain
/// HTTP.
///
/// # Errors
/// When the listener is no listener. A failed connection ends alone.
pub async fn serve(
    listener: TcpListener,
    acceptor: Option<Arc<dyn TlsAcceptor>>,
    api: Arc<dyn Transport>,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    let scheme = if acceptor.is_some() { Scheme::HTTPS } else { Scheme::HTTP };
    let local =
        Authority::try_from(listener.local_addr()?.to_string()).map_err(io::Error::other)?;
    let site = Arc::new(Site { acceptor, api, scheme, local });
    let graceful = GracefulShutdown::new();
    let mut tasks = JoinSet::new();
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        tokio::select! {
            () = &mut shutdown => break,
            Some(_) = tasks.join_next(), if !tasks.is_empty() => {}
            accepted = listener.accept() => match accepted {
                Ok((tcp, _)) => {
                    tasks.spawn(Arc::clone(&site).connection(tcp, graceful.watcher()));
                }
                Err(error) => {
                    // Out of file descriptors, say: some will be free soon.
                    tracing::debug!(%error, "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
    drop(listener);
    // Who is not done by then is cut off when `tasks` is dropped.
    let _ = tokio::time::timeout(GRACE, graceful.shutdown()).await;
    Ok(())
}

/// What all connections share.
struct Site {
    acceptor: Option<Arc<dyn TlsAcceptor>>,
    api: Arc<dyn Transport>,
    scheme: Scheme,
    /// Stands in for the host where a client names none.
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
        let service = service_fn(move |request| {
            let site = Arc::clone(&self);
            async move { site.answer(request).await }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIMEOUT)
            .serve_connection(TokioIo::new(io), service);
        if let Err(error) = watcher.watch(connection).await {
            tracing::debug!(%error, "a connection broke");
        }
    }

    async fn handshake(&self, tcp: TcpStream) -> io::Result<Box<dyn Io>> {
        // Small answers must not wait for more to come.
        tcp.set_nodelay(true)?;
        match &self.acceptor {
            None => Ok(Box::new(tcp)),
            Some(acceptor) => tokio::time::timeout(HEAD_TIMEOUT, acceptor.accept(tcp)).await?,
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
        // An error here closes the connection: there is nothing true to say.
        let expecting = parts.headers.contains_key(EXPECT);
        let body = Lingering { body: Some(body), expecting };
        self.api.send(Request::from_parts(parts, Body::from_http(body))).await
    }
}

/// A request's body that goes on being read for a while when the API drops it early. Closing the
/// connection on a client that is still sending would reset it, and the client might lose the
/// answer.
struct Lingering {
    /// There until it is dropped.
    body: Option<Incoming>,
    /// Whether the client waits for a word before it sends: then nothing is under way.
    expecting: bool,
}

impl hyper::body::Body for Lingering {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match &mut self.body {
            Some(body) => Pin::new(body).poll_frame(context),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(hyper::body::Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map(hyper::body::Body::size_hint).unwrap_or_default()
    }
}

impl Drop for Lingering {
    fn drop(&mut self) {
        let Some(mut body) = self.body.take().filter(|body| !body.is_end_stream()) else {
            return;
        };
        if let (false, Ok(runtime)) = (self.expecting, Handle::try_current()) {
            let rest = async move { while let Some(Ok(_)) = body.frame().await {} };
            runtime.spawn(tokio::time::timeout(LINGER, rest));
        }
    }
}

fn bad_request() -> Response<Body> {
    let mut response = Response::new(Body::from(Bytes::from_static(b"no valid host and path\n")));
    *response.status_mut() = StatusCode::BAD_REQUEST;
    response
}

/// How long a handshake or a request's head may take.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);

/// How long requests in progress may go on after the end.
const GRACE: Duration = Duration::from_secs(10);

/// How long a client may go on sending what nobody wants.
const LINGER: Duration = Duration::from_secs(5);

/// How long to wait when no connection can be accepted.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
