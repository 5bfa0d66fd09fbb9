//! An nginx that serves one image as a Glance does, as fast as nginx can.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::thread::sleep;
use std::time::Duration;

use crate::demo_site::write_certificates;
use crate::failure::{Context, Failure};

/// A running nginx; dropping the value stops it.
pub(crate) struct Server {
    process: Child,
    image: PathBuf,
    log: PathBuf,
    /// The SHA-512 of the image.
    pub(crate) sha512: String,
    /// `https://ADDRESS:PORT`.
    pub(crate) url: String,
    /// The certificate of the CA that signed the server's certificate.
    pub(crate) ca: PathBuf,
}

/// The id of the served image.
pub(crate) const ID: &str = "00000000-0000-4000-8000-000000000001";

impl Server {
    /// Creates an image of `mib` MiB and its record in `directory`, and serves them on the loopback
    /// interface.
    pub(crate) fn start(directory: &Path, mib: usize) -> Result<Self, Failure> {
        Self::start_at(directory, mib, "127.0.0.1", &[])
    }

    /// Like [`Self::start`], but on another address of this machine, and under a launcher such as
    /// `ip netns exec NAME`, which `before` gives with its arguments.
    pub(crate) fn start_at(
        directory: &Path,
        mib: usize,
        address: &str,
        before: &[&str],
    ) -> Result<Self, Failure> {
        let failed = || format!("cannot write to {}", directory.display());
        fs::create_dir_all(directory).context(failed)?;
        write_certificates(directory, address)?;
        let sha512 = write_image(&directory.join("image"), mib)?;
        let record = serde_json::json!({
            "id": ID, "name": "bench", "status": "active", "visibility": "private",
            "disk_format": "raw", "container_format": "bare", "min_disk": 0, "min_ram": 0,
            "protected": false, "os_hidden": false, "tags": [], "size": mib << 20,
            "os_hash_algo": "sha512", "os_hash_value": sha512, "checksum": null,
        });
        let list = serde_json::json!({ "images": [record] });
        fs::write(directory.join("list"), list.to_string()).context(failed)?;
        fs::write(directory.join("record"), record.to_string()).context(failed)?;
        let port = free_port()?;
        let configuration = CONFIGURATION
            .replace("DIRECTORY", &directory.display().to_string())
            .replace("ADDRESS", address)
            .replace("PORT", &port.to_string())
            .replace("ID", ID);
        let file = directory.join("nginx.conf");
        fs::write(&file, configuration).context(failed)?;
        let log = directory.join("access.log");
        let _ = fs::remove_file(&log);
        let words = [before, &["/usr/sbin/nginx"]].concat();
        let mut nginx = Command::new(words[0]);
        nginx.args(&words[1..]).arg("-c").arg(&file).arg("-e").arg(directory.join("error.log"));
        let process = nginx.spawn().context(|| "cannot start nginx")?;
        let url = format!("https://{address}:{port}");
        let image = directory.join("image");
        let server = Self { process, image, log, sha512, url, ca: directory.join("ca.pem") };
        wait_for(address, port)?;
        Ok(server)
    }

    /// Returns the bytes of image data sent since the last call.
    pub(crate) fn take_sent(&self) -> Result<u64, Failure> {
        let text = fs::read_to_string(&self.log).context(|| "cannot read nginx's log")?;
        fs::write(&self.log, "").context(|| "cannot empty nginx's log")?;
        Ok(text.lines().filter_map(|line| line.parse::<u64>().ok()).sum())
    }
}

/// Waits until the port accepts connections.
pub(super) fn wait_for(address: &str, port: u16) -> Result<(), Failure> {
    for _ in 0..1200 {
        if TcpStream::connect((address, port)).is_ok() {
            return Ok(());
        }
        sleep(Duration::from_millis(50));
    }
    Err(Failure::new("the server does not answer"))
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = fs::remove_file(&self.image);
    }
}

/// Returns a port that no process listens on.
pub(super) fn free_port() -> Result<u16, Failure> {
    let address = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    Ok(address.context(|| "no free port")?.port())
}

/// Writes incompressible data, the same every time. Returns its SHA-512.
pub(super) fn write_image(path: &Path, mib: usize) -> Result<String, Failure> {
    let failed = || format!("cannot write {}", path.display());
    let mut file = BufWriter::new(File::create(path).context(failed)?);
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut block = vec![0; 1 << 20];
    for _ in 0..mib {
        for bytes in block.chunks_exact_mut(8) {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            bytes.copy_from_slice(&state.to_le_bytes());
        }
        file.write_all(&block).context(failed)?;
    }
    file.flush().context(failed)?;
    let output = Command::new("sha512sum").arg(path).output().context(|| "cannot run sha512sum")?;
    let said = String::from_utf8_lossy(&output.stdout);
    Ok(said.split(' ').next().unwrap_or_default().to_owned())
}

const CONFIGURATION: &str = "\
daemon off; master_process off; pid DIRECTORY/nginx.pid;
events {}
http {
  log_format sent $body_bytes_sent; access_log DIRECTORY/access.log sent; sendfile on; keepalive_requests 100000; client_body_temp_path DIRECTORY/body;
  proxy_temp_path DIRECTORY/proxy; fastcgi_temp_path DIRECTORY/fastcgi;
  uwsgi_temp_path DIRECTORY/uwsgi; scgi_temp_path DIRECTORY/scgi;
  server {
    listen ADDRESS:PORT ssl; server_name localhost;
    ssl_certificate DIRECTORY/cert.pem; ssl_certificate_key DIRECTORY/key.pem;
    location = /v2/images {
      default_type application/json;
      if ($arg_os_hidden = true) { return 200 '{\"images\": []}'; }
      alias DIRECTORY/list;
    }
    location = /v2/images/ID { default_type application/json; alias DIRECTORY/record; }
    location = /v2/images/ID/file { default_type application/octet-stream; alias DIRECTORY/image; }
    location = /v2/images/ID/members { default_type application/json; return 200 '{\"members\": []}'; }
  }
}
";
