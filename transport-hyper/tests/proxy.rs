//! Connections through a proxy on the loopback interface, with a fake TLS library.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "this is a test")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use glance_core::body::Body;
use glance_core::transport::{TlsFailure, Transport, TransportError, TransportErrorKind};
use http::Request;
use tls_policy::TlsVersion;
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufStream, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use transport_hyper::{
    ClientOptions, HandshakeError, HyperTransport, Io, Proxies, TlsBackend, TlsSession, TlsStream,
};

/// The lines that a party saw, in order.
#[derive(Debug, Clone, Default)]
struct Seen(Arc<Mutex<Vec<String>>>);

impl Seen {
    fn add(&self, line: impl Into<String>) {
        self.0.lock().unwrap().push(line.into());
    }

    fn all(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

/// A fake TLS library without encryption: records the hosts to verify, and rejects one of them.
#[derive(Debug)]
struct Clear {
    seen: Seen,
    refused: &'static str,
}

#[async_trait]
impl TlsBackend for Clear {
    async fn handshake(
        &self,
        host: &str,
        endpoint: &str,
        io: Box<dyn Io>,
    ) -> Result<TlsStream, HandshakeError> {
        self.seen.add(format!("{host} as {endpoint}"));
        if host != self.refused {
            let session = TlsSession {
                version: Some(TlsVersion::V1_3),
                cipher: None,
                chain: Vec::new(),
                client_certificate: None,
            };
            return Ok(TlsStream { io, session });
        }
        let kind = TransportErrorKind::Tls(TlsFailure::NotTrusted);
        Err(HandshakeError::from(TransportError::new(kind, endpoint, "it is a stranger")))
    }
}

async fn listen<F>(serve: impl Fn(BufStream<TcpStream>) -> F + Send + 'static) -> u16
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let (tcp, _) = listener.accept().await.unwrap();
            tokio::spawn(serve(BufStream::new(tcp)));
        }
    });
    port
}

/// The head of a request; `None` at the end of the connection.
async fn head(io: &mut BufStream<TcpStream>) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(io.read_u8().await.ok()?);
    }
    Some(String::from_utf8(head).unwrap())
}

/// A server that answers `ok` to any number of requests per connection.
async fn server() -> (u16, Seen) {
    let seen = Seen::default();
    let noted = seen.clone();
    let port = listen(move |mut io| {
        let seen = noted.clone();
        async move {
            while let Some(head) = head(&mut io).await {
                seen.add(head);
                io.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.unwrap();
                io.flush().await.unwrap();
            }
        }
    })
    .await;
    (port, seen)
}

/// A proxy that records its requests. It fulfils them, unless it is to return `answer`.
async fn proxy(answer: Option<&'static str>) -> (u16, Seen) {
    let seen = Seen::default();
    let noted = seen.clone();
    let port = listen(move |mut io| {
        let seen = noted.clone();
        async move {
            let Some(head) = head(&mut io).await else { return };
            seen.add(head.clone());
            let server = head.strip_prefix("CONNECT ").and_then(|rest| rest.split(' ').next());
            match (answer, server) {
                (Some(answer), _) => io.write_all(answer.as_bytes()).await.unwrap(),
                (None, None) => {
                    let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nforwarded";
                    io.write_all(answer).await.unwrap();
                }
                (None, Some(server)) => {
                    let mut server = TcpStream::connect(server).await.unwrap();
                    io.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await.unwrap();
                    io.flush().await.unwrap();
                    let _ = copy_bidirectional(&mut io, &mut server).await;
                }
            }
            let _ = io.flush().await;
        }
    })
    .await;
    (port, seen)
}

/// A client with environment variables of its own.
struct Client {
    transport: HyperTransport<Clear>,
    handshakes: Seen,
}

impl Client {
    fn new(environment: &[(&str, String)]) -> Self {
        Self::refusing("", environment)
    }

