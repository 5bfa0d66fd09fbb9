//! Runs the conformance suite of `glance_core::conformance` against the transport, with each TLS
//! library of this build, and against the example of the guide.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "this is a test")]

#[path = "../examples/own_transport.rs"]
#[allow(dead_code, unreachable_pub, missing_docs, reason = "it is a program of its own")]
mod own_transport;
mod site;

use std::sync::Arc;
use std::time::Duration;

use glance_core::Transport;
use glance_core::conformance::transport::{Make, TransportUnderTest};
use glance_core::transport::SilenceLimits;
use transport_reqwest::reqwest::ClientBuilder;

use own_transport::OwnTransport;
use site::Site;

#[cfg(feature = "rustls")]
#[tokio::test(flavor = "multi_thread")]
async fn rustls_conforms() {
    passes(|site| {
        let policy = site.policy();
        Box::new(move |idle| {
            transport_reqwest::over_rustls(ClientBuilder::new(), &policy, limits(idle)).unwrap()
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
            transport_reqwest::over_native_tls(ClientBuilder::new(), &policy, limits(idle)).unwrap()
        })
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_example_conforms() {
    passes(|site| {
        let ca = site.root.clone();
        Box::new(move |idle| {
            Arc::new(OwnTransport::guarded(ca.as_bytes(), limits(idle)).unwrap())
                as Arc<dyn Transport>
        })
    })
    .await;
}

fn limits(idle: Duration) -> SilenceLimits {
    SilenceLimits { idle, ..SilenceLimits::default() }
}

/// Runs the suite with the transports of `make`, which trust the site.
async fn passes(make: impl Fn(&Site) -> Make) {
    let (trusted, untrusted) = (Site::new(), Site::new());
    let under_test = TransportUnderTest {
        make: make(&trusted),
        trusted: trusted.front(),
        untrusted: untrusted.front(),
        // reqwest does not tell whether a server asked for a certificate.
        client_certificates: None,
        silence: Duration::from_secs(1),
    };
    let report = glance_core::conformance::transport(&under_test).await;
    assert!(report.passed(), "{report}");
}
