//! Runs the conformance suite of `glance_core::conformance` against the transport. This file is
//! identical in `transport-rustls` and `transport-native`, except for the next line.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "this is a test")]

use transport_native as tls;

mod asking;
mod library;

use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use glance_core::conformance::transport::{ClientCertificates, Front, Make, TransportUnderTest};
use glance_core::transport::backoff::Backoff;
use glance_core::transport::{RetryPolicy, Retrying, Transport};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use tls_policy::{ClientIdentity, Roots, TlsPolicy, bundle};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use transport_hyper::{ClientOptions, TlsAcceptor};

#[tokio::test(flavor = "multi_thread")]
async fn conforms() {
    run(|transport| transport).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn conforms_with_retries() {
    run(|transport| {
        let persistence = RetryPolicy { pauses: Backoff::NONE, ..RetryPolicy::default() }.times(1);
        Arc::new(Retrying::new(transport, persistence))
    })
    .await;
}

/// Runs the suite against the transport, wrapped by `wrap`.
async fn run(wrap: fn(Arc<dyn Transport>) -> Arc<dyn Transport>) {
    let trusted = Site::new();
    let untrusted = Site::new();
    let policy = trusted.policy();
    let with_certificate = TlsPolicy { identity: Some(trusted.client()), ..policy.clone() };
    let make = |policy: TlsPolicy| -> Make {
        Box::new(move |idle_timeout| {
            let options = ClientOptions { idle_timeout, ..ClientOptions::default() };
            wrap(tls::transport(&policy, options).unwrap())
        })
    };
    let under_test = TransportUnderTest {
        make: make(policy),
        trusted: front(trusted.acceptor()),
        untrusted: front(untrusted.acceptor()),
        client_certificates: (!library::IS_LIMITED).then(|| ClientCertificates {
            make: make(with_certificate),
            asking: front(asking::acceptor(&trusted.leaf, &trusted.key, &trusted.root)),
        }),
        silence: Duration::from_secs(1),
    };
    let report = glance_core::conformance::transport(&under_test).await;
    assert!(report.passed(), "{report}");
}

/// A TLS front end for a plain-text server.
fn front(acceptor: Arc<dyn TlsAcceptor>) -> Front {
    Box::new(move |address| Box::pin(open(Arc::clone(&acceptor), address)))
}

async fn open(acceptor: Arc<dyn TlsAcceptor>, address: SocketAddr) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            let acceptor = Arc::clone(&acceptor);
            tokio::spawn(async move {
                let mut behind = TcpStream::connect(address).await.unwrap();
                let Ok(mut stream) = acceptor.accept(tcp).await else { return };
                // Either side may close the connection early; the suite checks what the other side
                // sees.
                let _ = copy_bidirectional(&mut stream, &mut behind).await;
            });
        }
    });
    format!("https://localhost:{port}")
}

/// The certificate of a server for `localhost`, and the CA that signed it, all in PEM.
struct Site {
    root: String,
    leaf: String,
    key: String,
}

impl Site {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, "conformance");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let root = params.self_signed(&key).unwrap().pem();
        let issuer = Issuer::new(params, key);
        let key = KeyPair::generate().unwrap();
        let names = vec!["localhost".to_owned()];
        let leaf = CertificateParams::new(names).unwrap().signed_by(&key, &issuer).unwrap().pem();
        Self { root, leaf, key: key.serialize_pem() }
    }

    fn acceptor(&self) -> Arc<dyn TlsAcceptor> {
        tls::acceptor(self.leaf.as_bytes(), self.key.as_bytes()).unwrap()
    }

    /// Trusts the CA.
    fn policy(&self) -> TlsPolicy {
        let file = file(&[&self.root]);
        TlsPolicy::new(Roots::Bundle(bundle::load(file.path()).unwrap()))
    }

    /// The same certificate as that of a client.
    fn client(&self) -> ClientIdentity {
        let file = file(&[&self.leaf, &self.key]);
        ClientIdentity::load(file.path(), None, &|_| unreachable!("the key is not encrypted"))
            .unwrap()
    }
}

fn file(parts: &[&str]) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(parts.concat().as_bytes()).unwrap();
    file
}
