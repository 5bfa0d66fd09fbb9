//! Which servers the transport trusts whatever the builder says, and which policies it refuses.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "this is a test")]

mod site;

use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use glance_core::transport::{IdleTimeouts, TlsFailure, TransportErrorKind};
use glance_core::{Body, Transport, TransportError};
use http::{Request, StatusCode};
use rcgen::{CertificateParams, DistinguishedName, DnType, date_time_ymd};
use tls_policy::{Pin, TlsPolicy};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use transport_reqwest::ReqwestSetupError;
use transport_reqwest::reqwest::ClientBuilder;
use transport_reqwest::reqwest::dns::{Name, Resolve, Resolving};

use site::Site;

type Over =
    fn(ClientBuilder, &TlsPolicy, IdleTimeouts) -> Result<Arc<dyn Transport>, ReqwestSetupError>;

const LIBRARIES: &[Over] = &[
    #[cfg(feature = "rustls")]
    transport_reqwest::over_rustls,
    #[cfg(feature = "native-tls")]
    transport_reqwest::over_native_tls,
];

/// The transport of each TLS library with the default builder.
fn transports(policy: &TlsPolicy) -> Vec<Arc<dyn Transport>> {
    let make = |over: &Over| over(ClientBuilder::new(), policy, IdleTimeouts::default()).unwrap();
    LIBRARIES.iter().map(make).collect()
}

/// Why each TLS library refuses the policy.
fn refusals(policy: &TlsPolicy) -> Vec<String> {
    let timeouts = IdleTimeouts::default();
    let refusal =
        |over: &Over| over(ClientBuilder::new(), policy, timeouts).unwrap_err().to_string();
    LIBRARIES.iter().map(refusal).collect()
}

/// A server without TLS that answers every request after a pause.
async fn server(pause: Duration) -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut tcp, _)) = listener.accept().await {
            tokio::spawn(async move {
                while tcp.read(&mut [0; 4096]).await.is_ok_and(|read| read > 0) {
                    tokio::time::sleep(pause).await;
                    tcp.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.unwrap();
                }
            });
        }
    });
    address
}

async fn get(transport: &dyn Transport, url: &str) -> Result<StatusCode, TransportError> {
    let request = Request::get(url).body(Body::empty()).unwrap();
    Ok(transport.send(request).await?.status())
}

#[test]
fn what_reqwest_cannot_honour_is_refused() {
    let policy = Site::new().policy();
    let pins = vec!["sha256//47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=".parse::<Pin>().unwrap()];
    for said in refusals(&TlsPolicy { pins, ..policy.clone() }) {
        assert_eq!(said, "reqwest cannot compare the server's key with a pin");
    }
    let revocation = Site::new().revocation_lists();
    for said in refusals(&TlsPolicy { revocation, ..policy.clone() }) {
        assert_eq!(said, "reqwest cannot check revocation lists with every TLS library");
    }
    let site = Site::new();
    for said in refusals(&site::policy(&site.leaf)) {
        assert!(said.ends_with(": reqwest can trust CA certificates only"), "{said}");
    }
    assert!(matches!(transport_reqwest::fips(), Err(ReqwestSetupError::FipsMode)));
}

/// The builder accepts every certificate and every name, follows redirects, and has a time limit that is
/// shorter than the exchange.
#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::disallowed_methods, reason = "shows that these calls have no effect")]
async fn a_builder_cannot_turn_verification_off() {
    let (trusted, untrusted) = (Site::new(), Site::new());
    let pause = Duration::from_millis(300);
    let address = server(pause).await;
    let (good, bad) = ((trusted.front())(address).await, (untrusted.front())(address).await);
    let port = good.rsplit(':').next().unwrap();
    for over in LIBRARIES {
        let builder = ClientBuilder::new()
            .tls_danger_accept_invalid_certs(true)
            .tls_danger_accept_invalid_hostnames(true)
            .timeout(pause / 3);
        let transport = over(builder, &trusted.policy(), IdleTimeouts::default()).unwrap();
        assert_eq!(get(&*transport, &good).await.unwrap(), StatusCode::OK);
        let error = get(&*transport, &bad).await.unwrap_err();
        assert_eq!(error.kind, TransportErrorKind::Tls(TlsFailure::NotTrusted), "{error}");
        let error = get(&*transport, &format!("https://127.0.0.1:{port}")).await.unwrap_err();
        assert_eq!(error.kind, TransportErrorKind::Tls(TlsFailure::WrongName), "{error}");
        assert_eq!(error.reason, "the server's certificate is not valid for 127.0.0.1");
    }
}

