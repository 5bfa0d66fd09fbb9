//! A transport over an HTTP client of one's own, here reqwest with its default TLS library. The guide
//! `docs/write-a-transport.md` explains it, and `tests/conformance.rs` runs the conformance suite on
//! it. `own_transport CA_FILE URL` sends one request; the file is PEM.

use std::error::Error;
use std::io;

use async_trait::async_trait;
use glance_core::error::all_causes;
use glance_core::transport::address::endpoint;
use glance_core::transport::failure::innermost;
use glance_core::transport::{Guarded, IdleTimeouts, ServerCertificate, TlsFailure};
use glance_core::transport::{TransportError, TransportErrorKind};
use glance_core::{Body, Transport};
use http::{Request, Response};
use reqwest::tls::TlsInfo;
use reqwest::{Certificate, Client, redirect, retry};

/// A client with the settings that the contract of [`Transport`] demands.
#[derive(Debug)]
pub struct OwnTransport(Client);

impl OwnTransport {
    /// A client that trusts the CA certificate `ca` (PEM). It sends each request once and as it is.
    pub fn guarded(ca: &[u8], timeouts: IdleTimeouts) -> reqwest::Result<Guarded<Self>> {
        let client = Client::builder()
            .tls_certs_only([Certificate::from_pem(ca)?])
            .tls_info(true)
            .http1_only()
            .no_proxy()
            .redirect(redirect::Policy::none())
            .retry(retry::never())
            .build()?;
        Ok(Guarded::new(Self(client), timeouts))
    }

    async fn execute(&self, request: Request<Body>) -> reqwest::Result<reqwest::Response> {
        self.0.execute(request.map(reqwest::Body::wrap).try_into()?).await
    }
}

#[async_trait]
impl Transport for OwnTransport {
    async fn send(&self, request: Request<Body>) -> Result<Response<Body>, TransportError> {
        let endpoint = endpoint(request.uri());
        let answer = self.execute(request).await;
        let answer = answer.map_err(|error| explain(&error.without_url(), &endpoint))?;
        let mut answer = Response::<reqwest::Body>::from(answer).map(Body::from_http);
        let certificate = answer.extensions().get().and_then(TlsInfo::peer_certificate);
        if let Some(der) = certificate.map(|der| ServerCertificate(der.into())) {
            answer.extensions_mut().insert(der);
        }
        Ok(answer)
    }
}

/// The kind of an error decides whether a request is repeated.
fn explain(error: &reqwest::Error, endpoint: &str) -> TransportError {
    let mut system = all_causes(error).filter_map(<dyn Error>::downcast_ref::<io::Error>);
    let is_of_system = system.any(|error| error.raw_os_error().is_some());
    let mut hyper = all_causes(error).filter_map(<dyn Error>::downcast_ref::<hyper::Error>);
    let kind = if error.is_timeout() {
        TransportErrorKind::Timeout
    } else if error.is_connect() && (error.is_dns() || is_of_system) {
        TransportErrorKind::Connect
    } else if error.is_connect() {
        TransportErrorKind::Tls(TlsFailure::NotTrusted)
    } else if hyper.any(hyper::Error::is_parse) {
        TransportErrorKind::Protocol
    } else {
        TransportErrorKind::Interrupted
    };
    TransportError::of_exchange(kind, innermost(error), endpoint)
}

#[tokio::main]
#[expect(clippy::print_stdout, reason = "it is a program")]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, ca, url] = &arguments[..] else { return Err("own_transport CA_FILE URL".into()) };
    let transport = OwnTransport::guarded(&std::fs::read(ca)?, IdleTimeouts::default())?;
    let answer = transport.send(Request::get(url).body(Body::empty())?).await?;
    println!("{}", answer.status());
    Ok(())
}
