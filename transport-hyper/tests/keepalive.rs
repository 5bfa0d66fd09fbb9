//! Tests that connections use TCP keep-alive.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "this is a test")]

mod common;

use std::time::Duration;

use common::Refuses;
use glance_core::body::Body;
use glance_core::transport::{Transport, TransportError};
use http::{Request, Response};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use transport_hyper::{ClientOptions, HyperTransport};

/// Starts a server that handles one connection with `behave`; returns its port.
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
    let transport =
        HyperTransport::new(Refuses, ClientOptions { idle_timeout, ..ClientOptions::default() });
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

/// The kernel's timer for the connection from this port: 1 (retransmission) until all data is
/// acknowledged, then 2 if keep-alive is active. The table may change while it is read, so a row
/// may be missing.
fn timer_of(port: u16) -> Option<String> {
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let row = table.lines().find(|row| row.contains(&format!(": 0100007F:{port:04X} ")))?;
    row.split_whitespace().nth(5)?.split(':').next().map(str::to_owned)
}
