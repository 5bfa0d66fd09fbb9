//! Tests that an error names why a connection ended, also if it ended before its request.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "this is a test")]

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use glance_core::body::Body;
use glance_core::transport::{ClientCertificate, Transport, TransportErrorKind};
use http::Request;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpListener;
use transport_hyper::{
    ClientOptions, HandshakeError, HyperTransport, Io, TlsBackend, TlsSession, TlsStream,
};

/// A TLS library whose connections end directly after the handshake.
#[derive(Debug)]
struct Ends {
    /// The message of the error at the end; `None` for an end without an error.
    message: Option<&'static str>,
    client_certificate: Option<ClientCertificate>,
}

#[async_trait]
impl TlsBackend for Ends {
    async fn handshake(
        &self,
        _: &str,
        _: &str,
        _: Box<dyn Io>,
    ) -> Result<TlsStream, HandshakeError> {
        let client_certificate = self.client_certificate;
        let session =
            TlsSession { version: None, cipher: None, chain: Vec::new(), client_certificate };
        let io = Ending { message: self.message, reads: 0 };
        Ok(TlsStream { io: Box::new(io), session })
    }
}

struct Ending {
    message: Option<&'static str>,
    reads: u8,
}

impl AsyncRead for Ending {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        _: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.reads += 1;
        // Not at the first read, so that the connection becomes ready for the request.
        if self.reads == 1 {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(self.message.map_or(Ok(()), |message| Err(io::Error::other(message))))
    }
}

impl AsyncWrite for Ending {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// The distinct reasons of many requests: the connection may end before the request, next to it, or
/// after it.
async fn reasons(
    message: Option<&'static str>,
    client_certificate: Option<ClientCertificate>,
) -> Vec<String> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}/", listener.local_addr().unwrap());
    let backend = Ends { message, client_certificate };
    let idle_timeout = Duration::from_secs(1);
    let options = ClientOptions { idle_timeout, ..ClientOptions::default() };
    let transport = HyperTransport::new(backend, options);
    let mut reasons = Vec::new();
    for _ in 0..REQUESTS {
        let send = transport.send(Request::get(&url).body(Body::empty()).unwrap());
        let (outcome, _) = tokio::join!(send, listener.accept());
        let error = outcome.expect_err("the connection ends");
        // hyper loses a few requests that it takes at the moment when the connection ends
        // (https://github.com/hyperium/hyper/issues/4122); the timeout ends them.
        if error.kind != TransportErrorKind::Timeout {
            reasons.push(error.reason);
        }
    }
    reasons.sort();
    reasons.dedup();
    reasons
}

const REQUESTS: usize = 2000;

#[tokio::test(flavor = "multi_thread")]
async fn the_error_is_why_the_connection_ended() {
    let alert = "SSL alert number 116: certificate required";
    assert_eq!(reasons(Some(alert), None).await, [alert]);
    assert_eq!(reasons(None, None).await, ["the server closed the connection"]);
    let asked = Some(ClientCertificate::Missing);
    let missing = "the server asked for a client certificate, but got none";
    let expected = format!("{missing} (alert: certificate required)");
    assert_eq!(reasons(Some(alert), asked).await, [expected]);
}
