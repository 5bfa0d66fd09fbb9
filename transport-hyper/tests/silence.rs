//! Tests that the timeout for a silent server depends on the request.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "this is a test")]

mod common;

use std::time::Duration;

use bytes::Bytes;
use common::Refuses;
use glance_core::body::Body;
use glance_core::transport::{Transport, TransportErrorKind};
use http::Request;
use tokio::net::TcpListener;
use transport_hyper::{ClientOptions, HyperTransport};

/// The client's error for a server that reads the whole body and never responds.
async fn said_of_silence(body: Body) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = tokio::spawn(async move {
        let (mut connection, _) = listener.accept().await.unwrap();
        tokio::io::copy(&mut connection, &mut tokio::io::sink()).await
    });
    let options = ClientOptions {
        idle_timeout: Duration::from_secs(1),
        commit_timeout: Duration::from_secs(3),
        ..ClientOptions::default()
    };
    let request = Request::put(format!("http://127.0.0.1:{port}/")).body(body).unwrap();
    let error = HyperTransport::new(Refuses, options).send(request).await.unwrap_err();
    server.abort();
    assert_eq!(error.kind, TransportErrorKind::Timeout);
    error.reason
}

/// A body that can be replayed is a document, such as JSON, which a server processes quickly.
#[tokio::test]
async fn only_the_answer_to_data_may_take_as_long_as_storing_does() {
    let bytes = || Body::from(Bytes::from_static(b"{}"));
    assert_eq!(said_of_silence(bytes()).await, "no data for 1 s");
    assert_eq!(said_of_silence(bytes().once()).await, "no data for 3 s");
    assert_eq!(said_of_silence(Body::empty()).await, "no data for 1 s");
}
