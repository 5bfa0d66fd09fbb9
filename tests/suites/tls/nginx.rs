//! Mutual TLS as operators set it up: nginx with `ssl_verify_client on` before a Glance.
//! `cargo xtask test` installs nginx.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use rcgen::ExtendedKeyUsagePurpose::ClientAuth;
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep};

use crate::common::{Run, replicator_with};
use crate::forge::Authority;
use crate::identities::Case;
use crate::row::{STACKS, Stack};

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
            let run = nginx.size(stack, &case, Some("client")).await.exits(0);
            assert!(run.stdout.contains("0 images"), "{}", run.stdout);

            let run = nginx.size(stack, &case, None).await.exits(2);
            says(&run, "No required SSL certificate was sent");
            says(&run, "hint: the server asked for a client certificate: name one with --cert");

            let run = nginx.size(stack, &case, Some("wrong")).await.exits(2);
            says(&run, "The SSL certificate error");
            says(&run, "hint: is the client certificate one that this server takes?");
        }
    }
}

#[track_caller]
fn says(run: &Run, words: &str) {
    assert!(run.stderr.contains(words), "no {words:?} in {}", run.stderr);
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

    async fn size(&self, stack: &Stack, case: &Case, client: Option<&str>) -> Run {
        let file = |name: &str| case.path(name).to_str().unwrap().to_owned();
        let mut line = vec!["size".to_owned(), format!("https://127.0.0.1:{}", self.port)];
        line.extend(["--tls".to_owned(), stack.name.to_owned()]);
        line.extend(["--cacert".to_owned(), file("ca.pem")]);
        if let Some(name) = client {
            line.extend(["--cert".to_owned(), file(&format!("{name}.pem"))]);
            line.extend(["--key".to_owned(), file(&format!("{name}.key"))]);
        }
        let run = move || {
            let line: Vec<&str> = line.iter().map(String::as_str).collect();
            replicator_with(&line, &[])
        };
        tokio::task::spawn_blocking(run).await.unwrap()
    }
}

fn start(case: &Case, port: u16, version: &str) -> Child {
    let configuration =
        CONFIGURATION.replace("PORT", &port.to_string()).replace("VERSION", version);
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
        location /v2/images {
            return 200 '{"images": []}';
        }
    }
}
"#;
