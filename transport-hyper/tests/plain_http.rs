//! The client without TLS, against servers on the loopback interface that behave badly.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "this is a test")]

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::{self, StreamExt};
use glance_core::body::{Body, BodyError};
use glance_core::transport::{Transport, TransportError, TransportErrorKind};
use http::{Request, Response};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use transport_hyper::{HyperTransport, Io, Options, TlsBackend};

#[derive(Debug)]
struct Refuses;

#[async_trait]
impl TlsBackend for Refuses {
    async fn handshake(
        &self,
        host: &str,
        endpoint: &str,
        _: Box<dyn Io>,
    ) -> Result<Box<dyn Io>, TransportError> {
        Err(TransportError {
            kind: TransportErrorKind::Tls,
            endpoint: endpoint.to_owned(),
            reason: format!("{host} is refused"),
            hint: Some("a hint".to_owned()),
            source: None,
        })
    }
}

/// A server that handles one connection as `behave` says; its port.
async fn serve<F>(behave: impl FnOnce(TcpStream) -> F + Send + 'static) -> u16
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move { behave(listener.accept().await.unwrap().0).await });
    port
}

async fn send(scheme: &str, port: u16, body: Body) -> Result<Response<Body>, TransportError> {
    let idle_timeout = Duration::from_millis(300);
    let transport = HyperTransport::new(Refuses, Options { idle_timeout, ..Options::default() });
    let url = format!("{scheme}://127.0.0.1:{port}/v2/images?a=b");
    transport.send(Request::put(url).body(body).unwrap()).await
}

async fn head(tcp: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(tcp.read_u8().await.unwrap());
    }
    String::from_utf8(head).unwrap()
}

#[tokio::test]
async fn sends_bodies_of_known_and_unknown_length() {
    for (size, expected) in [(Some(6), "content-length: 6"), (None, "transfer-encoding: chunked")] {
        let port = serve(async move |mut tcp| {
            let head = head(&mut tcp).await;
            assert!(head.contains(expected), "{head}");
            let mut body = [0; 6];
            tcp.read_exact(&mut body).await.unwrap();
            let answer = b"HTTP/1.1 503 Busy\r\ncontent-length: 4\r\n\r\nbusy";
            tcp.write_all(answer).await.unwrap();
        })
        .await;
        let chunks = stream::iter([Ok(Bytes::from("abc")), Ok(Bytes::from("def"))]);
        let answer = send("http", port, Body::from_stream(chunks, size)).await.unwrap();
        assert_eq!(answer.status(), 503);
        assert_eq!(&answer.into_body().collect(10).await.unwrap()[..], b"busy");
    }
}

#[tokio::test]
async fn a_failure_of_the_body_comes_out_as_it_is() {
    let absorb = async |mut tcp: TcpStream| {
        let _ = tokio::io::copy(&mut tcp, &mut tokio::io::sink()).await;
    };
    let broken = BodyError::from(std::io::Error::other("the source broke"));
    let chunks = stream::iter([Ok(Bytes::from("abc")), Err(broken)]);
    let port = serve(absorb).await;
    let error = send("http", port, Body::from_stream(chunks, Some(9))).await.unwrap_err();
    assert_eq!(error.kind, TransportErrorKind::Body);
    let source = error.source.unwrap();
    assert_eq!(source.downcast_ref::<std::io::Error>().unwrap().to_string(), "the source broke");
    let port = serve(absorb).await;
    let short = Body::from_stream(stream::iter([Ok(Bytes::from("abc"))]), Some(9));
    assert_eq!(send("http", port, short).await.unwrap_err().kind, TransportErrorKind::Body);
}

#[tokio::test]
async fn an_early_answer_ends_the_sending() {
    let (told, closed) = tokio::sync::oneshot::channel();
    let port = serve(async move |mut tcp| {
        head(&mut tcp).await;
        tcp.write_all(b"HTTP/1.1 409 Conflict\r\ncontent-length: 2\r\n\r\nno").await.unwrap();
        let got = tokio::io::copy(&mut tcp, &mut tokio::io::sink()).await;
        told.send(got).unwrap();
    })
    .await;
    let endless = stream::repeat_with(|| Ok(Bytes::from_static(&[0; 16384]))).then(async |chunk| {
        tokio::time::sleep(Duration::from_millis(1)).await;
        chunk
    });
    let answer = send("http", port, Body::from_stream(endless, None)).await.unwrap();
    assert_eq!(answer.status(), 409);
    assert_eq!(&answer.into_body().collect(10).await.unwrap()[..], b"no");
    let _ = timeout(Duration::from_secs(5), closed).await.expect("the connection is closed");
}

#[tokio::test]
async fn silence_is_an_error_before_the_answer_and_in_it() {
    let port = serve(async |_tcp| std::future::pending().await).await;
    let error = send("http", port, Body::empty()).await.unwrap_err();
    assert_eq!(error.kind, TransportErrorKind::Timeout);
    let port = serve(async |mut tcp| {
        head(&mut tcp).await;
        tcp.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc").await.unwrap();
        std::future::pending::<()>().await;
    })
    .await;
    let answer = send("http", port, Body::empty()).await.unwrap();
    let error = answer.into_body().collect(100).await.unwrap_err();
    let error = error.downcast::<TransportError>().unwrap();
    assert_eq!(error.kind, TransportErrorKind::Timeout);
}

#[tokio::test]
async fn other_failures_have_their_kinds() {
    let port = serve(async |mut tcp| drop(head(&mut tcp).await)).await;
    let error = send("http", port, Body::empty()).await.unwrap_err();
    assert_eq!(error.kind, TransportErrorKind::Interrupted, "{error}");
    let port = serve(async |mut tcp| {
        head(&mut tcp).await;
        tcp.write_all(b"220 mail ready\r\n\r\n").await.unwrap();
    })
    .await;
    let error = send("http", port, Body::empty()).await.unwrap_err();
    assert_eq!(error.kind, TransportErrorKind::Protocol, "{error}");
    let port = serve(async |_tcp| std::future::pending().await).await;
    let error = send("https", port, Body::empty()).await.unwrap_err();
    assert_eq!((error.kind, error.hint.as_deref()), (TransportErrorKind::Tls, Some("a hint")));
    assert_eq!(error.endpoint, format!("https://127.0.0.1:{port}"));
    let unused = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let error = send("http", unused, Body::empty()).await.unwrap_err();
    assert_eq!(error.kind, TransportErrorKind::Connect, "{error}");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn connections_are_kept_alive_by_the_kernel() {
    let (told, armed) = tokio::sync::oneshot::channel();
    let port = serve(async move |mut tcp| {
        head(&mut tcp).await;
        let client = tcp.peer_addr().unwrap().port();
        while timer_of(client).as_deref() != Some("02") {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        told.send(()).unwrap();
        tcp.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.unwrap();
    })
    .await;
    let _answer =
        send("http", port, Body::empty()).await.expect("a timer, before silence is an error");
    armed.await.unwrap();
}

/// The kernel's timer of the connection from this port: 1 until all is acknowledged, then 2 when
/// there is one of keep-alive. The table may change while it is read, and lack a row.
#[cfg(target_os = "linux")]
fn timer_of(port: u16) -> Option<String> {
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let row = table.lines().find(|row| row.contains(&format!(": 0100007F:{port:04X} ")))?;
    row.split_whitespace().nth(5)?.split(':').next().map(str::to_owned)
}