/// The builder's own configuration of rustls trusts another server.
#[cfg(feature = "rustls")]
#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::disallowed_methods, reason = "shows that this call has no effect")]
async fn a_builder_cannot_replace_the_verifier() {
    let (trusted, other) = (Site::new(), Site::new());
    let address = server(Duration::ZERO).await;
    let (good, bad) = ((trusted.front())(address).await, (other.front())(address).await);
    for over in LIBRARIES {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(other.roots())
            .with_no_client_auth();
        let builder = ClientBuilder::new().tls_backend_preconfigured(config);
        let transport = over(builder, &trusted.policy(), IdleTimeouts::default()).unwrap();
        assert_eq!(get(&*transport, &good).await.unwrap(), StatusCode::OK);
        let error = get(&*transport, &bad).await.unwrap_err();
        assert_eq!(error.kind, TransportErrorKind::Tls(TlsFailure::NotTrusted), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_fault_of_a_server_is_named() {
    let old = |params: &mut CertificateParams| params.not_after = date_time_ymd(2020, 1, 1);
    let early = |params: &mut CertificateParams| params.not_before = date_time_ymd(2090, 1, 1);
    let address = server(Duration::ZERO).await;
    for (change, failure) in [
        (&old as &dyn Fn(&mut CertificateParams), TlsFailure::Expired),
        (&early, TlsFailure::NotYetValid),
    ] {
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        change(&mut params);
        let site = Site::with(&params);
        let origin = (site.front())(address).await;
        for transport in transports(&site.policy()) {
            let error = get(&*transport, &origin).await.unwrap_err();
            assert_eq!(error.kind, TransportErrorKind::Tls(failure), "{error}");
            assert!(error.hint.is_some());
        }
    }
    for transport in transports(&Site::new().policy()) {
        let error = get(&*transport, &format!("https://{address}")).await.unwrap_err();
        assert_eq!(error.kind, TransportErrorKind::Tls(TlsFailure::NotTls), "{error}");
    }
}

/// A resolver that knows no name.
struct Unknown;

impl Resolve for Unknown {
    fn resolve(&self, _: Name) -> Resolving {
        Box::pin(async { Err("Name or service not known".into()) })
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_cannot_be_resolved_is_named() {
    for over in LIBRARIES {
        let builder = ClientBuilder::new().dns_resolver(Arc::new(Unknown));
        let transport = over(builder, &Site::new().policy(), IdleTimeouts::default()).unwrap();
        let error = get(&*transport, "https://glanse.test/").await.unwrap_err();
        let said = "cannot connect to https://glanse.test:443: cannot resolve the host name glanse.test: \
                    Name or service not known";
        assert_eq!(error.to_string(), said);
        assert_eq!(error.kind, TransportErrorKind::Connect);
    }
}

/// The differences that `docs/tls.md` lists.
#[tokio::test(flavor = "multi_thread")]
async fn the_tls_libraries_differ_as_documented() {
    let names = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let expired = Site::below(|params| params.not_after = date_time_ymd(2020, 1, 1), &names);
    let mut common_name = CertificateParams::new(Vec::new()).unwrap();
    common_name.distinguished_name = DistinguishedName::new();
    common_name.distinguished_name.push(DnType::CommonName, "localhost");
    let common_name = Site::with(&common_name);
    let address = server(Duration::ZERO).await;
    for (name, site) in [("an expired CA", expired), ("a common name", common_name)] {
        let origin = (site.front())(address).await;
        #[cfg(feature = "rustls")]
        {
            let timeouts = IdleTimeouts::default();
            let transport =
                transport_reqwest::over_rustls(ClientBuilder::new(), &site.policy(), timeouts)
                    .unwrap();
            assert_eq!(get(&*transport, &origin).await.is_ok(), name == "an expired CA", "{name}");
        }
        #[cfg(feature = "native-tls")]
        {
            let timeouts = IdleTimeouts::default();
            let transport =
                transport_reqwest::over_native_tls(ClientBuilder::new(), &site.policy(), timeouts)
                    .unwrap();
            assert_eq!(get(&*transport, &origin).await.is_ok(), name == "a common name", "{name}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_certificate_is_sent() {
    let site = Site::new();
    let origin = (site.front_for_clients())(server(Duration::ZERO).await).await;
    let policy = TlsPolicy { identity: Some(site.identity()), ..site.policy() };
    for transport in transports(&policy) {
        assert_eq!(get(&*transport, &origin).await.unwrap(), StatusCode::OK);
    }
    for transport in transports(&site.policy()) {
        let error = get(&*transport, &origin).await.unwrap_err();
        // The server's alert may arrive before the request is sent, and is then lost.
        let said = match error.kind {
            TransportErrorKind::Interrupted => "may require a client certificate",
            _ => "the server ended the TLS handshake (alert: certificate required)",
        };
        assert!(error.reason.contains(said), "{error}");
    }
}

/// Another test, in an environment that names a proxy without a listener.
#[test]
fn no_proxy_is_taken_from_the_environment() {
    let mut test = Command::new(std::env::current_exe().unwrap());
    test.args(["--exact", "a_client_certificate_is_sent"]);
    for variable in ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"] {
        test.env(variable, "http://127.0.0.1:1");
    }
    let output = String::from_utf8(test.output().unwrap().stdout).unwrap();
    assert!(output.contains("1 passed"), "{output}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_path_that_reqwest_would_change_is_refused() {
    let address = server(Duration::ZERO).await;
    for transport in transports(&Site::new().policy()) {
        assert_eq!(get(&*transport, &format!("http://{address}/a?b=c%20d")).await.unwrap(), 200);
        for path in ["/a/../b", "/a/%2e", "/a?b='c'"] {
            let error = get(&*transport, &format!("http://{address}{path}")).await;
            let Err(error) = error else { panic!("{path} was sent") };
            assert_eq!(error.kind, TransportErrorKind::Protocol, "{error}");
        }
    }
}
