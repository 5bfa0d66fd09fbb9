//! TLS through a proxy on the loopback interface. This file is identical in `transport-rustls` and
//! `transport-native`, except for the next line.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "this is a test")]

use transport_rustls as tls;

mod library;

use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use glance_core::body::Body;
use glance_core::transport::{TlsFailure, TransportError, TransportErrorKind};
use http::Request;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use tls_policy::{Roots, TlsPolicy, bundle};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use transport_hyper::{ClientOptions, Io, Proxies, TlsAcceptor};

struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    fn acceptor(&self, host: &str) -> Arc<dyn TlsAcceptor> {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![host.to_owned()]).unwrap();
        let pem = params.signed_by(&key, &self.issuer).unwrap().pem();
        tls::acceptor(pem.as_bytes(), key.serialize_pem().as_bytes()).unwrap()
    }
}

/// The bytes that a party could read.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<Vec<u8>>>);

impl Seen {
    fn add(&self, bytes: &[u8]) {
        self.0.lock().unwrap().extend_from_slice(bytes);
    }

    fn has_the_end(&self) -> bool {
        self.0.lock().unwrap().ends_with(END.as_bytes())
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }
}

async fn listen<F>(serve: impl Fn(TcpStream) -> F + Send + 'static) -> u16
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let (tcp, _) = listener.accept().await.unwrap();
            tokio::spawn(serve(tcp));
        }
    });
    port
}

/// A server, and the bytes of the requests it received.
async fn server(acceptor: Arc<dyn TlsAcceptor>) -> (u16, Seen) {
    let seen = Seen::default();
    let noted = seen.clone();
    let port = listen(move |tcp| {
        let (acceptor, seen) = (Arc::clone(&acceptor), noted.clone());
        async move {
            let Ok(mut io) = acceptor.accept(tcp).await else { return };
            let mut buffer = [0; 4096];
            while !seen.has_the_end() {
                match io.read(&mut buffer).await.unwrap_or_default() {
                    0 => return,
                    got => seen.add(&buffer[..got]),
                }
            }
            let body = BODY.repeat(TIMES);
            let size = body.len();
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {size}\r\n\r\n");
            let _ = io.write_all(head.as_bytes()).await;
            let _ = io.write_all(body.as_bytes()).await;
            let _ = io.shutdown().await;
        }
    })
    .await;
    (port, seen)
}

/// A proxy, with TLS if there is an acceptor, and all bytes that passed through it.
async fn proxy(acceptor: Option<Arc<dyn TlsAcceptor>>) -> (u16, Seen) {
    let seen = Seen::default();
    let noted = seen.clone();
    let port = listen(move |tcp| {
        let (acceptor, seen) = (acceptor.clone(), noted.clone());
        async move {
            match acceptor {
                None => tunnel(Box::new(tcp), seen).await,
                Some(acceptor) => {
                    let Ok(io) = acceptor.accept(tcp).await else { return };
                    tunnel(io, seen).await;
                }
            }
        }
    })
    .await;
    (port, seen)
}

async fn tunnel(mut client: Box<dyn Io>, seen: Seen) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let Ok(byte) = client.read_u8().await else { return };
        head.push(byte);
    }
    seen.add(&head);
    let head = String::from_utf8(head).unwrap();
    let address = head.strip_prefix("CONNECT ").unwrap().split(' ').next().unwrap();
    let mut server = TcpStream::connect(address).await.unwrap();
    client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
    client.flush().await.unwrap();
    let (mut up, mut down) = ([0; 4096], [0; 4096]);
    loop {
        tokio::select! {
            got = client.read(&mut up) => {
                let Ok(1..) = &got else { return };
                let got = &up[..got.unwrap()];
                seen.add(got);
                let _ = server.write_all(got).await;
            }
            got = server.read(&mut down) => {
                let Ok(1..) = &got else { return };
                let got = &down[..got.unwrap()];
                seen.add(got);
                let _ = client.write_all(got).await;
                let _ = client.flush().await;
            }
        }
    }
}

/// Sends a large request through the proxy at `via` and receives a response of the same size.
/// Trusts the given authorities.
async fn put(port: u16, via: &str, trusted: &[&Authority]) -> Result<String, TransportError> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    for authority in trusted {
        file.write_all(authority.pem.as_bytes()).unwrap();
    }
    let roots = Roots::Bundle(bundle::load(file.path()).unwrap());
    let policy = TlsPolicy::new(roots);
    let proxies = Proxies::from_env(&|name| (name == "HTTPS_PROXY").then(|| via.to_owned()));
    let options = ClientOptions { proxies: proxies.unwrap(), ..ClientOptions::default() };
    let transport = tls::transport(&policy, options).unwrap();
    let request = Request::put(format!("https://localhost:{port}/v2/secret-path"));
    let body = Body::from(Bytes::from(BODY.repeat(TIMES) + END));
    let request = request.header("x-auth-token", TOKEN).body(body).unwrap();
    let answer = transport.send(request).await.inspect_err(|error| {
        let shown = format!("{error} {error:?} {transport:?}");
        for secret in ["bob", "hush", "Ym9iOmh1c2g", TOKEN] {
            assert!(!shown.contains(secret), "{shown}");
        }
    })?;
    let body = answer.into_body().collect(1 << 20).await.unwrap();
    Ok(String::from_utf8(body.to_vec()).unwrap())
}

