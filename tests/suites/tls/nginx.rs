//! Mutual TLS as operators set it up: nginx with `ssl_verify_client on` before a Glance.
//! `cargo xtask test` installs nginx.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use glance_core::ImageStore;
use glance_core::glance::GlanceStore;
use glance_core::identity::Session;
use glance_core::identity::auth::NoAuth;
use glance_core::image::ImageId;
use glance_core::store::{StoreError, StoreErrorKind};
use glance_core::tls::{ClientIdentity, Roots, TlsPolicy};
use rcgen::ExtendedKeyUsagePurpose::ClientAuth;
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep};
use transport_hyper::Options;

use crate::forge::Authority;
use crate::identities::Case;
use crate::row::{STACKS, Stack, certificates};

#[tokio::test(flavor = "multi_thread")]
async fn nginx_that_insists_on_a_client_certificate() {
    let case = Case::new();
    let stranger = Authority::root("a stranger");
    let wrong = stranger.issue(&[], &|params| params.extended_key_usages = vec![ClientAuth]);
    case.tool.write("wrong.pem", &wrong.pem);
    case.tool.write("wrong.key", &wrong.key);
    for version in ["TLSv1.2", "TLSv1.3"] {
        let nginx = Nginx::begin(&case, version).await;
        for stack in STACKS {
            let identity = case.load("client.pem", "client.key").unwrap();
            nginx.ask(stack, &case, Some(identity)).await.unwrap();

            let error = nginx.ask(stack, &case, None).await.unwrap_err();
            says(&error, "No required SSL certificate was sent", "asked for a client certificate");
            assert!(error.hint.unwrap().contains("--cert FILE"));

            let wrong = case.load("wrong.pem", "wrong.key").unwrap();
            let error = nginx.ask(stack, &case, Some(wrong)).await.unwrap_err();
            says(&error, "The SSL certificate error", "is the client certificate one that");
        }
    }
}

#[track_caller]
fn says(error: &StoreError, reason: &str, hint: &str) {
    assert_eq!(error.kind, StoreErrorKind::Invalid, "{error}");
    assert!(error.to_string().contains(reason), "{error}");
    assert!(error.hint.as_ref().is_some_and(|said| said.contains(hint)), "{error:?}");
}

/// A process of its own, on a port of its own, in a directory of its own.
struct Nginx {
    port: u16,
    _child: Child,
}

impl Nginx {
    async fn begin(case: &Case, version: &str) -> Self {
        case.tool.write("server.pem", &case.server.pem);
        case.tool.write("server.key", &case.server.key);
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            // Somebody else may take the port before nginx does.
            let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
            let mut child = start(case, free.port(), version);
            while child.try_wait().unwrap().is_none() {
                if TcpStream::connect(free).await.is_ok() {
                    return Self { port: free.port(), _child: child };
                }
                sleep(Duration::from_millis(5)).await;
            }
            assert!(Instant::now() < deadline, "nginx does not start: {}", case.tool.read("log"));
        }
    }

    /// Reads one record.
    async fn ask(
        &self,
        stack: &Stack,
        case: &Case,
        identity: Option<ClientIdentity>,
    ) -> Result<(), StoreError> {
        let mut policy = TlsPolicy::new(Roots::Bundle(certificates(&case.ca.pem)));
        policy.identity = identity;
        let transport = (stack.transport)(&policy, Options::default()).unwrap();
        let session = Arc::new(Session::new(Arc::clone(&transport), Arc::new(NoAuth::default())));
        let url = format!("https://127.0.0.1:{}", self.port);
        let id: ImageId = ID.parse().unwrap();
        GlanceStore::new("nginx", transport, url, session).get(&id).await.map(drop)
    }
}

fn start(case: &Case, port: u16, version: &str) -> Child {
    let configuration = CONFIGURATION
        .replace("PORT", &port.to_string())
        .replace("VERSION", version)
        .replace("ID", ID);
    case.tool.write("nginx.conf", &configuration);
    let mut command = Command::new(program());
    command.arg("-p").arg(case.tool.path()).args(["-c", "nginx.conf", "-e", "log"]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.kill_on_drop(true).spawn().unwrap()
}

fn program() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut all = std::env::split_paths(&path).chain(["/usr/sbin".into()]);
    all.find_map(|directory| Some(directory.join("nginx")).filter(|program| program.is_file()))
        .expect("nginx is not installed: run `cargo xtask test`")
}

const ID: &str = "00000000-0000-4000-8000-000000000001";

const CONFIGURATION: &str = r#"
daemon off;
master_process off;
pid pid;
events {}
http {
    access_log off;
    client_body_temp_path temporary;
    proxy_temp_path temporary;
    fastcgi_temp_path temporary;
    uwsgi_temp_path temporary;
    scgi_temp_path temporary;
    server {
        listen 127.0.0.1:PORT ssl;
        ssl_certificate server.pem;
        ssl_certificate_key server.key;
        ssl_protocols VERSION;
        ssl_client_certificate ca.pem;
        ssl_verify_client on;
        default_type application/json;
        location /v2/images/ID {
            return 200 '{"id": "ID", "status": "queued", "visibility": "private", "tags": []}';
        }
    }
}
"#;
