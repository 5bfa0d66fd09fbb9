//! Opens one connection: TCP, optionally through a proxy, with TLS for https.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use glance_core::transport::address::{endpoint, port};
use glance_core::transport::failure::{CHECK_SILENT, DialError};
use glance_core::transport::{ServerCertificate, TransportError, TransportErrorKind};
use http::Uri;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use tokio::io::BufStream;
use tokio::time::{Instant, timeout_at};
use tower_service::Service;

use crate::dial::dial;
use crate::failure::Ending;
use crate::fill::Fill;
use crate::proxy::{Proxies, Proxy};
use crate::tls::{HandshakeError, Io, TlsBackend, TlsSession, TlsStream};
use crate::tunnel;

/// Opens connections for hyper's pool, which keys them by server, whatever the proxy.
#[derive(Debug)]
pub(crate) struct Connector<B> {
    pub(crate) backend: Arc<B>,
    pub(crate) proxies: Arc<Proxies>,
    pub(crate) patience: Duration,
}

impl<B> Clone for Connector<B> {
    fn clone(&self) -> Self {
        let (backend, proxies) = (Arc::clone(&self.backend), Arc::clone(&self.proxies));
        Self { backend, proxies, patience: self.patience }
    }
}

impl<B: TlsBackend> Service<Uri> for Connector<B> {
    type Response = Wire;
    type Error = TransportError;
    type Future = Pin<Box<dyn Future<Output = Result<Wire, TransportError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connector = self.clone();
        Box::pin(async move { connector.open(&uri).await.map_err(|refusal| refusal.error) })
    }
}

impl<B: TlsBackend> Connector<B> {
    /// Connects to the server of `uri`; for https, the server is verified.
    pub(crate) async fn open(&self, uri: &Uri) -> Result<Wire, HandshakeError> {
        match self.proxies.before(uri) {
            None => self.direct(uri).await,
            Some(proxy) => self.through(proxy, uri).await,
        }
    }

    async fn direct(&self, uri: &Uri) -> Result<Wire, HandshakeError> {
        let server = Peer::server(uri);
        let deadline = Instant::now() + self.patience;
        let (io, session) = self.in_time(deadline, &server, self.reach(&server)).await?;
        Ok(Wire::new(io, false, session, &server))
    }

    /// Connects through a proxy. A tunnel leads to an https server; the requests to an http server
    /// are forwarded by the proxy.
    async fn through(&self, proxy: &Proxy, uri: &Uri) -> Result<Wire, HandshakeError> {
        let (peer, server) = (Peer::proxy(proxy), Peer::server(uri));
        tracing::debug!("{} through {}", server.name, peer.name);
        let deadline = Instant::now() + self.patience;
        let forwarded = uri.scheme_str() != Some("https");
        let opened = self.in_time(deadline, &peer, async {
            let (mut io, _) = self.reach(&peer).await?;
            if !forwarded {
                let host = uri.host().unwrap_or_default();
                tunnel::open(&mut io, proxy, &format!("{host}:{}", port(uri))).await?;
            }
            Ok(io)
        });
        let io = opened.await?;
        if forwarded {
            return Ok(Wire::new(io, forwarded, None, &server));
        }
        let secured = self.in_time(deadline, &server, self.secure(&server, io)).await;
        let TlsStream { io, session } = secured.map_err(|mut refusal| {
            // The certificate or error may be that of the proxy, answering in place of the server.
            refusal.error.reason = format!("{} (through {})", refusal.error.reason, peer.name);
            refusal
        })?;
        Ok(Wire::new(io, forwarded, Some(session), &server))
    }

