//! An nginx for one test. `cargo xtask test` installs nginx.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep};

/// An nginx process with a port and a directory of its own.
pub(crate) struct Nginx {
    pub(crate) port: u16,
    _child: Child,
}

impl Nginx {
    /// Starts nginx in `directory`. `http` is the content of the configuration's `http` section, in
    /// which `PORT` stands for the port that nginx listens on.
    pub(crate) async fn begin(directory: &Path, http: &str) -> Self {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            // Another process may take the port before nginx does.
            let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
            let mut child = start(directory, &http.replace("PORT", &free.port().to_string()));
            while child.try_wait().unwrap().is_none() {
                if TcpStream::connect(free).await.is_ok() {
                    return Self { port: free.port(), _child: child };
                }
                sleep(Duration::from_millis(5)).await;
            }
            let log = std::fs::read_to_string(directory.join("log")).unwrap_or_default();
            assert!(Instant::now() < deadline, "nginx does not start: {log}");
        }
    }
}

fn start(directory: &Path, http: &str) -> Child {
    let configuration = CONFIGURATION.replace("HTTP", http);
    std::fs::write(directory.join("nginx.conf"), configuration).unwrap();
    let mut command = Command::new(program());
    command.arg("-p").arg(directory).args(["-c", "nginx.conf", "-e", "log"]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.kill_on_drop(true).spawn().unwrap()
}

fn program() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut all = std::env::split_paths(&path).chain(["/usr/sbin".into()]);
    all.find_map(|directory| Some(directory.join("nginx")).filter(|program| program.is_file()))
        .expect("nginx is not installed: run `cargo xtask test`")
}

const CONFIGURATION: &str = r"
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
    HTTP
}
";