    fn refusing(refused: &'static str, environment: &[(&str, String)]) -> Self {
        let environment = environment.to_vec();
        let proxies = Proxies::from_env(&|name| {
            let found = environment.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| value.clone())
        });
        let options = ClientOptions {
            connect_timeout: Duration::from_millis(500),
            proxies: proxies.unwrap(),
            ..ClientOptions::default()
        };
        let handshakes = Seen::default();
        let backend = Clear { seen: handshakes.clone(), refused };
        Self { transport: HyperTransport::new(backend, options), handshakes }
    }

    async fn get(&self, url: &str) -> Result<String, TransportError> {
        let request = Request::get(url).header("x-auth-token", TOKEN).body(Body::empty()).unwrap();
        let answer = self.transport.send(request).await?;
        let body = answer.into_body().collect(100).await.unwrap();
        Ok(String::from_utf8(body.to_vec()).unwrap())
    }

    /// The error of a request, after checking that neither the error nor the client shows a secret.
    async fn fails(&self, url: &str) -> TransportError {
        let error = self.get(url).await.unwrap_err();
        let shown = format!("{error} {error:?} {:?}", self.transport);
        for secret in ["bob", "hush", "Ym9iOmh1c2g=", TOKEN] {
            assert!(!shown.contains(secret), "{shown}");
        }
        assert!(
            error.hint.is_some() || matches!(error.kind, TransportErrorKind::Tls(_)),
            "{error}"
        );
        error
    }
}

#[tokio::test]
async fn a_tunnel_shows_the_proxy_the_servers_address_and_nothing_else() {
    let ((port, received), (via, asked)) = (server().await, proxy(None).await);
    let client = Client::new(&[("HTTPS_PROXY", format!("http://127.0.0.1:{via}"))]);
    assert_eq!(client.get(&format!("https://localhost:{port}/v2?a=b")).await.unwrap(), "ok");
    let connect = format!("CONNECT localhost:{port} HTTP/1.1\r\nHost: localhost:{port}\r\n\r\n");
    assert_eq!(asked.all(), [connect]);
    let target = format!("localhost as https://localhost:{port}");
    assert_eq!(client.handshakes.all(), [target]);
    let received = received.all().concat();
    assert!(received.starts_with("GET /v2?a=b HTTP/1.1\r\n"), "{received}");
    assert!(received.contains(TOKEN) && !received.contains("proxy-"), "{received}");
}

#[tokio::test]
async fn connections_through_a_proxy_are_used_again_for_the_same_server_only() {
    let (via, asked) = proxy(None).await;
    let client = Client::new(&[("ALL_PROXY", format!("http://127.0.0.1:{via}"))]);
    let (one, other) = (server().await.0, server().await.0);
    for port in [one, one, other, one, other] {
        assert_eq!(client.get(&format!("https://127.0.0.1:{port}/")).await.unwrap(), "ok");
    }
    assert_eq!(asked.all().len(), 2, "{:?}", asked.all());
}

#[tokio::test]
async fn credentials_go_to_the_proxy_alone() {
    let ((port, received), (via, asked)) = (server().await, proxy(None).await);
    let proxy = format!("http://us%40er:p%3As%25s@127.0.0.1:{via}");
    let client = Client::new(&[("ALL_PROXY", proxy)]);
    client.get(&format!("https://127.0.0.1:{port}/")).await.unwrap();
    client.get(&format!("http://127.0.0.1:{port}/")).await.unwrap();
    let [tunnel, forward] = &asked.all()[..] else { panic!("{:?}", asked.all()) };
    let credentials = "Basic dXNAZXI6cDpzJXM=\r\n";
    assert!(tunnel.contains(&format!("Proxy-Authorization: {credentials}")), "{tunnel}");
    assert!(forward.contains(&format!("proxy-authorization: {credentials}")), "{forward}");
    assert!(!received.all().concat().contains("Basic"));
}

