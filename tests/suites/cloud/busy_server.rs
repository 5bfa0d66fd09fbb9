//! A server that refuses more than four downloads at once: nginx in front of the real Glance A.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command};
use std::thread::sleep;
use std::time::Duration;

use glance_core::image::ImageId;
use serde_json::Value;

use crate::suites::cloud::via::{Scene, attributes, mebibytes};
use crate::support::real_cloud::{Cloud, STACKS};

/// A run begins with four images. One connection is slow, so that more would raise the rate.
#[tokio::test(flavor = "multi_thread")]
async fn the_numbers_stay_at_what_a_server_serves() {
    let scene = Scene::new().await;
    let token = scene.cloud.token("a").await;
    let mut runs = Vec::new();
    for ((number, code), stack) in (0..).zip(["429", "503"]).zip(STACKS.iter().cycle()) {
        let mut ids = Vec::new();
        for seed in 0..IMAGES {
            let name = attributes(&format!("busy {code}"));
            ids.push(scene.image(name, mebibytes(MEBIBYTES, 100 * number + seed)).await.id);
        }
        runs.push((code, *stack, ids));
    }
    std::thread::scope(|scope| {
        for (code, stack, ids) in &runs {
            let (cloud, token) = (&scene.cloud, &token);
            scope.spawn(move || dumps_all_at_the_servers_pace(cloud, token, code, stack, ids));
        }
    });
}

fn dumps_all_at_the_servers_pace(
    cloud: &Cloud,
    token: &str,
    code: &str,
    stack: &str,
    ids: &[ImageId],
) {
    let server = BusyServer::start(cloud, code);
    let ids: Vec<&str> = ids.iter().flat_map(|id| ["--id", id.as_str()]).collect();
    // A Glance as the target would take four uploads at once, too.
    let target = tempfile::tempdir().unwrap();
    let target = target.path().join("images");
    let line = ["dump", &server.url, target.to_str().unwrap(), "--tls", stack];
    let line = [&line[..], &["--output", "json"], &ids].concat();
    let variables = [("OS_TOKEN", token), ("OS_CACERT", cloud.text("ca"))];
    let run = cloud.replicator_with(&line, &variables).exits(0);
    let report: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(report["summary"]["copied"], IMAGES, "{}", run.stdout);

    let refusals = server.refusals(code);
    let (Some(first), Some(last)) = (refusals.first(), refusals.last()) else {
        panic!("{code}: nothing was refused: {}", report["adjustments"]);
    };
    // Requests that had begun before go on.
    assert!(last - first < 12.0, "{code}: refused for {} s: {refusals:?}", last - first);
    let adjustments = report["adjustments"].as_array().unwrap();
    let cut = adjustments.iter().position(|one| one["reason"] == "refused").unwrap();
    for one in &adjustments[cut..] {
        let number = |key: &str| one[key].as_u64().unwrap();
        assert!(number("images") <= 4 && number("connections") <= 4, "{code}: {adjustments:?}");
    }
}

/// nginx in front of Glance A. Each download gets 1 MiB per second.
struct BusyServer {
    nginx: Child,
    directory: tempfile::TempDir,
    url: String,
}

impl BusyServer {
    fn start(cloud: &Cloud, code: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let configuration = CONFIGURATION
            .replace("{directory}", directory.path().to_str().unwrap())
            .replace("{address}", &address.to_string())
            .replace("{pki}", cloud.directory.join("pki").to_str().unwrap())
            .replace("{glance}", cloud.text("a"))
            .replace("{code}", code);
        let file = directory.path().join("nginx.conf");
        fs::write(&file, configuration).unwrap();
        let nginx = Command::new("nginx").arg("-c").arg(&file).spawn().unwrap();
        let mut server = Self { nginx, directory, url: format!("https://{address}") };
        while TcpStream::connect(address).is_err() {
            assert_eq!(server.nginx.try_wait().unwrap(), None, "nginx ended");
            sleep(Duration::from_millis(50));
        }
        server
    }

    /// When requests were refused, in seconds.
    fn refusals(&self, code: &str) -> Vec<f64> {
        let log = fs::read_to_string(self.directory.path().join("access.log")).unwrap();
        let refused = log.lines().filter_map(|line| line.strip_suffix(&format!(" {code}")));
        refused.map(|time| time.parse().unwrap()).collect()
    }
}

impl Drop for BusyServer {
    fn drop(&mut self) {
        let _ = self.nginx.kill();
        let _ = self.nginx.wait();
    }
}

const IMAGES: u64 = 6;
const MEBIBYTES: u64 = 12;

const CONFIGURATION: &str = "
user root;
daemon off;
master_process off;
pid {directory}/pid;
error_log {directory}/error.log;
events {}
http {
  log_format refusals '$msec $status';
  access_log {directory}/access.log refusals;
  client_body_temp_path {directory}/body;
  proxy_temp_path {directory}/proxy;
  fastcgi_temp_path {directory}/fastcgi;
  uwsgi_temp_path {directory}/uwsgi;
  scgi_temp_path {directory}/scgi;
  limit_conn_zone $server_port zone=downloads:64k;
  server {
    listen {address} ssl;
    ssl_certificate {pki}/glance-a.pem;
    ssl_certificate_key {pki}/glance-a.key;
    location / { proxy_pass {glance}; }
    location ~ /file$ {
      limit_conn downloads 4;
      limit_conn_status {code};
      limit_rate 1m;
      proxy_pass {glance};
    }
  }
}
";
