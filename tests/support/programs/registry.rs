//! A registry for one test: Debian's docker-registry over HTTPS on loopback, and skopeo, which copies
//! images to and from it. `cargo xtask test` installs both.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tests::pki::{Authority, Leaf};

use crate::support::common::cleared;

/// A registry process; dropping the value stops it.
pub(crate) struct Registry {
    address: String,
    /// The certificates, the configuration and the content.
    directory: tempfile::TempDir,
    process: Child,
}

impl Registry {
    /// Starts an empty registry.
    pub(crate) fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        let root = Authority::root("the CA of the registry").unwrap();
        let server = root.issue(&Leaf::new("registry", &["127.0.0.1"])).unwrap();
        // skopeo reads the certificates of a directory with this ending.
        fs::create_dir(path("trust")).unwrap();
        fs::write(path("trust/ca.crt"), root.pem()).unwrap();
        fs::write(path("cert.pem"), &server.chain_pem).unwrap();
        fs::write(path("key.pem"), &server.key_pem).unwrap();
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            // Another process may take the port before the registry does.
            let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
            let address = free.to_string();
            let mut process = serve(directory.path(), &address);
            while process.try_wait().unwrap().is_none() {
                if TcpStream::connect(free).is_ok() {
                    return Self { address, directory, process };
                }
                sleep(Duration::from_millis(5));
            }
            let log = fs::read_to_string(path("log")).unwrap_or_default();
            assert!(Instant::now() < deadline, "docker-registry does not start: {log}");
        }
    }

    /// Copies an image of a layout to the registry, by its tag.
    pub(crate) fn push(&self, layout: &Path, tag: &str) {
        let from = format!("oci:{}:{tag}", layout.display());
        skopeo(&["copy", "--dest-cert-dir", &self.trust(), &from, &self.named(tag)]);
    }

    /// Copies an image from the registry to a layout, by its tag.
    pub(crate) fn pull(&self, tag: &str, layout: &Path) {
        let to = format!("oci:{}:{tag}", layout.display());
        skopeo(&["copy", "--src-cert-dir", &self.trust(), &self.named(tag), &to]);
    }

    /// The manifest of an image in the registry.
    pub(crate) fn manifest(&self, tag: &str) -> Value {
        let line = ["inspect", "--raw", "--cert-dir", &self.trust(), &self.named(tag)];
        serde_json::from_str(&skopeo(&line)).unwrap()
    }

    fn named(&self, tag: &str) -> String {
        format!("docker://{}/images:{tag}", self.address)
    }

    fn trust(&self) -> String {
        self.directory.path().join("trust").to_str().unwrap().to_owned()
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Runs skopeo, and returns its output.
#[track_caller]
fn skopeo(line: &[&str]) -> String {
    let mut command = cleared(Command::new("skopeo"));
    // The machine need not have a policy for signatures.
    let output = command.arg("--insecure-policy").args(line).output();
    let output = output.expect("skopeo is not installed: run `cargo xtask test`");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "skopeo {}: {said}", line.join(" "));
    String::from_utf8(output.stdout).unwrap()
}

fn serve(directory: &Path, address: &str) -> Child {
    let path = |name: &str| directory.join(name);
    let configuration = json!({
        "version": 0.1,
        "storage": {"filesystem": {"rootdirectory": path("content")}},
        "http": {
            "addr": address,
            "tls": {"certificate": path("cert.pem"), "key": path("key.pem")},
        },
    });
    // YAML contains JSON.
    fs::write(path("configuration.yml"), configuration.to_string()).unwrap();
    let log = fs::File::create(path("log")).unwrap();
    let mut command = Command::new("docker-registry");
    command.arg("serve").arg(path("configuration.yml"));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
    command.spawn().expect("docker-registry is not installed: run `cargo xtask test`")
}