#[tokio::test]
async fn a_proxy_forwards_requests_to_plain_http_servers() {
    let ((port, received), (via, asked)) = (server().await, proxy(None).await);
    let client = Client::new(&[("http_proxy", format!("http://127.0.0.1:{via}"))]);
    assert_eq!(client.get(&format!("http://127.0.0.1:{port}/v2?a=b")).await.unwrap(), "forwarded");
    let forwarded = asked.all().concat();
    let line = format!("GET http://127.0.0.1:{port}/v2?a=b HTTP/1.1\r\n");
    assert!(forwarded.starts_with(&line), "{forwarded}");
    assert!(received.all().is_empty() && client.handshakes.all().is_empty());
    // The variable for http servers does not apply to https servers.
    assert_eq!(client.get(&format!("https://127.0.0.1:{port}/")).await.unwrap(), "ok");
    assert_eq!(asked.all().len(), 1);
}

#[tokio::test]
async fn no_proxy_goes_round_and_so_does_who_reads_no_environment() {
    let ((port, received), (via, asked)) = (server().await, proxy(None).await);
    let proxy = format!("http://127.0.0.1:{via}");
    for no_proxy in ["127.0.0.1", "127.0.0.0/8", "*", &format!("127.0.0.1:{port}")] {
        let client =
            Client::new(&[("ALL_PROXY", proxy.clone()), ("NO_PROXY", no_proxy.to_owned())]);
        assert_eq!(client.get(&format!("https://127.0.0.1:{port}/")).await.unwrap(), "ok");
        assert_eq!(client.get(&format!("http://127.0.0.1:{port}/")).await.unwrap(), "ok");
    }
    assert_eq!(ClientOptions::default().proxies, Proxies::default());
    Client::new(&[]).get(&format!("https://127.0.0.1:{port}/")).await.unwrap();
    assert_eq!((asked.all().len(), received.all().len()), (0, 9));
}

#[tokio::test]
async fn what_a_proxy_refuses_is_said_in_its_name() {
    for (answer, reason, hint) in [
        (
            "HTTP/1.1 407 Who?\r\n\r\n",
            "the proxy rejected the user and password (407)",
            "in HTTPS_PROXY",
        ),
        (
            "HTTP/1.0 401 Who?\r\n\r\n",
            "the proxy rejected the user and password (401)",
            "in HTTPS_PROXY",
        ),
        ("HTTP/1.0 403 No\r\n\r\n", "403 Forbidden to the request for 127.0.0.1:1", "NO_PROXY"),
        ("HTTP/1.1 503 hush\r\nx: y\r\n\r\n", "503 Service Unavailable", "can reach"),
        ("HTTP/1.1 302 Go\r\nlocation: http://x\r\n\r\n", "302 Found", "NO_PROXY"),
        (
            "220 mail ready\r\n\r\n",
            "the response of the proxy is not HTTP",
            "HTTPS_PROXY is correct",
        ),
        (
            "HTTP/1.1 200 OK\r\n",
            "the proxy closed the connection without a response",
            "HTTPS_PROXY is correct",
        ),
        ("", "the proxy closed the connection without a response", "HTTPS_PROXY is correct"),
    ] {
        let (via, _) = proxy(Some(answer)).await;
        let environment = [("HTTPS_PROXY", format!("http://bob:hush@127.0.0.1:{via}"))];
        let client = Client::new(&environment);
        let error = client.fails("https://127.0.0.1:1/").await;
        let refuses = [" 401 ", " 403 ", " 407 "].iter().any(|status| answer.contains(status));
        let kind = if refuses { TransportErrorKind::Refused } else { TransportErrorKind::Connect };
        assert_eq!(error.kind, kind, "{error}");
        assert_eq!(error.endpoint, format!("the proxy http://127.0.0.1:{via} (HTTPS_PROXY)"));
        assert!(error.reason.contains(reason), "{error}");
        assert!(error.hint.as_ref().is_some_and(|told| told.contains(hint)), "{:?}", error.hint);
        assert!(client.handshakes.all().is_empty());
    }
}