/// Checks that the proxy saw only the server to connect to and the proxy credentials.
fn assert_discreet(seen: &Seen, port: u16) {
    let seen = seen.text();
    assert!(seen.starts_with(&format!("CONNECT localhost:{port} HTTP/1.1\r\n")), "{seen}");
    for secret in [TOKEN, "x-auth-token", "secret-path", BODY] {
        assert!(!seen.contains(secret), "{seen}");
    }
}

#[tokio::test]
async fn the_server_is_verified_inside_the_tunnel() {
    let root = Authority::new("root");
    let (port, received) = server(root.acceptor("localhost")).await;
    let (via, seen) = proxy(None).await;
    let via = format!("http://bob:hush@127.0.0.1:{via}");
    assert_eq!(put(port, &via, &[&root]).await.unwrap(), BODY.repeat(TIMES));
    assert!(received.text().contains(TOKEN) && !received.text().contains("Basic"));
    assert!(seen.text().contains("Proxy-Authorization: Basic Ym9iOmh1c2g=\r\n"));
    assert_discreet(&seen, port);
}

#[tokio::test]
async fn a_server_that_cannot_be_trusted_gets_nothing_through_a_tunnel() {
    let (root, stranger) = (Authority::new("root"), Authority::new("stranger"));
    for (acceptor, failure, reason) in [
        (
            stranger.acceptor("localhost"),
            TlsFailure::NotTrusted,
            "CN=stranger, which is not trusted",
        ),
        // The certificate must match the name of the server, not that of the proxy.
        (root.acceptor("127.0.0.1"), TlsFailure::WrongName, "not for localhost"),
    ] {
        let (port, received) = server(acceptor).await;
        let (via, seen) = proxy(None).await;
        let named = format!("the proxy http://127.0.0.1:{via} (HTTPS_PROXY)");
        let via = format!("http://bob:hush@127.0.0.1:{via}");
        let error = put(port, &via, &[&root]).await.unwrap_err();
        let (failure, reason) = match library::IS_LIMITED {
            true => (TlsFailure::Handshake, "rejected the server"),
            false => (failure, reason),
        };
        assert_eq!(error.kind, TransportErrorKind::Tls(failure), "{error}");
        assert_eq!(error.endpoint, format!("https://localhost:{port}"));
        assert!(error.reason.contains(reason) && error.reason.contains(&named), "{error}");
        assert!(error.hint.is_some());
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert_eq!(received.text(), "");
        assert_discreet(&seen, port);
    }
}

#[tokio::test]
async fn an_https_proxy_is_verified_like_a_server() {
    let (root, own) = (Authority::new("root"), Authority::new("proxy"));
    let (port, received) = server(root.acceptor("localhost")).await;
    let (via, seen) = proxy(Some(own.acceptor("127.0.0.1"))).await;
    let url = format!("https://bob:hush@127.0.0.1:{via}");
    assert_eq!(put(port, &url, &[&root, &own]).await.unwrap(), BODY.repeat(TIMES));
    assert!(received.text().contains(TOKEN));
    assert_discreet(&seen, port);

    let passed = (received.text(), seen.text());
    let named = url.replace("127.0.0.1", "localhost");
    for (url, trusted, failure, reason) in [
        (&url, &[&root][..], TlsFailure::NotTrusted, "CN=proxy, which is not trusted"),
        (&named, &[&root, &own][..], TlsFailure::WrongName, "not for localhost"),
    ] {
        let error = put(port, url, trusted).await.unwrap_err();
        let (failure, reason) = match library::IS_LIMITED {
            true => (TlsFailure::Handshake, "rejected the server"),
            false => (failure, reason),
        };
        assert_eq!(error.kind, TransportErrorKind::Tls(failure), "{error}");
        let named = format!("the proxy {} (HTTPS_PROXY)", url.replace("bob:hush@", ""));
        assert_eq!(error.endpoint, named);
        assert!(error.reason.contains(reason) && error.hint.is_some(), "{error}");
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert_eq!((received.text(), seen.text()), passed);
    }
}

#[tokio::test]
async fn a_proxy_without_tls_is_not_taken_for_an_https_proxy() {
    let root = Authority::new("root");
    let (port, received) = server(root.acceptor("localhost")).await;
    let via = listen(|mut tcp| async move {
        let _ = tcp.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
    })
    .await;
    let error = put(port, &format!("https://127.0.0.1:{via}"), &[&root]).await.unwrap_err();
    assert_eq!(error.endpoint, format!("the proxy https://127.0.0.1:{via} (HTTPS_PROXY)"));
    assert!(error.reason.contains("does not speak TLS"), "{error}");
    assert_eq!(received.text(), "");
}

const TOKEN: &str = "gAAAAtoken";
const BODY: &str = "a line of the data\n";
const END: &str = "the last line\n";
/// Enough to exceed all buffers along the path.
const TIMES: usize = 30_000;
