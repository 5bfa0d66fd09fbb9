//! One connection: TCP, and TLS over it where the URI says so.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use glance_core::transport::{TransportError, TransportErrorKind};
use http::Uri;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use tokio::io::BufStream;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tower_service::Service;

use crate::tls::{Io, TlsBackend};

/// Makes connections for hyper's pool.
#[derive(Debug)]
pub(crate) struct Connector<B> {
    pub(crate) backend: Arc<B>,
    pub(crate) patience: Duration,
}

impl<B> Clone for Connector<B> {
    fn clone(&self) -> Self {
        Self { backend: Arc::clone(&self.backend), patience: self.patience }
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
        Box::pin(async move {
            let endpoint = endpoint(&uri);
            let opened = timeout(connector.patience, connector.open(&uri, &endpoint)).await;
            opened.unwrap_or_else(|_elapsed| {
                let reason = format!("no connection within {} s", connector.patience.as_secs());
                Err(connect_error(TransportErrorKind::Timeout, &endpoint, reason))
            })
        })
    }
}

impl<B: TlsBackend> Connector<B> {
    async fn open(&self, uri: &Uri, endpoint: &str) -> Result<Wire, TransportError> {
        let host = uri.host().unwrap_or_default();
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let tcp = TcpStream::connect((host, port(uri))).await.map_err(|error| {
            let mut failure =
                connect_error(TransportErrorKind::Connect, endpoint, error.to_string());
            failure.hint = Some("is the address right, and is the server up?".to_owned());
            failure
        })?;
        // Small requests must not wait for the answer to earlier ones.
        let _ = tcp.set_nodelay(true);
        // Large buffers below TLS save one system call for every record (16 KiB).
        let io: Box<dyn Io> = Box::new(BufStream::with_capacity(BUFFER, BUFFER, tcp));
        match uri.scheme_str() {
            Some("https") => {
                let secured = self.backend.handshake(host, endpoint, io).await?;
                Ok(Wire(TokioIo::new(secured)))
            }
            _ => Ok(Wire(TokioIo::new(io))),
        }
    }
}

/// An open connection.
pub(crate) struct Wire(TokioIo<Box<dyn Io>>);

impl Connection for Wire {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl Read for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl Write for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write_vectored(context, buffers)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }
}

/// The server of a URI, as messages name it.
pub(crate) fn endpoint(uri: &Uri) -> String {
    let host = uri.host().unwrap_or("(no host)");
    format!("{}://{host}:{}", uri.scheme_str().unwrap_or("http"), port(uri))
}

fn port(uri: &Uri) -> u16 {
    let usual = if uri.scheme_str() == Some("https") { 443 } else { 80 };
    uri.port_u16().unwrap_or(usual)
}

fn connect_error(kind: TransportErrorKind, endpoint: &str, reason: String) -> TransportError {
    TransportError { kind, endpoint: endpoint.to_owned(), reason, hint: None, source: None }
}

const BUFFER: usize = 128 * 1024;