#[tokio::test]
async fn a_proxy_that_wants_a_password_says_so_for_both_kinds_of_servers() {
    let (via, _) = proxy(Some("HTTP/1.1 407 Who?\r\ncontent-length: 0\r\n\r\n")).await;
    let client = Client::new(&[("all_proxy", format!("127.0.0.1:{via}"))]);
    for server in ["https://127.0.0.1:1/", "http://127.0.0.1:1/"] {
        let error = client.fails(server).await;
        assert_eq!(error.kind, TransportErrorKind::Refused, "{error}");
        let proxy = format!("the proxy http://127.0.0.1:{via} (all_proxy)");
        let reason = "the proxy requires a user and password (407)";
        assert_eq!(error.to_string(), format!("cannot connect to {proxy}: {reason}"));
        let hint = "write all_proxy as http://user:password@host:port";
        assert_eq!(error.hint.as_deref(), Some(hint));
    }
}

#[tokio::test]
async fn a_proxy_that_is_not_there_or_silent_is_the_guilty_one() {
    let unused = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let silent = listen(|io| async {
        let _io = io;
        std::future::pending::<()>().await;
    })
    .await;
    for (via, kind) in
        [(unused, TransportErrorKind::Connect), (silent, TransportErrorKind::Timeout)]
    {
        let environment = [("HTTPS_PROXY", format!("http://bob:hush@127.0.0.1:{via}"))];
        let error = Client::new(&environment).fails("https://127.0.0.1:1/").await;
        assert_eq!(error.kind, kind, "{error}");
        assert_eq!(error.endpoint, format!("the proxy http://127.0.0.1:{via} (HTTPS_PROXY)"));
        assert!(error.hint.unwrap().contains("HTTPS_PROXY is correct"));
    }
}

#[tokio::test]
async fn an_https_proxy_is_verified_before_it_is_asked() {
    let ((port, received), (via, asked)) = (server().await, proxy(None).await);
    let environment = [("HTTPS_PROXY", format!("https://bob:hush@localhost:{via}"))];
    let client = Client::new(&environment);
    assert_eq!(client.get(&format!("https://127.0.0.1:{port}/")).await.unwrap(), "ok");
    let name = format!("the proxy https://localhost:{via} (HTTPS_PROXY)");
    let handshakes =
        [format!("localhost as {name}"), format!("127.0.0.1 as https://127.0.0.1:{port}")];
    assert_eq!(client.handshakes.all(), handshakes);
    assert_eq!((asked.all().len(), received.all().len()), (1, 1));

    let client = Client::refusing("localhost", &environment);
    let error = client.fails(&format!("https://127.0.0.1:{port}/")).await;
    assert_eq!(error.to_string(), format!("cannot trust {name}: it is a stranger"));
    assert_eq!((asked.all().len(), received.all().len()), (1, 1));
}

#[tokio::test]
async fn a_server_refused_in_a_tunnel_gets_nothing_and_the_proxy_is_mentioned() {
    let ((port, received), (via, _)) = (server().await, proxy(None).await);
    let environment = [("HTTPS_PROXY", format!("http://bob:hush@localhost:{via}"))];
    let client = Client::refusing("127.0.0.1", &environment);
    let error = client.fails(&format!("https://127.0.0.1:{port}/")).await;
    assert_eq!(error.kind, TransportErrorKind::Tls(TlsFailure::NotTrusted));
    assert_eq!(error.endpoint, format!("https://127.0.0.1:{port}"));
    let through = format!("through the proxy http://localhost:{via} (HTTPS_PROXY)");
    assert_eq!(error.reason, format!("it is a stranger ({through})"));
    assert!(received.all().is_empty());
}

const TOKEN: &str = "gAAAAtoken";
