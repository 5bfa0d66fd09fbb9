//! Which servers the transport trusts, tested on the loopback interface. This file is identical in
//! `transport-rustls` and `transport-native`, except for the next line.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "this is a test")]

use transport_rustls as tls;

mod library;

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use glance_core::body::Body;
use glance_core::transport::{TlsFailure, Transport, TransportError, TransportErrorKind};
use http::Request;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    date_time_ymd,
};
use tls_policy::{Roots, TlsPolicy, bundle};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

struct Identity {
    pem: String,
    key: String,
}

fn authority(name: &str, above: Option<&Authority>) -> Authority {
    let mut params = params(&[]);
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let certificate = match above {
        Some(above) => params.signed_by(&key, &above.issuer),
        None => params.self_signed(&key),
    };
    Authority { pem: certificate.unwrap().pem(), issuer: Issuer::new(params, key) }
}

fn params(names: &[&str]) -> CertificateParams {
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params
}

/// A server certificate whose common name is 127.0.0.1.
fn leaf(names: &[&str]) -> CertificateParams {
    let mut params = params(names);
    params.distinguished_name.push(DnType::CommonName, "127.0.0.1");
    params
}

fn issue(params: &CertificateParams, by: Option<&Authority>) -> Identity {
    let key = KeyPair::generate().unwrap();
    let certificate = match by {
        Some(by) => params.signed_by(&key, &by.issuer),
        None => params.self_signed(&key),
    };
    Identity { pem: certificate.unwrap().pem(), key: key.serialize_pem() }
}

/// A server with `identity` (`None`: without TLS), and the number of request bytes that it
/// received.
async fn serve(identity: Option<&Identity>) -> (u16, Arc<AtomicUsize>) {
    let acceptor = identity
        .map(|identity| tls::acceptor(identity.pem.as_bytes(), identity.key.as_bytes()).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let received = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&received);
    tokio::spawn(async move {
        while let Ok((mut tcp, _)) = listener.accept().await {
            let Some(acceptor) = &acceptor else {
                let _ = tcp.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
                continue;
            };
            let Ok(mut stream) = acceptor.accept(tcp).await else { continue };
            let mut buffer = [0; 4096];
            let got = stream.read(&mut buffer).await.unwrap_or_default();
            counter.fetch_add(got, Ordering::SeqCst);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
            let _ = stream.shutdown().await;
        }
    });
    (port, received)
}

/// A client that trusts these certificates.
fn client(trusted: &str) -> Result<Arc<dyn Transport>, tls::TlsSetupError> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(trusted.as_bytes()).unwrap();
    let roots = Roots::Bundle(bundle::load(file.path()).unwrap());
    tls::transport(&TlsPolicy::new(roots), transport_hyper::ClientOptions::default())
}

async fn get(host: &str, port: u16, trusted: &str) -> Result<String, TransportError> {
    let transport = client(trusted).unwrap();
    let request = Request::get(format!("https://{host}:{port}/")).body(Body::empty()).unwrap();
    let body = transport.send(request).await?.into_body().collect(100).await.unwrap();
    Ok(String::from_utf8(body.to_vec()).unwrap())
}

async fn accepted(host: &str, identity: &Identity, trusted: &str) {
    let (port, received) = serve(Some(identity)).await;
    assert_eq!(get(host, port, trusted).await.unwrap(), "ok");
    assert!(received.load(Ordering::SeqCst) > 0);
}

/// Like [`accepted`]; `trusted` is a certificate that was issued by another one.
async fn accepted_by_an_issued(host: &str, identity: &Identity, trusted: &str) {
    if !library::IS_LIMITED {
        return accepted(host, identity, trusted).await;
    }
    let refusal = client(trusted).unwrap_err().to_string();
    assert!(refusal.contains("trusts self-signed certificates only"), "{refusal}");
}

