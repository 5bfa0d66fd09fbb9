//! Servers with good and bad certificates.

use std::fs;
use std::sync::Arc;

use glance_core::Transport;
use tests::pki::{Authority, Issued, Leaf, Validity, self_signed};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

use crate::support::stack::acceptor;

/// The servers' runtime, and a CA that clients trust by the file `ca.pem`.
pub(crate) struct Certified {
    runtime: Runtime,
    directory: tempfile::TempDir,
    root: Authority,
}

impl Certified {
    pub(crate) fn new() -> Self {
        let (directory, root) = (tempfile::tempdir().unwrap(), Authority::root("Root").unwrap());
        fs::write(directory.path().join("ca.pem"), root.pem()).unwrap();
        Self { runtime: Runtime::new().unwrap(), directory, root }
    }

    /// The path of a file next to `ca.pem`.
    pub(crate) fn path(&self, name: &str) -> String {
        self.directory.path().join(name).to_str().unwrap().to_owned()
    }

    /// A certificate with its key; the name says what is wrong with the certificate.
    pub(crate) fn issued(&self, name: &str) -> Issued {
        let leaf = Leaf::new("glance", &["127.0.0.1"]);
        let other = || Authority::root("Other").unwrap();
        match name {
            "good" => self.root.issue(&leaf),
            "soon" => self.root.issue(&leaf.with_validity(Validity::EndsIn(10))),
            "expired" => self.root.issue(&leaf.with_validity(Validity::Expired)),
            "early" => self.root.issue(&leaf.with_validity(Validity::NotYetValid)),
            "wrong host" => self.root.issue(&Leaf::new("glance", &["elsewhere.test"])),
            "self-signed" => self_signed(&leaf),
            "unknown CA" => other().issue(&leaf),
            "unknown CA, with chain" => other().intermediate("Middle").unwrap().issue(&leaf),
            other => panic!("no certificate is named {other}"),
        }
        .unwrap()
    }

    /// Serves `api` with the TLS stack and this certificate. Returns the URL.
    pub(crate) fn serve(&self, stack: &str, issued: &Issued, api: Arc<dyn Transport>) -> String {
        let listener = self.listen();
        let url = format!("https://{}", listener.local_addr().unwrap());
        let acceptor = acceptor(stack, issued.chain_pem.as_bytes(), issued.key_pem.as_bytes());
        let end = std::future::pending();
        self.runtime.spawn(glance_server::serve(listener, Some(acceptor), api, end));
        url
    }

    /// Serves `api` over plain http. Returns the address.
    pub(crate) fn serve_plain(&self, api: Arc<dyn Transport>) -> String {
        let listener = self.listen();
        let address = listener.local_addr().unwrap().to_string();
        let end = std::future::pending();
        self.runtime.spawn(glance_server::serve(listener, None, api, end));
        address
    }

    /// A listener that accepts no connection, so that clients wait.
    pub(crate) fn listen(&self) -> TcpListener {
        self.runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap()
    }
}
