//! `compare` of many images: 10,000 on each of two real Glances beside the raw pages with curl, and
//! memory with 100,000 on each of two embedded servers.

use std::fmt::Write as _;
use std::fs;
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::measure::{By, Way, peak_rss, race};
use super::server::free_port;
use crate::cloud;
use crate::failure::{Context, Failure};
use crate::say::{print, say};
use crate::shell::cargo;
use crate::stage::write_certificates;
use crate::workspace;

const AT_GLANCE: u32 = 10_000;
const EMBEDDED: [u32; 2] = [25_000, 100_000];
const PAGE: u32 = 1000;

/// Measures against curl.
pub(crate) fn run() -> Result<(), Failure> {
    cargo(&["build", "--release", "-p", "tests", "--features", "tests/native-tls"])?;
    let directory = workspace::target()?.join("bench");
    fs::create_dir_all(&directory).context(|| "cannot make a directory")?;
    let programs = workspace::target()?.join("release");
    let replicator = programs.join("glance-replicator-under-test").display().to_string();
    let measured = at_glances(&directory, &replicator);
    cloud::empty()?;
    measured?;
    embedded(&directory, &programs.join("many-images"), &replicator)
}

fn at_glances(directory: &Path, replicator: &str) -> Result<(), Failure> {
    cloud::start_with_images(AT_GLANCE)?;
    let endpoints = workspace::target()?.join("cloud/endpoints.json");
    let endpoints = fs::read_to_string(endpoints).context(|| "cannot read endpoints.json")?;
    let endpoints: Value = serde_json::from_str(&endpoints).context(|| "endpoints.json")?;
    let text = |key: &str| endpoints[key].as_str().unwrap_or_default();
    let (ca, python) = (text("ca"), text("python"));
    let token = directory.join("token").display().to_string();
    let sign_in = format!(
        "{python} -c 'import openstack; print(openstack.connect(cloud=\"a\").auth_token)' > {token}"
    );
    let clouds = text("clouds_yaml");
    let mut signing_in = Command::new("sh");
    signing_in.args(["-ec", &sign_in]).env("OS_CLIENT_CONFIG_FILE", clouds);
    signing_in.env_remove("REQUESTS_CA_BUNDLE").env_remove("CURL_CA_BUNDLE");
    if !signing_in.status().context(|| "cannot run sh")?.success() {
        return Err(Failure::new("cannot sign in to the cloud"));
    }
    for side in ["a", "b"] {
        let pages = directory.join(format!("pages-{side}"));
        fs::write(&pages, raw_pages(text(side))).context(|| "cannot write the pages")?;
    }
    let curl = |side| {
        let pages = directory.join(format!("pages-{side}"));
        let pages = pages.display();
        format!("curl -sSf --cacert {ca} -H \"X-Auth-Token: $(cat {token})\" -K {pages}")
    };
    let compare = |stack| {
        let (a, b) = (text("a"), text("b"));
        format!("{replicator} compare {a} {b} --cacert {ca} --token-file {token} --tls {stack}")
    };
    let ways = [
        Way {
            name: "raw pages with curl, both sides at once",
            line: format!("{} & {} & wait", curl("a"), curl("b")),
            target: None,
        },
        Way { name: "compare, rustls", line: compare("rustls"), target: Some(1.3) },
        Way { name: "compare, native", line: compare("native"), target: Some(1.3) },
    ];
    race("Images on each side, real Glances", &ways, By::Wall, (1.0, "10,000 images"))?;
    print("\n| compare of 10,000 | peak RSS, MiB | target |\n| --- | --- | --- |");
    for stack in ["rustls", "native"] {
        let peak = peak_rss(&compare(stack))?;
        print(format_args!("| {stack} | {peak:.1} | ≤ 40, {} |", held(peak <= 40.0)));
    }
    Ok(())
}

/// The pages that a listing of everything has, for curl.
fn raw_pages(glance: &str) -> String {
    let mut pages = String::new();
    let list = "visibility=all&member_status=all&sort=id:asc&limit=1000";
    for page in 0..=AT_GLANCE / PAGE {
        let marker = match page {
            0 => String::new(),
            page => format!("&marker=00000000-0000-4000-8000-{:012}", page * PAGE),
        };
        let url = format!("{glance}/v2/images?{list}&os_hidden=false{marker}");
        let _ = writeln!(pages, "url = \"{url}\"\noutput = \"/dev/null\"");
    }
    let _ = writeln!(pages, "url = \"{glance}/v2/images?{list}&os_hidden=true\"");
    pages.push_str("output = \"/dev/null\"\n");
    pages
}

/// Servers that end with the value.
struct Servers(Vec<Child>);

impl Drop for Servers {
    fn drop(&mut self) {
        for server in &mut self.0 {
            let _ = server.kill();
            let _ = server.wait();
        }
    }
}

fn embedded(directory: &Path, server: &Path, replicator: &str) -> Result<(), Failure> {
    write_certificates(directory)?;
    print("\n| compare, embedded servers | peak RSS, MiB | seconds | target |");
    print("| --- | --- | --- | --- |");
    for count in EMBEDDED {
        let mut servers = Servers(Vec::new());
        let mut urls = Vec::new();
        for _ in 0..2 {
            let port = free_port()?;
            let mut command = Command::new(server);
            command.args([&count.to_string(), &port.to_string()]).arg(directory);
            servers.0.push(command.spawn().context(|| "cannot start a server")?);
            urls.push(format!("https://localhost:{port}"));
            wait_for(port)?;
        }
        let (a, b) = (&urls[0], &urls[1]);
        let ca = directory.join("ca.pem");
        let line = format!("{replicator} compare {a} {b} --cacert {}", ca.display());
        say(format_args!("bench: {count} images"));
        let begin = Instant::now();
        let peak = peak_rss(&line)?;
        let seconds = begin.elapsed().as_secs_f64();
        let held = held(peak <= 60.0);
        print(format_args!("| {count} | {peak:.1} | {seconds:.1} | ≤ 60 MiB, {held} |"));
    }
    Ok(())
}

fn wait_for(port: u16) -> Result<(), Failure> {
    for _ in 0..600 {
        if TcpStream::connect(("127.0.0.1", port)).is_ok() {
            return Ok(());
        }
        sleep(Duration::from_millis(100));
    }
    Err(Failure::new("the server does not answer"))
}

fn held(held: bool) -> &'static str {
    if held { "held" } else { "MISSED" }
}
