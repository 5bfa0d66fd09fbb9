//! The API behind a listener, over plain HTTP.

#![allow(clippy::unwrap_used)] // in what the tests share, as in the tests

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use glance_core::store::memory::MemoryStore;
use glance_server::GlanceApi;
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
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let api = Arc::new(GlanceApi::new(Arc::new(MemoryStore::new("memory"))));
    let (stop, stopped) = oneshot::channel::<()>();
    let end = tokio::spawn(glance_server::serve(listener, acceptor, api, async {
        let _ = stopped.await;
    }));
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

/// Refuses every handshake.
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