async fn refused(host: &str, identity: Option<&Identity>, trusted: &str, because: &str) {
    let (port, received) = serve(identity).await;
    let error = get(host, port, trusted).await.unwrap_err();
    assert!(matches!(error.kind, TransportErrorKind::Tls(_)), "{error}");
    assert_eq!(error.endpoint, format!("https://{host}:{port}"));
    let is_foreign = library::IS_LIMITED && error.reason.contains(" rejected the server: ");
    assert!(is_foreign || error.reason.contains(because), "{:?} is not {because:?}", error.reason);
    assert!(error.hint.is_some(), "{error}");
    // In TLS 1.3, a server may consider the handshake complete before the client has verified it.
    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    assert_eq!(received.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn accepts_what_an_authority_of_the_bundle_signed() {
    let root = authority("root", None);
    let identity = issue(&leaf(&["localhost", "127.0.0.1"]), Some(&root));
    accepted("localhost", &identity, &root.pem).await;
    accepted("127.0.0.1", &identity, &root.pem).await;
}

#[tokio::test]
async fn accepts_a_chain_and_an_intermediate_as_root() {
    let root = authority("root", None);
    let middle = authority("middle", Some(&root));
    let mut identity = issue(&leaf(&["127.0.0.1"]), Some(&middle));
    accepted_by_an_issued("127.0.0.1", &identity, &middle.pem).await;
    refused("127.0.0.1", Some(&identity), &root.pem, "sent no intermediate certificate").await;
    identity.pem += &middle.pem;
    match library::IS_LIMITED {
        true => refused("127.0.0.1", Some(&identity), &root.pem, "does not show").await,
        false => accepted("127.0.0.1", &identity, &root.pem).await,
    }
    accepted("127.0.0.1", &identity, &[root.pem, middle.pem.clone()].concat()).await;
    accepted_by_an_issued("127.0.0.1", &identity, &middle.pem).await;
}

#[tokio::test]
async fn accepts_a_listed_certificate_for_itself_alone() {
    let root = authority("root", None);
    let issued = issue(&leaf(&["127.0.0.1"]), Some(&root));
    accepted_by_an_issued("127.0.0.1", &issued, &issued.pem).await;
    let own = issue(&leaf(&["127.0.0.1"]), None);
    accepted("127.0.0.1", &own, &own.pem).await;
    let twin = issue(&leaf(&["127.0.0.1"]), None);
    refused("127.0.0.1", Some(&twin), &own.pem, "self-signed").await;
    let mut as_ca = leaf(&["127.0.0.1"]);
    as_ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let as_ca = issue(&as_ca, None);
    accepted("127.0.0.1", &as_ca, &as_ca.pem).await;
}

#[tokio::test]
async fn takes_no_listed_server_for_an_authority() {
    let key = KeyPair::generate().unwrap();
    let mut params = leaf(&["127.0.0.1"]);
    params.is_ca = IsCa::ExplicitNoCa;
    params.use_authority_key_identifier_extension = false;
    let pem = params.self_signed(&key).unwrap().pem();
    let issuer = Authority { issuer: Issuer::new(params, key), pem };
    let mut forged = self::params(&["127.0.0.1"]);
    forged.distinguished_name.push(DnType::CommonName, "forged");
    let mut forged = issue(&forged, Some(&issuer));
    refused("127.0.0.1", Some(&forged), &issuer.pem, "not trusted").await;
    forged.pem += &issuer.pem;
    refused("127.0.0.1", Some(&forged), &issuer.pem, "not allowed to sign certificates").await;
}

#[tokio::test]
async fn refuses_an_unknown_authority() {
    let identity = issue(&leaf(&["127.0.0.1"]), Some(&authority("stranger", None)));
    let root = authority("root", None);
    refused("127.0.0.1", Some(&identity), &root.pem, "CN=stranger, which is not trusted").await;
    let same_name = authority("stranger", None);
    let (port, received) = serve(Some(&identity)).await;
    let error = get("127.0.0.1", port, &same_name.pem).await.unwrap_err();
    if !library::IS_LIMITED {
        assert_eq!(error.kind, TransportErrorKind::Tls(TlsFailure::NotTrusted));
    }
    assert_eq!(received.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn refuses_what_is_out_of_date() {
    let root = authority("root", None);
    let mut old = leaf(&["127.0.0.1"]);
    old.not_before = date_time_ymd(2001, 1, 1);
    old.not_after = date_time_ymd(2002, 2, 3);
    let identity = issue(&old, Some(&root));
    refused("127.0.0.1", Some(&identity), &root.pem, "expired on 2002-02-03").await;
    let listed = issue(&old, None);
    refused("127.0.0.1", Some(&listed), &listed.pem, "expired on 2002-02-03").await;
    let mut early = leaf(&["127.0.0.1"]);
    early.not_before = date_time_ymd(2090, 1, 2);
    early.not_after = date_time_ymd(2091, 1, 1);
    let identity = issue(&early, Some(&root));
    refused("127.0.0.1", Some(&identity), &root.pem, "not valid before 2090-01-02").await;
}

#[tokio::test]
async fn refuses_a_root_that_expired() {
    let mut params = params(&[]);
    params.distinguished_name.push(DnType::CommonName, "old root");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.not_after = date_time_ymd(2002, 2, 3);
    let key = KeyPair::generate().unwrap();
    let pem = params.self_signed(&key).unwrap().pem();
    let root = Authority { issuer: Issuer::new(params, key), pem };
    let identity = issue(&leaf(&["127.0.0.1"]), Some(&root));
    refused("127.0.0.1", Some(&identity), &root.pem, "expired").await;
}

#[tokio::test]
async fn refuses_a_certificate_for_another_host() {
    let root = authority("root", None);
    let other = issue(&leaf(&["glance.test"]), Some(&root));
    let words = "the server's certificate is valid for glance.test, not for 127.0.0.1";
    refused("127.0.0.1", Some(&other), &root.pem, words).await;
    refused("localhost", Some(&other), &root.pem, "not for localhost").await;
    refused("127.0.0.1", Some(&issue(&leaf(&[]), Some(&root))), &root.pem, "has no subjectAltName")
        .await;
    let listed = issue(&leaf(&["glance.test"]), None);
    refused("127.0.0.1", Some(&listed), &listed.pem, "not for 127.0.0.1").await;
}

#[tokio::test]
async fn refuses_a_certificate_for_clients() {
    let root = authority("root", None);
    let mut client = leaf(&["127.0.0.1"]);
    client.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let identity = issue(&client, Some(&root));
    refused("127.0.0.1", Some(&identity), &root.pem, "is not valid for servers").await;
    let listed = issue(&client, None);
    refused("127.0.0.1", Some(&listed), &listed.pem, "is not valid for servers").await;
}

#[tokio::test]
async fn recognises_plain_http() {
    let root = authority("root", None);
    refused("127.0.0.1", None, &root.pem, "the server does not speak TLS").await;
}

#[test]
fn tells_its_name() {
    assert!(tls::describe().contains(char::is_numeric));
}

#[test]
fn a_server_needs_the_key_of_its_certificate() {
    let authority = authority("an authority", None);
    let own = issue(&leaf(&["127.0.0.1"]), Some(&authority));
    let acceptor = |key: &str| tls::acceptor(own.pem.as_bytes(), key.as_bytes());
    acceptor(&own.key).unwrap();
    for other in [KeyPair::generate(), KeyPair::generate_for(&rcgen::PKCS_ED25519)] {
        let error = acceptor(&other.unwrap().serialize_pem()).unwrap_err();
        // OpenSSL 3.0 does not read the form of Ed25519 keys that rcgen writes.
        let refused =
            ["cannot use the server's certificate and key", "cannot read the server's key"];
        assert!(refused.contains(&&*error.what), "{error}");
    }
}
