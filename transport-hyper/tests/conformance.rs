//! The client without TLS runs the suite of `glance_core::conformance` on itself.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "this is a test")]

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use glance_core::conformance::TransportUnderTest;
use glance_core::transport::{TransportError, TransportErrorKind};
use transport_hyper::{HyperTransport, Io, Options, Refusal, Secured, TlsBackend};

#[derive(Debug)]
struct Refuses;

#[async_trait]
impl TlsBackend for Refuses {
    async fn handshake(
        &self,
        host: &str,
        endpoint: &str,
        _: Box<dyn Io>,
    ) -> Result<Secured, Refusal> {
        Err(Refusal::from(TransportError {
            kind: TransportErrorKind::Tls,
            endpoint: endpoint.to_owned(),
            reason: format!("{host} is refused"),
            hint: Some("a hint".to_owned()),
            source: None,
        }))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn conforms() {
    let options = Options { idle_timeout: Duration::from_secs(1), ..Options::default() };
    let under_test = TransportUnderTest {
        make: Box::new(move || Arc::new(HyperTransport::new(Refuses, options.clone()))),
        trusted: Box::new(|address| Box::pin(async move { format!("http://{address}") })),
        untrusted: Box::new(|address| Box::pin(async move { format!("https://{address}") })),
    };
    glance_core::conformance::transport(&under_test).await.unwrap();
}
