//! Resumable TLS sessions: no verification is skipped.

use std::process::Stdio;
use std::sync::Arc;

use glance_core::body::Body;
use glance_core::{Transport, TransportError};
use http::Request;
use tls_policy::{Pin, Roots, TlsPolicy};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdout, Command};
use transport_hyper::ClientOptions;

use crate::suites::tls::forge::{Authority, Identity, PLAIN, Tool};
use crate::suites::tls::row::{STACKS, certificates, get, revocation_lists};

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_never_shared_between_policies() {
    let (ca, other) = (Authority::root("the CA"), Authority::root("another"));
    let identity = ca.issue(&["127.0.0.1"], PLAIN);
    for stack in STACKS {
        for version in ["-tls1_2", "-tls1_3"] {
            let server = Tickets::begin(&identity, version).await;
            let ask = |policy: TlsPolicy| {
                let port = server.port;
                async move { get(stack, &policy, "127.0.0.1", port).await.map(drop) }
            };
            let trusting = |ca: &Authority| TlsPolicy::new(Roots::Bundle(certificates(&ca.pem)));
            ask(trusting(&ca)).await.unwrap();
            let foreign = if stack.is_limited() { "rejected the server" } else { UNTRUSTED };
            refused(ask(trusting(&other)).await, foreign);
            let mut pinned = trusting(&ca);
            pinned.pins = certificates(&other.pem).iter().filter_map(|o| Pin::of(&o.der)).collect();
            refused(ask(pinned).await, "does not match any given pin");
            // native-tls does not check revocation lists.
            if !stack.is_limited() {
                let mut revoking = trusting(&ca);
                revoking.revocation = revocation_lists(&ca.list(&[7]));
                refused(ask(revoking).await, "revoked");
            }
            ask(trusting(&ca)).await.unwrap();
        }
    }
}

const UNTRUSTED: &str = "CN=the CA, which is not trusted";

#[track_caller]
fn refused(outcome: Result<(), TransportError>, words: &str) {
    let error = outcome.expect_err("accepted");
    assert!(error.reason.contains(words), "{error}");
}

/// The client connects again and does not use the ticket that the server offered.
#[tokio::test(flavor = "multi_thread")]
async fn sessions_are_never_resumed() {
    let ca = Authority::root("the CA");
    let identity = ca.issue(&["127.0.0.1"], PLAIN);
    for version in ["-tls1_2", "-tls1_3"] {
        let server = Tickets::begin(&identity, version).await;
        // The tickets are valid: OpenSSL's own client resumes with one.
        assert!(server.visit_with_the_tool(version, "-sess_out").await.contains("\nNew, TLSv1."));
        let again = server.visit_with_the_tool(version, "-sess_in").await;
        assert!(again.contains("\nReused, TLSv1."), "{again}");
        for stack in STACKS {
            let policy = TlsPolicy::new(Roots::Bundle(certificates(&ca.pem)));
            let transport = (stack.transport)(&policy, ClientOptions::default()).unwrap();
            for _ in 0..3 {
                let page = visit(&transport, server.port).await;
                assert!(page.contains("\nNew, TLSv1."), "{page}");
            }
        }
    }
}

async fn visit(transport: &Arc<dyn Transport>, port: u16) -> String {
    let request = Request::get(format!("https://127.0.0.1:{port}/")).body(Body::empty()).unwrap();
    let answer = transport.send(request).await.unwrap();
    let page = answer.into_body().collect(1 << 20).await.unwrap();
    String::from_utf8_lossy(&page).into_owned()
}

/// A server that issues tickets, and answers with a page about the session.
struct Tickets {
    port: u16,
    tool: Tool,
    _child: Child,
    _stdout: BufReader<ChildStdout>,
}

impl Tickets {
    async fn begin(identity: &Identity, version: &str) -> Self {
        let tool = Tool::new();
        tool.write("leaf", &identity.pem);
        tool.write("key", &identity.key);
        let mut command = Command::new("openssl");
        command.args(["s_server", "-www", "-accept", "127.0.0.1:0", "-cert", "leaf"]);
        command.args(["-key", "key", version]).current_dir(tool.path());
        command.env("OPENSSL_CONF", "cnf").kill_on_drop(true);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().expect("openssl is not installed");
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let port = loop {
            // The line reads ACCEPT 127.0.0.1:40000
            let mut line = String::new();
            assert!(stdout.read_line(&mut line).await.unwrap() > 0, "s_server ended");
            if let Some((_, port)) = line.trim().split_once("ACCEPT 127.0.0.1:") {
                break port.parse().unwrap();
            }
        };
        Self { port, tool, _child: child, _stdout: stdout }
    }

    async fn visit_with_the_tool(&self, version: &str, ticket: &str) -> String {
        let mut command = Command::new("openssl");
        command.args(["s_client", "-quiet", "-connect", &format!("127.0.0.1:{}", self.port)]);
        command.args([version, ticket, "session"]).current_dir(self.tool.path());
        command.env("OPENSSL_CONF", "cnf").stdin(Stdio::piped());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(b"GET / HTTP/1.0\r\n\r\n").await.unwrap();
        let page = child.wait_with_output().await.unwrap().stdout;
        String::from_utf8_lossy(&page).into_owned()
    }
}
