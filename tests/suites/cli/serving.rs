//! `serve`: which requests it allows, and from which clients.

use std::fs;
use std::io::{BufRead, BufReader, Lines};
use std::path::Path;
use std::process::{Child, ChildStdout};

use serde_json::{Value, json};
use tests::pki::{Authority, Leaf};

use crate::support::common::{replicator_with, start_piped};

const ID: &str = "6d55dd55-053a-4765-b7bc-b30df0ea3861";

/// Writes `ca.pem`, `cert.pem`, `key.pem`, and a dump of one image without data in `dump`.
fn write_stage(directory: &Path) {
    let root = Authority::root("Root").unwrap();
    let server = root.issue(&Leaf::new("localhost", &["localhost", "127.0.0.1"])).unwrap();
    let record = json!({"image": {
        "id": ID, "status": "queued", "visibility": "private", "name": "one",
        "disk_format": "raw", "container_format": "bare",
    }});
    fs::create_dir_all(directory.join("dump/metadefs")).unwrap();
    for (name, text) in [
        ("ca.pem", root.pem()),
        ("cert.pem", &server.chain_pem),
        ("key.pem", &server.key_pem),
        ("token", "sesame\n"),
        ("dump/manifest.json", r#"{"format": "glance-dump", "version": 2, "complete": true}"#),
        (&format!("dump/{ID}.json"), &record.to_string()),
        ("dump/metadefs/N.json", r#"{"namespace": "N", "visibility": "public"}"#),
    ] {
        fs::write(directory.join(name), text).unwrap();
    }
}

/// A server process; dropping the value stops it.
struct Server {
    process: Child,
    _output: Lines<BufReader<ChildStdout>>,
    url: String,
    /// The second line of the server's output.
    allows: String,
}

impl Server {
    fn start(directory: &Path, dump: &str, options: &[&str]) -> Self {
        let path = |name: &str| directory.join(name).to_str().unwrap().to_owned();
        let (dump, cert, key) = (path(dump), path("cert.pem"), path("key.pem"));
        let line = ["serve", &dump, "--cert", &cert, "--key", &key, "--listen", "127.0.0.1:0"];
        let mut process = start_piped(&[&line, options].concat());
        let mut output = BufReader::new(process.stdout.take().unwrap()).lines();
        let first = output.next().unwrap().unwrap();
        let (_, address) = first.split_once(" on ").unwrap();
        let (url, allows) = (address.to_owned(), output.next().unwrap().unwrap());
        Self { process, _output: output, url, allows }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn serve_announces_its_permissions_and_enforces_them() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    write_stage(directory);
    let path = |name: &str| directory.join(name).to_str().unwrap().to_owned();
    let (ca, token) = (path("ca.pem"), path("token"));
    let read = "may read but not write";
    let anyone = "all users of this machine, without a token,";
    for (options, said, writes, reads) in [
        (&[][..], format!("{anyone} {read}"), 3, 0),
        (&["--open-to-everyone"], format!("{anyone} {read}"), 3, 0),
        (
            &["--require-token-file", &token],
            format!("callers with the required token {read}"),
            5,
            5,
        ),
        (&["--writable"], format!("{anyone} may read and write"), 0, 0),
    ] {
        let before = files(&directory.join("dump"));
        let server = Server::start(directory, "dump", options);
        assert_eq!(server.allows, said, "{options:?}");
        let run = |line: &[&str]| replicator_with(&[line, &["--cacert", &ca]].concat(), &[]);
        run(&["size", &server.url]).exits(reads);
        if writes != 0 {
            assert_eq!(files(&directory.join("dump")), before, "{options:?}");
        }
        // The dump's namespaces are served too.
        if reads == 0 {
            let copy = path("copy");
            let copied = run(&["metadefs", &server.url, &copy]).exits(0);
            assert!(copied.stdout.contains('N'), "{}", copied.stdout);
            fs::remove_dir_all(copy).unwrap();
        }
        let other = path("other");
        write_image(Path::new(&other));
        let run = run(&["load", &other, &server.url]).exits(writes);
        let refused = run.stderr.contains("read-only") || run.stderr.contains("authentication");
        assert_eq!(refused, writes != 0, "{}", run.stderr);
        fs::remove_dir_all(&other).unwrap();
    }
}

/// Writes a dump of another image without data.
fn write_image(directory: &Path) {
    let id = "7d55dd55-053a-4765-b7bc-b30df0ea3862";
    let record = json!({"image": {
        "id": id, "status": "active", "visibility": "private", "size": 3,
        "checksum": "900150983cd24fb0d6963f7d28e17f72",
        "disk_format": "raw", "container_format": "bare",
    }});
    fs::create_dir_all(directory).unwrap();
    let manifest = r#"{"format": "glance-dump", "version": 2, "complete": true}"#;
    fs::write(directory.join("manifest.json"), manifest).unwrap();
    fs::write(directory.join(format!("{id}.json")), record.to_string()).unwrap();
    fs::write(directory.join(format!("{id}.img")), "abc").unwrap();
}

/// Returns the files of a directory with their contents.
fn files(directory: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<(String, Vec<u8>)> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.path().is_file())
        .map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap()))
        .collect();
    files.sort();
    files
}

#[test]
fn serve_is_not_opened_to_everyone_by_accident() {
    let directory = tempfile::tempdir().unwrap();
    write_stage(directory.path());
    let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    let (dump, cert, key, token) = (path("dump"), path("cert.pem"), path("key.pem"), path("token"));
    let serve = ["serve", &dump, "--cert", &cert, "--key", &key];
    for (options, reason) in [
        (&["--listen", "0.0.0.0:0"][..], "no token is required"),
        (&["--listen", "[::]:0", "--writable"], "no token is required"),
        (&["--listen", "192.0.2.1:0"], "--require-token-file"),
        (&["--open-to-everyone", "--require-token-file", &token], "cannot be used with"),
    ] {
        let run = replicator_with(&[&serve, options].concat(), &[]).exits(2);
        assert!(run.stderr.contains(reason), "{options:?}: {}", run.stderr);
    }
    // A directory that is only read is not created.
    let missing = path("missing");
    let line = ["serve", &missing, "--cert", &cert, "--key", &key, "--listen", "127.0.0.1:0"];
    let run = replicator_with(&line, &[]);
    assert!(run.code != Some(0) && run.stderr.contains("no such directory"), "{}", run.stderr);
    assert!(!Path::new(&missing).exists());
}

#[test]
fn a_dump_of_the_old_tool_can_be_served() {
    let directory = tempfile::tempdir().unwrap();
    write_stage(directory.path());
    let old = directory.path().join("old");
    fs::create_dir(&old).unwrap();
    let record = json!({
        "id": ID, "name": "one", "status": "active", "size": 3, "disk_format": "raw",
        "container_format": "bare", "is_public": true, "properties": {},
    });
    fs::write(old.join(ID), record.to_string()).unwrap();
    fs::write(old.join(format!("{ID}.img")), "abc").unwrap();
    let server = Server::start(directory.path(), "old", &[]);
    let ca = directory.path().join("ca.pem");
    let line = ["size", &server.url, "--cacert", ca.to_str().unwrap(), "--output", "json"];
    let run = replicator_with(&line, &[]).exits(0);
    let size: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!((&size["images"], &size["bytes"]), (&json!(1), &json!(3)), "{}", run.stdout);
}
