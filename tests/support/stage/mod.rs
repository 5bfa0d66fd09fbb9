//! Clouds, certificates and a shell, to run command lines as they stand in help texts and documents.

use std::fs;
use std::process::{Command, Stdio};
use std::sync::Arc;

use bytes::Bytes;
use glance_core::Body;
use glance_core::image::{Attributes, Image, ImageId, Owner};
use glance_core::store::ImageStore;
use glance_core::store::memory::MemoryStore;
use glance_server::GlanceApi;
use serde_json::{Map, json};
use tests::pki::{Authority, Leaf};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

use crate::support::common::{Run, cleared};
use crate::support::stack::{STACKS, acceptor};

/// Three clouds over HTTPS, of which `paris` has images, and a directory to run examples in. The
/// clouds have a short name each, too.
pub(crate) struct Stage {
    _runtime: Runtime,
    pub(crate) directory: tempfile::TempDir,
}

impl Stage {
    pub(crate) fn new() -> Self {
        let runtime = Runtime::new().unwrap();
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        let root = Authority::root("the CA of the tests").unwrap();
        let server = root.issue(&Leaf::new("server", &["127.0.0.1"])).unwrap();
        for (name, text) in
            [("ca.pem", root.pem()), ("cert.pem", &server.chain_pem), ("key.pem", &server.key_pem)]
        {
            fs::write(path(name), text).unwrap();
        }
        let mut clouds = Map::new();
        for (names, images) in
            [(["paris", "a"], IMAGES), (["lyon", "b"], &[]), (["oslo", "c"], &[])]
        {
            let store = MemoryStore::new(names[0]);
            runtime.block_on(seed(&store, images));
            let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
            let url = format!("https://{}", listener.local_addr().unwrap());
            let acceptor =
                acceptor(STACKS[0], server.chain_pem.as_bytes(), server.key_pem.as_bytes());
            let api = Arc::new(GlanceApi::new(Arc::new(store)));
            let forever = std::future::pending();
            runtime.spawn(glance_server::serve(listener, Some(acceptor), api, forever));
            let cloud = json!({
                "auth_type": "none", "image_endpoint_override": url, "cacert": path("ca.pem"),
            });
            clouds.extend(names.map(|name| (name.to_owned(), cloud.clone())));
        }
        fs::write(path("clouds.yaml"), json!({ "clouds": clouds }).to_string()).unwrap();
        let tool = env!("CARGO_BIN_EXE_glance-replicator-under-test");
        std::os::unix::fs::symlink(tool, path("glance-replicator")).unwrap();
        Self { _runtime: runtime, directory }
    }

    /// A shell in the directory, with the clouds, where the tool has its own name.
    #[track_caller]
    pub(crate) fn shell(&self, shell: &str) -> Command {
        let directory = self.directory.path();
        let mut command = cleared(Command::new(shell));
        command.current_dir(directory).stdin(Stdio::null());
        command.env("OS_CLIENT_CONFIG_FILE", directory.join("clouds.yaml"));
        let path = std::env::var("PATH").unwrap();
        command.env("PATH", format!("{}:{path}", directory.display()));
        command
    }

    /// Runs a line in a shell.
    #[track_caller]
    pub(crate) fn run(&self, line: &str, code: i32) -> Run {
        let run = Run::of(self.shell("sh").args(["-c", line]).output().unwrap());
        assert_eq!(run.code, Some(code), "{line}:\n{}\n{}", run.stdout, run.stderr);
        run
    }
}

/// Names and tags of the images of `paris`.
const IMAGES: &[(&str, &str)] =
    &[("debian-12", "stable"), ("debian-daily", "test"), ("ubuntu-24.04", "stable")];

async fn seed(store: &MemoryStore, images: &[(&str, &str)]) {
    for (number, (name, tag)) in images.iter().enumerate() {
        let attributes = Attributes {
            name: Some((*name).to_owned()),
            // No Keystone is available to compare the projects of the clouds.
            owner: Owner::NoProject,
            tags: [(*tag).to_owned()].into(),
            disk_format: Some("raw".into()),
            container_format: Some("bare".into()),
            ..Attributes::default()
        };
        let id: ImageId = format!("00000000-0000-4000-8000-00000000000{number}").parse().unwrap();
        store.create(&Image::queued(id.clone(), attributes)).await.unwrap();
        store.upload(&id, Body::from(Bytes::from(vec![b'a'; 1000]))).await.unwrap();
    }
}
