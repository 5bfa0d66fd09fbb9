//! The API on a listener, over plain HTTP.

#![allow(clippy::unwrap_used)] // in what the tests share, as in the tests

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use glance_core::store::memory::MemoryStore;
use glance_server::{GlanceApi, ServerLimits};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use transport_hyper::{Io, TlsAcceptor};

const ID: &str = "6d55dd55-053a-4765-b7bc-b30df0ea3861";

struct Running {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    end: JoinHandle<io::Result<()>>,
}

async fn start(acceptor: Option<Arc<dyn TlsAcceptor>>) -> Running {
    start_within(ServerLimits::default(), acceptor).await
}

async fn start_within(limits: ServerLimits, acceptor: Option<Arc<dyn TlsAcceptor>>) -> Running {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let api = Arc::new(GlanceApi::new(Arc::new(MemoryStore::new("memory"))));
    let (stop, stopped) = oneshot::channel::<()>();
    let shutdown = async {
        let _ = stopped.await;
    };
    let end = tokio::spawn(glance_server::serve_within(limits, listener, acceptor, api, shutdown));
    Running { address, stop, end }
}

/// Sends a request and reads until the server closes the connection.
async fn ask(address: SocketAddr, head: &str, body: &str) -> String {
    let mut tcp = TcpStream::connect(address).await.unwrap();
    let request = format!("{head}\r\nHost: glance.example:1\r\nConnection: close\r\n");
    let length = format!("Content-Length: {}\r\n\r\n", body.len());
    tcp.write_all((request + &length + body).as_bytes()).await.unwrap();
    let mut answer = String::new();
    tcp.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn an_image_goes_in_and_out() {
    let server = start(None).await;
    let versions = ask(server.address, "GET / HTTP/1.1", "").await;
    assert!(versions.contains("http://glance.example:1/v2/"), "{versions}");
    let record = format!(r#"{{"id":"{ID}","disk_format":"raw","container_format":"bare"}}"#);
    let made = ask(server.address, "POST /v2/images HTTP/1.1", &record).await;
    assert!(made.starts_with("HTTP/1.1 201"), "{made}");
    let put =
        format!("PUT /v2/images/{ID}/file HTTP/1.1\r\nContent-Type: application/octet-stream");
    assert!(ask(server.address, &put, "abc").await.starts_with("HTTP/1.1 204"));
    assert!(ask(server.address, &put, "abc").await.starts_with("HTTP/1.1 409"));
    let got = ask(server.address, &format!("GET /v2/images/{ID}/file HTTP/1.1"), "").await;
    assert!(got.ends_with("\r\n\r\nabc") && got.contains("content-length: 3"), "{got}");
    server.stop.send(()).unwrap();
    server.end.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_broken_upload_is_not_answered_and_not_stored() {
    let server = start(None).await;
    let record = format!(r#"{{"id":"{ID}","disk_format":"raw","container_format":"bare"}}"#);
    ask(server.address, "POST /v2/images HTTP/1.1", &record).await;
    let mut tcp = TcpStream::connect(server.address).await.unwrap();
    let put = format!(
        "PUT /v2/images/{ID}/file HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\
         Content-Type: application/octet-stream\r\n\r\nabc"
    );
    tcp.write_all(put.as_bytes()).await.unwrap();
    tcp.shutdown().await.unwrap();
    let mut answer = String::new();
    let _ = tcp.read_to_string(&mut answer).await;
    assert_eq!(answer, "");
    let shown = ask(server.address, &format!("GET /v2/images/{ID} HTTP/1.1"), "").await;
    assert!(shown.contains(r#""status":"queued""#), "{shown}");
}

#[tokio::test]
async fn an_early_answer_reaches_a_client_that_is_still_sending() {
    let server = start(None).await;
    let body = "x".repeat(8 << 20);
    let put = format!("PUT /v2/images/{ID}/file HTTP/1.1");
    for _ in 0..5 {
        assert!(ask(server.address, &put, &body).await.starts_with("HTTP/1.1 404"));
    }
}

/// A TLS acceptor that rejects every handshake.
#[derive(Debug)]
struct Never;

#[async_trait]
impl TlsAcceptor for Never {
    async fn accept(&self, _: TcpStream) -> io::Result<Box<dyn Io>> {
        Err(io::Error::other("no"))
    }
}

#[tokio::test]
async fn a_failed_handshake_ends_its_connection_only() {
    let server = start(Some(Arc::new(Never))).await;
    for _ in 0..2 {
        let mut tcp = TcpStream::connect(server.address).await.unwrap();
        let read = tokio::time::timeout(Duration::from_secs(5), tcp.read(&mut [0])).await;
        assert!(matches!(read, Ok(Ok(0) | Err(_))));
    }
    server.stop.send(()).unwrap();
    server.end.await.unwrap().unwrap();
}

/// Limits short enough for a test.
fn strict() -> ServerLimits {
    let soon = Duration::from_millis(200);
    ServerLimits { connections: 2, requests: 2, head: soon, silence: soon }
}

/// Reads the responses until the connection ends.
async fn to_the_end(tcp: &mut TcpStream) -> String {
    let mut said = Vec::new();
    let read = tcp.read_to_end(&mut said);
    // A reset ends the connection too.
    let _ = tokio::time::timeout(Duration::from_secs(20), read).await.unwrap();
    String::from_utf8(said).unwrap()
}

#[tokio::test]
async fn a_client_that_falls_silent_is_cut_off() {
    let server = start_within(strict(), None).await;
    let record = format!(r#"{{"id":"{ID}","disk_format":"raw","container_format":"bare"}}"#);
    ask(server.address, "POST /v2/images HTTP/1.1", &record).await;
    let put = format!(
        "PUT /v2/images/{ID}/file HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\
         Content-Type: application/octet-stream\r\n\r\nabc"
    );
    let post = "POST /v2/images HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{";
    for begun in ["", "GET / HTTP/1.1\r\nHo", &put, post] {
        let mut tcp = TcpStream::connect(server.address).await.unwrap();
        tcp.write_all(begun.as_bytes()).await.unwrap();
        let said = to_the_end(&mut tcp).await;
        assert!(!said.contains(" 20"), "{begun}: {said}");
    }
    // The image is still queued and accepts the data.
    let put =
        format!("PUT /v2/images/{ID}/file HTTP/1.1\r\nContent-Type: application/octet-stream");
    let answer = ask(server.address, &put, "abc").await;
    assert!(answer.starts_with("HTTP/1.1 204"), "{answer}");
}

#[tokio::test]
async fn a_slow_client_that_sends_is_not_cut_off() {
    // Long enough for a busy machine.
    let limits = ServerLimits { silence: Duration::from_secs(2), ..strict() };
    let server = start_within(limits, None).await;
    let record = format!(r#"{{"id":"{ID}","disk_format":"raw","container_format":"bare"}}"#);
    ask(server.address, "POST /v2/images HTTP/1.1", &record).await;
    let mut tcp = TcpStream::connect(server.address).await.unwrap();
    let put = format!(
        "PUT /v2/images/{ID}/file HTTP/1.1\r\nHost: x\r\nContent-Length: 8\r\n\
         Content-Type: application/octet-stream\r\nConnection: close\r\n\r\n"
    );
    tcp.write_all(put.as_bytes()).await.unwrap();
    for _ in 0..8 {
        tokio::time::sleep(limits.silence / 6).await;
        tcp.write_all(b"x").await.unwrap();
    }
    assert!(to_the_end(&mut tcp).await.starts_with("HTTP/1.1 204"));
}

#[tokio::test]
async fn a_client_that_takes_nothing_is_cut_off() {
    let store = MemoryStore::new("memory");
    let api = GlanceApi::new(Arc::new(store));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let limits = ServerLimits { connections: 1, ..strict() };
    let never = std::future::pending();
    tokio::spawn(glance_server::serve_within(limits, listener, None, Arc::new(api), never));
    let record = format!(r#"{{"id":"{ID}","disk_format":"raw","container_format":"bare"}}"#);
    ask(address, "POST /v2/images HTTP/1.1", &record).await;
    let put =
        format!("PUT /v2/images/{ID}/file HTTP/1.1\r\nContent-Type: application/octet-stream");
    // More than the buffers of both sides can hold.
    ask(address, &put, &"x".repeat(32 << 20)).await;
    let mut tcp = TcpStream::connect(address).await.unwrap();
    let get = format!("GET /v2/images/{ID}/file HTTP/1.1\r\nHost: x\r\n\r\n");
    tcp.write_all(get.as_bytes()).await.unwrap();
    // Only one connection is allowed, so this one must wait for the silent one to be closed.
    let other = tokio::time::timeout(Duration::from_secs(20), ask(address, "GET / HTTP/1.1", ""));
    assert!(other.await.unwrap().starts_with("HTTP/1.1 300"));
    drop(tcp);
}

#[tokio::test]
async fn a_connection_ends_after_so_many_requests() {
    let server = start_within(strict(), None).await;
    let mut tcp = TcpStream::connect(server.address).await.unwrap();
    tcp.write_all("GET / HTTP/1.1\r\nHost: x\r\n\r\n".repeat(3).as_bytes()).await.unwrap();
    let said = to_the_end(&mut tcp).await;
    assert_eq!(said.matches("HTTP/1.1 300").count(), 2, "{said}");
    assert!(said.contains("connection: close"), "{said}");
}

#[tokio::test]
async fn more_connections_than_there_may_be_wait() {
    let limits = ServerLimits { head: Duration::from_secs(60), ..strict() };
    let server = start_within(limits, None).await;
    let idle = [(); 2].map(|()| TcpStream::connect(server.address));
    let idle = futures_util::future::join_all(idle).await;
    let waiting = tokio::spawn(ask(server.address, "GET / HTTP/1.1", ""));
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!waiting.is_finished());
    drop(idle);
    assert!(waiting.await.unwrap().starts_with("HTTP/1.1 300"));
}

#[tokio::test]
async fn heads_and_records_have_a_size() {
    let server = start(None).await;
    for (length, fits) in [(200 << 10, true), (1 << 20, false)] {
        let mut tcp = TcpStream::connect(server.address).await.unwrap();
        let name = "x".repeat(length);
        let head =
            format!("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Long: {name}\r\n\r\n");
        // The server stops reading, so writing the rest, and reading, may fail.
        let _ = tcp.write_all(head.as_bytes()).await;
        let said = to_the_end(&mut tcp).await;
        assert_eq!(said.starts_with("HTTP/1.1 300"), fits, "{said}");
    }
    let record = format!(r#"{{"name": "{}"}}"#, "x".repeat(2 << 20));
    let answer = ask(server.address, "POST /v2/images HTTP/1.1", &record).await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
}
