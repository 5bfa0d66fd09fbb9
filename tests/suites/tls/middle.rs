//! A man in the middle. It terminates TLS with a certificate for the right host from its own CA,
//! reads the client's requests, and passes them on to the real server.

use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use glance_core::store::memory::MemoryStore;
use glance_server::GlanceApi;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;
use transport_hyper::{Io, TlsAcceptor};

use crate::suites::tls::forge::{Authority, Identity, PLAIN, Tool};
use crate::suites::tls::row::{STACKS, Stack};
use crate::support::common::{Run, replicator_with};

#[tokio::test(flavor = "multi_thread")]
async fn a_man_in_the_middle_reads_nothing_unless_his_ca_is_named() {
    for stack in STACKS {
        let (real, his) = (Authority::root("the CA"), Authority::root("a firewall's CA"));
        let tool = Tool::new();
        tool.write("real.pem", &real.pem);
        tool.write("his.pem", &his.pem);
        let server = serve(stack, &real.issue(&["localhost"], PLAIN)).await;
        let him = Middle::begin(stack, &his, server, tool.path()).await;

        let run = size(stack, server, &tool, "real.pem").await.exits(0);
        assert!(run.stdout.contains("0 images"), "{}", run.stdout);
        let run = size(stack, him.port, &tool, "real.pem").await.exits(4);
        let words = match stack.is_limited() {
            true => ["rejected the server", "hint: check the server"],
            false => [
                "CN=a firewall's CA, which is not trusted",
                "hint: pass the certificate of CN=a firewall's CA with --cacert FILE",
            ],
        };
        for words in words {
            assert!(run.stderr.contains(words), "no {words:?} in {}", run.stderr);
        }
        assert_eq!(him.read.load(Ordering::SeqCst), 0, "the man in the middle read something");
        let run = size(stack, him.port, &tool, "his.pem").await.exits(0);
        assert!(run.stdout.contains("0 images"), "{}", run.stdout);
        assert!(him.read.load(Ordering::SeqCst) > 0);
    }
}

/// Starts an empty Glance. Returns its port.
async fn serve(stack: &Stack, identity: &Identity) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let api = Arc::new(GlanceApi::new(Arc::new(MemoryStore::new("real"))));
    let acceptor = (stack.acceptor)(identity.pem.as_bytes(), identity.key.as_bytes()).unwrap();
    tokio::spawn(glance_server::serve(listener, Some(acceptor), api, std::future::pending()));
    port
}

async fn size(stack: &Stack, port: u16, tool: &Tool, ca: &str) -> Run {
    let ca = tool.path().join(ca).to_str().unwrap().to_owned();
    let (url, stack) = (format!("https://localhost:{port}"), stack.name);
    let run = move || replicator_with(&["size", &url, "--cacert", &ca, "--tls", stack], &[]);
    tokio::task::spawn_blocking(run).await.unwrap()
}

struct Middle {
    port: u16,
    read: Arc<AtomicUsize>,
}

impl Middle {
    async fn begin(stack: &Stack, his: &Authority, server: u16, directory: &Path) -> Self {
        let identity = his.issue(&["localhost"], PLAIN);
        let acceptor = (stack.acceptor)(identity.pem.as_bytes(), identity.key.as_bytes()).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let read = Arc::new(AtomicUsize::new(0));
        let (counter, directory) = (Arc::clone(&read), directory.to_owned());
        tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                if let Some(client) = accepted(&*acceptor, tcp).await {
                    tokio::spawn(pass(client, server, directory.clone(), Arc::clone(&counter)));
                }
            }
        });
        Self { port, read }
    }
}

async fn accepted(acceptor: &dyn TlsAcceptor, tcp: TcpStream) -> Option<Box<dyn Io>> {
    acceptor.accept(tcp).await.ok()
}

/// Reads the client's data, and sends it to the real server with OpenSSL's client.
async fn pass(
    client: Box<dyn Io>,
    server: u16,
    directory: std::path::PathBuf,
    counter: Arc<AtomicUsize>,
) {
    let mut command = Command::new("openssl");
    command.args(["s_client", "-quiet", "-verify_return_error", "-CAfile", "real.pem"]);
    command.args(["-servername", "localhost", "-connect", &format!("127.0.0.1:{server}")]);
    command.current_dir(directory).env("OPENSSL_CONF", "cnf").kill_on_drop(true);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut onward = command.spawn().unwrap();
    let (mut stdin, mut stdout) = (onward.stdin.take().unwrap(), onward.stdout.take().unwrap());
    let (mut words, mut answers) = tokio::io::split(client);
    let back = tokio::spawn(async move { copy(&mut stdout, &mut answers).await });
    let mut buffer = [0; 4096];
    while let Ok(length @ 1..) = words.read(&mut buffer).await {
        counter.fetch_add(length, Ordering::SeqCst);
        stdin.write_all(&buffer[..length]).await.unwrap();
    }
    back.abort();
}
