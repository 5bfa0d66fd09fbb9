//! An nginx that hands out one image the way a Glance does, as fast as nginx can.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::thread::sleep;
use std::time::Duration;

use crate::failure::{Context, Failure};
use crate::stage::write_certificates;

/// A running nginx; it ends with its value.
pub(crate) struct Server {
    process: Child,
    /// `https://localhost:PORT`.
    pub(crate) url: String,
    /// What signed its certificate.
    pub(crate) ca: PathBuf,
}

/// The image that it has.
pub(crate) const ID: &str = "00000000-0000-4000-8000-000000000001";

impl Server {
    /// Makes the image of `mib` and its record in `directory`, and serves them.
    pub(crate) fn start(directory: &Path, mib: usize) -> Result<Self, Failure> {
        let failed = || format!("cannot write to {}", directory.display());
        fs::create_dir_all(directory).context(failed)?;
        write_certificates(directory)?;
        let sha512 = write_image(&directory.join("image"), mib)?;
        let record = serde_json::json!({
            "id": ID, "name": "bench", "status": "active", "visibility": "private",
            "disk_format": "raw", "container_format": "bare", "min_disk": 0, "min_ram": 0,
            "protected": false, "os_hidden": false, "tags": [], "size": mib << 20,
            "os_hash_algo": "sha512", "os_hash_value": sha512, "checksum": null,
        });
        let list = serde_json::json!({ "images": [record] });
        fs::write(directory.join("list"), list.to_string()).context(failed)?;
        let port = free_port()?;
        let configuration = CONFIGURATION
            .replace("DIRECTORY", &directory.display().to_string())
            .replace("PORT", &port.to_string())
            .replace("ID", ID);
        let file = directory.join("nginx.conf");
        fs::write(&file, configuration).context(failed)?;
        let mut nginx = Command::new("/usr/sbin/nginx");
        let process = nginx.arg("-c").arg(&file).arg("-e").arg(directory.join("error.log")).spawn();
        let process = process.context(|| "cannot start nginx")?;
        let url = format!("https://localhost:{port}");
        let server = Self { process, url, ca: directory.join("ca.pem") };
        for _ in 0..100 {
            if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                return Ok(server);
            }
            sleep(Duration::from_millis(50));
        }
        Err(Failure::new("nginx does not answer"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A port that nobody listens on.
pub(super) fn free_port() -> Result<u16, Failure> {
    let address = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    Ok(address.context(|| "no free port")?.port())
}

/// Data that no layer can compress, the same every time; returns its SHA-512.
fn write_image(path: &Path, mib: usize) -> Result<String, Failure> {
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
  access_log off; sendfile on; keepalive_requests 100000; client_body_temp_path DIRECTORY/body;
  proxy_temp_path DIRECTORY/proxy; fastcgi_temp_path DIRECTORY/fastcgi;
  uwsgi_temp_path DIRECTORY/uwsgi; scgi_temp_path DIRECTORY/scgi;
  server {
    listen 127.0.0.1:PORT ssl; server_name localhost;
    ssl_certificate DIRECTORY/cert.pem; ssl_certificate_key DIRECTORY/key.pem;
    location = /v2/images {
      default_type application/json;
      if ($arg_os_hidden = true) { return 200 '{\"images\": []}'; }
      alias DIRECTORY/list;
    }
    location = /v2/images/ID/file { default_type application/octet-stream; alias DIRECTORY/image; }
    location = /v2/images/ID/members { default_type application/json; return 200 '{\"members\": []}'; }
  }
}
";
