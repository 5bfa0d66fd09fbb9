//! Runs the conformance suite of `glance_core::conformance` against the client without TLS.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "this is a test")]

mod common;

use std::sync::Arc;
use std::time::Duration;

use common::Refuses;
use glance_core::conformance::transport::TransportUnderTest;
use transport_hyper::{ClientOptions, HyperTransport};

#[tokio::test(flavor = "multi_thread")]
async fn conforms() {
    let under_test = TransportUnderTest {
        make: Box::new(|idle_timeout| {
            let options = ClientOptions { idle_timeout, ..ClientOptions::default() };
            Arc::new(HyperTransport::new(Refuses, options))
        }),
        trusted: Box::new(|address| Box::pin(async move { format!("http://{address}") })),
        untrusted: Box::new(|address| Box::pin(async move { format!("https://{address}") })),
        client_certificates: None,
        silence: Duration::from_secs(1),
    };
    let report = glance_core::conformance::transport(&under_test).await;
    assert!(report.passed(), "{report}");
}
