//! The setting of a demonstration: certificates, images and servers.

use std::fs;
use std::io::{BufRead, BufReader, Lines};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use serde_json::json;
use tests::pki::{Authority, Leaf};

use crate::failure::{Context, Failure};

/// Writes `ca.pem`, and the `cert.pem` and `key.pem` of a server on the loopback interface and
/// `address`.
pub(crate) fn write_certificates(directory: &Path, address: &str) -> Result<(), Failure> {
    let pki = |error| Failure::new(format!("cannot make certificates: {error}"));
    let root = Authority::root("Demonstration CA").map_err(pki)?;
    let leaf = Leaf::new("localhost", &["localhost", "127.0.0.1", address]);
    let server = root.issue(&leaf).map_err(pki)?;
    let files =
        [("ca.pem", root.pem()), ("cert.pem", &server.chain_pem), ("key.pem", &server.key_pem)];
    for (name, text) in files {
        fs::write(directory.join(name), text).context(|| name.to_owned())?;
    }
    Ok(())
}

/// Writes images in the old tool's dump format.
pub(crate) fn write_images(directory: &Path) -> Result<(), Failure> {
    fs::create_dir_all(directory).context(|| directory.display().to_string())?;
    for (number, (name, bytes)) in (0..).zip(IMAGES) {
        write_image(directory, number, name, *bytes)?;
    }
    Ok(())
}

/// Writes an image in the old tool's dump format: `ID` is the record, `ID.img` the data.
pub(crate) fn write_image(
    directory: &Path,
    number: u64,
    name: &str,
    bytes: u64,
) -> Result<(), Failure> {
    let id = format!("00000000-0000-4000-8000-{number:012}");
    let data: Vec<u8> = (0..bytes).map(|byte| (byte % 251) as u8).collect();
    let record = json!({
        "id": id, "name": name, "status": "active", "size": bytes, "disk_format": "raw",
        "container_format": "bare", "min_disk": number, "min_ram": 0,
        "is_public": number % 2 == 0, "protected": false, "deleted": false,
        "properties": { "os_distro": name.split(' ').next(), "demonstration": "true" },
    });
    let path = directory.join(&id);
    fs::write(path.with_extension("img"), data).context(|| id.clone())?;
    fs::write(&path, record.to_string()).context(|| id.clone())
}

/// A server process; dropping the value stops it.
pub(crate) struct Server {
    process: Child,
    /// Kept open, so that the server's writes do not fail.
    output: Lines<BufReader<ChildStdout>>,
    /// The URL, `https://HOST:PORT`.
    pub(crate) url: String,
}

impl Server {
    /// Starts a server, and waits for the output line that contains `word` and then the address.
    pub(crate) fn start(command: &mut Command, word: &str) -> Result<Self, Failure> {
        let process = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
        let mut process = process.context(|| "cannot start the server")?;
        let output = process.stdout.take().ok_or_else(|| Failure::new("no output"))?;
        let lines = BufReader::new(output).lines();
        let mut server = Self { process, output: lines, url: String::new() };
        for line in server.output.by_ref() {
            let line = line.context(|| "cannot read the server")?;
            if let Some((_, address)) = line.split_once(word) {
                server.url = format!("https://{}", address.trim());
                return Ok(server);
            }
        }
        Err(Failure::new("the server ended at once"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

const IMAGES: &[(&str, u64)] =
    &[("debian 13", 3 << 20), ("fedora 44", 5 << 20), ("empty disk", 0), ("cirros", 70_001)];
