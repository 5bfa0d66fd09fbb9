//! Servers whose decrypted data a test can read: `openssl s_server` behind a relay of the test.
//!
//! `s_server` accepts every client certificate, and prints the decrypted data. If it printed
//! nothing until its end, no application byte arrived.

use std::net::IpAddr;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use crate::suites::tls::forge::{Identity, Tool};

/// The behaviour of a server on its only connection.
#[derive(Clone)]
pub(crate) enum Server {
    /// Speaks TLS with this certificate, and these options of `s_server`.
    Tls(Box<Identity>, String),
    /// Answers in plain HTTP.
    Plain,
    /// Closes the connection after the client's first bytes.
    HangsUp,
}

/// A server for one connection.
pub(crate) struct Served {
    pub(crate) port: u16,
    task: JoinHandle<Vec<u8>>,
}

impl Served {
    /// Waits for the end of the connection. Returns the application bytes that arrived.
    pub(crate) async fn arrived(self) -> Vec<u8> {
        timeout(LIMIT, self.task).await.expect("the server's connection does not end").unwrap()
    }
}

/// Starts the server on a free port of this address. It serves clients that connect directly, and
/// clients that use it as a proxy, which lets them ask for any host name.
pub(crate) async fn serve(server: Server, ip: IpAddr) -> Served {
    let listener = TcpListener::bind((ip, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let task = tokio::spawn(async move {
        let tool = Tool::new();
        let behind = match &server {
            Server::Tls(identity, options) => Some(start(&tool, identity, options)),
            Server::Plain | Server::HangsUp => None,
        };
        let (mut tcp, _) = listener.accept().await.unwrap();
        opened(&mut tcp).await;
        match behind {
            Some(child) => relay(tcp, child, &tool.path().join("socket")).await,
            None => without_tls(tcp, matches!(server, Server::Plain)).await,
        }
    });
    Served { port, task }
}

/// Answers the CONNECT request of a client that uses a proxy.
async fn opened(tcp: &mut TcpStream) {
    let mut first = [0];
    tcp.peek(&mut first).await.unwrap();
    if first == *b"C" {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(tcp.read_u8().await.unwrap());
        }
        tcp.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
    }
}

fn start(tool: &Tool, identity: &Identity, options: &str) -> Child {
    tool.write("leaf", &identity.pem);
    tool.write("key", &identity.key);
    let mut command = Command::new("openssl");
    command.args(["s_server", "-quiet", "-naccept", "1", "-unix", "socket"]);
    command.args(["-cert", "leaf", "-key", "key", "-no-CAfile", "-no-CApath", "-no-CAstore"]);
    if !identity.above.is_empty() {
        tool.write("above", &identity.above);
        command.args(["-cert_chain", "above"]);
    }
    if !options.contains("-cipher") {
        command.args(["-cipher", "DEFAULT:@SECLEVEL=0"]);
    }
    command.args(options.split_whitespace()).current_dir(tool.path());
    command.env("OPENSSL_CONF", "cnf").kill_on_drop(true);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    command.spawn().expect("openssl is not installed")
}

/// Relays the bytes, answers the first request, and collects the decrypted data.
async fn relay(mut tcp: TcpStream, mut child: Child, socket: &Path) -> Vec<u8> {
    let mut behind = connected(socket).await;
    let (mut stdin, mut stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let passed = tokio::spawn(async move {
        let _ = copy_bidirectional(&mut tcp, &mut behind).await;
    });
    let mut arrived = Vec::new();
    while stdout.read_buf(&mut arrived).await.unwrap() > 0 {
        if arrived.ends_with(b"\r\n\r\n") {
            stdin.write_all(ANSWER).await.unwrap();
        }
    }
    child.wait().await.unwrap();
    passed.await.unwrap();
    arrived
}

async fn connected(socket: &Path) -> UnixStream {
    let deadline = tokio::time::Instant::now() + LIMIT;
    loop {
        match UnixStream::connect(socket).await {
            Ok(stream) => return stream,
            Err(error) => assert!(tokio::time::Instant::now() < deadline, "s_server: {error}"),
        }
        sleep(Duration::from_millis(2)).await;
    }
}

/// The data that arrives at a server without TLS.
async fn without_tls(mut tcp: TcpStream, answers: bool) -> Vec<u8> {
    let mut arrived = Vec::new();
    tcp.read_buf(&mut arrived).await.unwrap();
    if answers {
        let _ = tcp.write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n").await;
        let _ = tcp.read_to_end(&mut arrived).await;
    }
    let is_tls = matches!(arrived[..], [0x16, 0x03, ..]);
    if is_tls { Vec::new() } else { arrived }
}

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok";
const LIMIT: Duration = Duration::from_secs(20);
