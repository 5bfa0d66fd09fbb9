//! Two embedded servers: A with images, and B without.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cloud::sheltered;
use crate::demo_site::{Server, write_certificates, write_image};
use crate::failure::{Context, Failure};
use crate::shell::output;

/// The number of images of A. Each of 8 shards has some of them.
pub(crate) const IMAGES: u64 = 48;

/// The size of each image in bytes.
const SIZE: u64 = 512 << 10;

/// A source and a target, and the directory with their files.
pub(crate) struct Site {
    pub(crate) directory: PathBuf,
    tool: PathBuf,
    pub(crate) a: Server,
    pub(crate) b: Server,
}

impl Site {
    /// Starts both servers with a new `directory`.
    pub(crate) fn open(directory: PathBuf, tool: &Path) -> Result<Self, Failure> {
        if directory.exists() {
            fs::remove_dir_all(&directory).context(|| directory.display().to_string())?;
        }
        let old = directory.join("old");
        fs::create_dir_all(&old).context(|| old.display().to_string())?;
        for number in 0..IMAGES {
            write_image(&old, number, &format!("image {number}"), SIZE)?;
        }
        write_certificates(&directory, "localhost")?;
        let mut load = sheltered(tool);
        output(load.arg("load").arg(&old).arg(directory.join("a")))?;
        let serve = |name: &str| {
            let mut serve = sheltered(tool);
            serve.arg("serve").arg(directory.join(name)).args(["--writable", "--listen"]);
            serve.arg("127.0.0.1:0").arg("--cert").arg(directory.join("cert.pem"));
            Server::start(serve.arg("--key").arg(directory.join("key.pem")), " on https://")
        };
        let (a, b) = (serve("a")?, serve("b")?);
        Ok(Self { directory, tool: tool.to_owned(), a, b })
    }

    /// A path in the directory.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// The tool.
    pub(crate) fn tool(&self) -> Command {
        sheltered(&self.tool)
    }

    /// Fails unless B has every image of A, with the same data.
    pub(crate) fn expect_same(&self) -> Result<(), Failure> {
        let mut compare = self.tool();
        compare.arg("compare").args([&self.a.url, &self.b.url]).arg("--cacert");
        let said = output(compare.arg(self.path("ca.pem")))?;
        match said.contains(&format!("{IMAGES} images compared: {IMAGES} same")) {
            true => Ok(()),
            false => Err(Failure::new(format!("A and B should be the same:\n{said}"))),
        }
    }
}