    /// Opens a TCP connection, with TLS if the scheme is https.
    async fn reach(
        &self,
        peer: &Peer<'_>,
    ) -> Result<(Box<dyn Io>, Option<TlsSession>), HandshakeError> {
        let tcp = dial(peer.host(), port(peer.uri)).await;
        let tcp = tcp.map_err(|DialError { reason, hint }| {
            peer.failure(TransportErrorKind::Connect, reason, hint)
        })?;
        // Send small requests immediately (no Nagle's algorithm).
        let _ = tcp.set_nodelay(true);
        // Large buffers below TLS save one system call per TLS record (16 KiB).
        let io: Box<dyn Io> = Box::new(BufStream::with_capacity(BUFFER, BUFFER, tcp));
        match peer.uri.scheme_str() {
            Some("https") => {
                let TlsStream { io, session } = self.secure(peer, io).await?;
                Ok((io, Some(session)))
            }
            _ => Ok((io, None)),
        }
    }

    /// Performs the TLS handshake over `io`; verifies the certificate for the peer's host.
    async fn secure(&self, peer: &Peer<'_>, io: Box<dyn Io>) -> Result<TlsStream, HandshakeError> {
        self.backend.handshake(peer.host(), &peer.name, io).await
    }

    async fn in_time<T>(
        &self,
        deadline: Instant,
        peer: &Peer<'_>,
        work: impl Future<Output = Result<T, HandshakeError>>,
    ) -> Result<T, HandshakeError> {
        timeout_at(deadline, work).await.unwrap_or_else(|_elapsed| {
            let reason = format!("no connection within {} s", self.patience.as_secs());
            Err(peer.failure(TransportErrorKind::Timeout, reason, CHECK_SILENT).into())
        })
    }
}

/// The other end of a connection: a server or a proxy.
struct Peer<'a> {
    uri: &'a Uri,
    name: String,
    /// The hint for a proxy, which names the variable that selected the proxy.
    hint: Option<String>,
}

impl<'a> Peer<'a> {
    fn server(uri: &'a Uri) -> Self {
        Self { uri, name: endpoint(uri), hint: None }
    }

    fn proxy(proxy: &'a Proxy) -> Self {
        Self { uri: &proxy.uri, name: proxy.to_string(), hint: Some(proxy.advice()) }
    }

    /// The host; an IPv6 address without its brackets.
    fn host(&self) -> &str {
        self.uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']')
    }

    fn failure(&self, kind: TransportErrorKind, reason: String, hint: &str) -> TransportError {
        let hint = self.hint.clone().unwrap_or_else(|| hint.to_owned());
        TransportError::new(kind, &self.name, reason).hint(hint)
    }
}

/// An open connection.
pub(crate) struct Wire {
    io: TokioIo<Fill<Box<dyn Io>>>,
    /// Whether a proxy forwards the requests. hyper then sends absolute URIs.
    forwarded: bool,
    /// The TLS session with the server; `None` for http.
    pub(crate) session: Option<TlsSession>,
    /// Records why the connection can no longer be read.
    ending: Ending,
}

impl Wire {
    fn new(
        io: Box<dyn Io>,
        forwarded: bool,
        session: Option<TlsSession>,
        server: &Peer<'_>,
    ) -> Self {
        let asked = session.as_ref().and_then(|session| session.client_certificate);
        let ending = Ending::new(asked, &server.name);
        Self { io: TokioIo::new(Fill::new(io)), forwarded, session, ending }
    }
}

impl Connection for Wire {
    fn connected(&self) -> Connected {
        let own = self.session.as_ref().and_then(|session| session.chain.first());
        let connected = Connected::new().proxy(self.forwarded).extra(self.ending.clone());
        let connected = match own {
            Some(der) => connected.extra(ServerCertificate(der.as_slice().into())),
            None => connected,
        };
        let asked = self.session.as_ref().and_then(|session| session.client_certificate);
        match asked {
            Some(asked) => connected.extra(asked),
            None => connected,
        }
    }
}

impl Read for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.io).poll_read(context, buffer);
        read.map_err(|error| self.ending.record(error))
    }
}

impl Write for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(context, buffers)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}

const BUFFER: usize = 128 * 1024;
