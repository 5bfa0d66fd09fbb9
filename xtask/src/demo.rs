//! `cargo xtask demo`: a copy between two embedded servers, with nothing installed but Rust.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::demo_site::{Server, write_certificates, write_images};
use crate::failure::{Context, Failure};
use crate::output::print;
use crate::shell::cargo;
use crate::workspace;

/// Runs the demonstration.
pub(crate) fn run() -> Result<(), Failure> {
    cargo(&["build", "--package", "glance-replicator"])?;
    let stage = Stage::set(&workspace::target()?)?;
    print(
        "\nA private CA signed the certificate of two Glance services on HTTPS: A holds the images, B is empty.",
    );
    let (a, b) = (stage.serve("a")?, stage.serve("b")?);

    print("\n1. The tool does not trust that CA, so it refuses to connect (exit code 4):");
    stage.replicator(&["livecopy", &a.url, &b.url], 4)?;
    let cacert = stage.file("ca.pem");
    let trusted = |line: &[&str], exit| {
        let mut line = line.to_vec();
        line.extend(["--cacert", &cacert]);
        stage.replicator(&line, exit)
    };
    print("\n2. With --cacert, the tool copies every image and verifies it at both ends:");
    trusted(&["livecopy", &a.url, &b.url], 0)?;
    print("\n3. A comparison of A and B, record by record and digest by digest:");
    trusted(&["compare", &a.url, &b.url], 0)?;
    print("\n4. A second copy finds every image in place and transfers nothing:");
    trusted(&["livecopy", &a.url, &b.url], 0)?;
    print("\n5. A dump of A to a directory, for a site without a network:");
    let dump = stage.file("dump");
    trusted(&["dump", &a.url, &dump], 0)?;
    print("\n6. The dump is loaded into a third Glance, C, and C is compared with A:");
    let c = stage.serve("c")?;
    trusted(&["load", &dump, &c.url], 0)?;
    trusted(&["compare", &a.url, &c.url], 0)?;
    print(format_args!("\nDone. The files of this demo are in {}.", stage.directory.display()));
    Ok(())
}

/// The working directory of the demonstration: certificates, and the data of the servers.
struct Stage {
    directory: PathBuf,
    binary: PathBuf,
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
        write_certificates(&stage.directory, "localhost")?;
        write_images(&stage.directory.join("old"))?;
        print("Four images that the old glance-replicator dumped become the images of A:");
        stage.replicator(&["load", &stage.file("old"), &stage.file("a")], 0)?;
        Ok(stage)
    }

    fn file(&self, name: &str) -> String {
        self.directory.join(name).display().to_string()
    }

    fn serve(&self, name: &str) -> Result<Server, Failure> {
        let mut command = Command::new(&self.binary);
        command.args(["serve", &self.file(name), "--writable", "--listen", "127.0.0.1:0"]);
        command.args(["--cert", &self.file("cert.pem"), "--key", &self.file("key.pem")]);
        Server::start(&mut command, " on https://")
    }

    /// Runs the tool, shows its output, and fails unless the exit code is `exit`.
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

/// Variables that would change the tool's certificate trust or route it through a proxy.
#[rustfmt::skip]
const HARMFUL: &[&str] = &[
    "OS_CACERT", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR",
    "all_proxy", "https_proxy", "ALL_PROXY", "HTTPS_PROXY",
];
