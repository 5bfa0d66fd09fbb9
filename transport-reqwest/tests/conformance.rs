//! Runs the conformance suite of `glance_core::conformance` against the transport, with each TLS
//! library of this build, and against the example of the guide.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "this is a test")]

#[path = "../examples/own_transport.rs"]
#[allow(dead_code, unreachable_pub, missing_docs, reason = "it is a program of its own")]
mod own_transport;
mod site;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use glance_core::conformance::Report;
use glance_core::conformance::transport::{Make, TransportUnderTest};
use glance_core::transport::{Guarded, IdleTimeouts};
use glance_core::{Body, Transport, TransportError};
use http::{Request, Response};
use transport_reqwest::reqwest::ClientBuilder;

use own_transport::OwnTransport;
use site::Site;

#[cfg(feature = "rustls")]
#[tokio::test(flavor = "multi_thread")]
async fn rustls_conforms() {
    passes(|site| {
        let policy = site.policy();
        Box::new(move |idle| {
            transport_reqwest::over_rustls(ClientBuilder::new(), &policy, timeouts(idle)).unwrap()
        })
    })
    .await;
}

#[cfg(feature = "native-tls")]
#[tokio::test(flavor = "multi_thread")]
async fn native_tls_conforms() {
    passes(|site| {
        let policy = site.policy();
        Box::new(move |idle| {
            transport_reqwest::over_native_tls(ClientBuilder::new(), &policy, timeouts(idle))
                .unwrap()
        })
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_example_conforms() {
    passes(|site| {
        let ca = site.root.clone();
        Box::new(move |idle| {
            Arc::new(OwnTransport::guarded(ca.as_bytes(), timeouts(idle)).unwrap())
                as Arc<dyn Transport>
        })
    })
    .await;
}

fn timeouts(idle: Duration) -> IdleTimeouts {
    IdleTimeouts { idle, ..IdleTimeouts::default() }
}

/// The suite notices what a client lacks without [`Guarded`].
#[tokio::test(flavor = "multi_thread")]
async fn the_client_of_the_example_does_not_conform_without_the_guard() {
    let silence = Duration::from_millis(200);
    let report = report(silence, |site| {
        let ca = site.root.clone();
        Box::new(move |idle| {
            let guarded = OwnTransport::guarded(ca.as_bytes(), timeouts(idle)).unwrap();
            Arc::new(Unguarded(guarded)) as Arc<dyn Transport>
        })
    });
    let report = report.await;
    let failed: Vec<&str> = report.failures().map(|(name, _)| name).collect();
    for lacking in [
        "a_failing_body_is_not_ended",
        "a_body_that_breaks_its_promise_is_not_ended",
        "an_early_answer_ends_the_sending",
        "an_answer_cut_short_is_an_error",
        "silence_is_an_error",
    ] {
        assert!(failed.contains(&lacking), "{lacking}: {report}");
    }
}

#[derive(Debug)]
struct Unguarded(Guarded<OwnTransport>);

#[async_trait]
impl Transport for Unguarded {
    async fn send(&self, request: Request<Body>) -> Result<Response<Body>, TransportError> {
        self.0.client().send(request).await
    }
}

/// Runs the suite with the transports of `make`, which trust the site.
async fn passes(make: impl Fn(&Site) -> Make) {
    let report = report(Duration::from_secs(1), make).await;
    assert!(report.passed(), "{report}");
}

async fn report(silence: Duration, make: impl Fn(&Site) -> Make) -> Report {
    let (trusted, untrusted) = (Site::new(), Site::new());
    let under_test = TransportUnderTest {
        make: make(&trusted),
        trusted: trusted.front(),
        untrusted: untrusted.front(),
        // reqwest does not tell whether a server asked for a certificate.
        client_certificates: None,
        silence,
    };
    glance_core::conformance::transport(&under_test).await
}
