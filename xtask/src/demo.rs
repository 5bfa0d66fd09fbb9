//! `cargo xtask demo`: the main job on two embedded servers, with nothing but Rust.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::json;
use tests::pki::{Authority, Leaf};

use crate::failure::{Context, Failure};
use crate::say::print;
use crate::shell::cargo;
use crate::workspace;

/// Runs the demonstration.
pub(crate) fn run() -> Result<(), Failure> {
    cargo(&["build", "--package", "replicator-cli"])?;
    let stage = Stage::set(&workspace::target()?)?;
    print("\nA private CA was made, and two Glance services run on HTTPS: A with images, B empty.");
    let (a, b) = (stage.serve("a")?, stage.serve("b")?);

    print("\n1. Nobody told the tool to trust that CA, so it refuses (exit code 4):");
    stage.replicator(&["livecopy", &a.url, &b.url], 4)?;
    let cacert = stage.file("ca.pem");
    let trusted = |line: &[&str], exit| {
        let mut line = line.to_vec();
        line.extend(["--cacert", &cacert]);
        stage.replicator(&line, exit)
    };
    print("\n2. With the CA named, every image is copied and proven at both ends:");
    trusted(&["livecopy", &a.url, &b.url], 0)?;
    print("\n3. The two are compared, record by record and digest by digest:");
    trusted(&["compare", &a.url, &b.url], 0)?;
    print("\n4. A second copy finds all in place:");
    trusted(&["livecopy", &a.url, &b.url], 0)?;
    print("\n5. A is dumped to a directory, as for a room without a network:");
    let dump = stage.file("dump");
    trusted(&["dump", &a.url, &dump], 0)?;
    print("\n6. The dump is loaded into a third Glance, C, and compared with A:");
    let c = stage.serve("c")?;
    trusted(&["load", &dump, &c.url], 0)?;
    trusted(&["compare", &a.url, &c.url], 0)?;
    print(format_args!("\nDone. What was used is in {}.", stage.directory.display()));
    Ok(())
}

/// The directory of the demonstration: certificates, and what the servers serve.
struct Stage {
    directory: PathBuf,
    binary: PathBuf,
}

/// A server that ends with its value.
struct Server {
    process: Child,
    url: String,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Stage {
    fn set(target: &Path) -> Result<Self, Failure> {
        let directory = target.join("demo");
        let binary = target.join("debug/glance-replicator");
        if directory.exists() {
            fs::remove_dir_all(&directory).context(|| directory.display().to_string())?;
        }
        for name in ["a", "b", "c"] {
            fs::create_dir_all(directory.join(name)).context(|| name.to_owned())?;
        }
        let stage = Self { directory, binary };
        stage.write_certificates().context(|| "cannot make certificates")?;
        write_images(&stage.directory.join("old"))?;
        print("A few images, in a directory as the old tool wrote them, become the images of A:");
        stage.replicator(&["load", &stage.file("old"), &stage.file("a")], 0)?;
        Ok(stage)
    }

    fn file(&self, name: &str) -> String {
        self.directory.join(name).display().to_string()
    }

    fn write_certificates(&self) -> Result<(), Failure> {
        let pki = |error| Failure::new(format!("{error}"));
        let root = Authority::root("Demonstration CA").map_err(pki)?;
        let leaf = Leaf::new("localhost", &["localhost", "127.0.0.1"]);
        let server = root.issue(&leaf).map_err(pki)?;
        let files =
            [("ca.pem", root.pem()), ("cert.pem", &server.chain_pem), ("key.pem", &server.key_pem)];
        for (name, text) in files {
            fs::write(self.directory.join(name), text).context(|| name.to_owned())?;
        }
        Ok(())
    }

    fn serve(&self, name: &str) -> Result<Server, Failure> {
        let mut process = Command::new(&self.binary)
            .args(["serve", &self.file(name), "--listen", "127.0.0.1:0"])
            .args(["--cert", &self.file("cert.pem"), "--key", &self.file("key.pem")])
            .stdout(Stdio::piped())
            .spawn()
            .context(|| "cannot start the server")?;
        let output = process.stdout.take().ok_or_else(|| Failure::new("no output"))?;
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line).context(|| "cannot read the server")?;
        let url = line.trim().rsplit(' ').next().unwrap_or_default().to_owned();
        match url.starts_with("https://") {
            true => Ok(Server { process, url }),
            false => Err(Failure::new(format!("the server said {line:?}"))),
        }
    }

    /// Runs the tool, shows what it says, and fails when it exits with another code.
    fn replicator(&self, line: &[&str], exit: i32) -> Result<(), Failure> {
        print(format_args!("$ glance-replicator {}", line.join(" ")));
        let mut command = Command::new(&self.binary);
        for variable in HARMFUL {
            command.env_remove(variable);
        }
        let status = command.args(line).status().context(|| "cannot run the tool")?;
        match status.code() == Some(exit) {
            true => Ok(()),
            false => Err(Failure::new(format!("{status}, but exit code {exit} was expected"))),
        }
    }
}

/// Images as the old tool dumped them: `ID` is the record, `ID.img` the data.
fn write_images(directory: &Path) -> Result<(), Failure> {
    fs::create_dir_all(directory).context(|| directory.display().to_string())?;
    for (number, (name, bytes)) in IMAGES.iter().enumerate() {
        let id = format!("00000000-0000-4000-8000-{number:012}");
        let data: Vec<u8> = (0..*bytes).map(|byte| (byte % 251) as u8).collect();
        let record = json!({
            "id": id, "name": name, "status": "active", "size": bytes, "disk_format": "raw",
            "container_format": "bare", "min_disk": number, "min_ram": 0,
            "is_public": number % 2 == 0, "protected": false, "deleted": false,
            "properties": { "os_distro": name.split(' ').next(), "demonstration": "true" },
        });
        let path = directory.join(&id);
        fs::write(path.with_extension("img"), data).context(|| id.clone())?;
        fs::write(&path, record.to_string()).context(|| id.clone())?;
    }
    Ok(())
}

const IMAGES: &[(&str, u64)] =
    &[("debian 13", 3 << 20), ("fedora 44", 5 << 20), ("empty disk", 0), ("cirros", 70_001)];

/// What would make the tool trust others, or go through a proxy.
#[rustfmt::skip]
const HARMFUL: &[&str] = &[
    "OS_CACERT", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR",
    "all_proxy", "https_proxy", "ALL_PROXY", "HTTPS_PROXY",
];
