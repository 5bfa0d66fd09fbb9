//! Benchmarks `compare` with many images: 10,000 on each of two real Glances, without and with
//! members, with curl making the same requests as the peer, and memory with 100,000 images on each of
//! two embedded servers.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::{Child, Command};

use super::measure::{Race, Target, Way, cost};
use super::programs::{Glances, Programs};
use super::server::{free_port, wait_for};
use crate::cloud::{self, Records};
use crate::demo_site::write_certificates;
use crate::failure::{Context, Failure};
use crate::output::{print, say};

const AT_GLANCE: u32 = 10_000;
const EMBEDDED: [u32; 2] = [25_000, 100_000];
const PAGE: u32 = 1000;

/// The limits of a comparison that lists images only.
const LISTING: &[Target] = &[Target::Wall(1.15), Target::CpuSeconds(1.5), Target::Rss(40.0)];

/// The limits of a comparison that also requests the members of each image.
const ASKING: &[Target] = &[Target::Wall(1.15), Target::Rss(40.0)];

/// Runs the benchmark.
pub(crate) fn run() -> Result<(), Failure> {
    let programs = Programs::build()?;
    let measured = unshared(&programs).and_then(|()| shared(&programs));
    cloud::empty()?;
    measured?;
    embedded(&programs)
}

/// Images without members.
fn unshared(programs: &Programs) -> Result<(), Failure> {
    let glances = Glances::start(&programs.directory, Records::Unshared(AT_GLANCE))?;
    let ways = vec![
        Way::peer("raw pages with curl, both sides at once", curls(programs, &glances, raw_pages)?),
        ours(programs, &glances, "compare, rustls", "--tls rustls", LISTING),
        ours(programs, &glances, "compare, native", "--tls native", LISTING),
    ];
    race("10,000 images on each side, real Glances", 5, ways)
}

/// Shared images, each with one member. Glance lists the members of one image at a time.
fn shared(programs: &Programs) -> Result<(), Failure> {
    let glances = Glances::start(&programs.directory, Records::Shared(AT_GLANCE))?;
    let pages = curls(programs, &glances, raw_pages)?;
    let skipping = |name, stack: &str| {
        ours(programs, &glances, name, &format!("--members skip --tls {stack}"), LISTING)
    };
    let ways = vec![
        Way::peer("raw pages with curl, both sides at once", pages),
        skipping("compare --members skip, rustls", "rustls"),
        skipping("compare --members skip, native", "native"),
    ];
    race("10,000 shared images on each side, members skipped", 5, ways)?;
    let all = curls(programs, &glances, |glance| raw_pages(glance) + &raw_members(glance))?;
    let ways = vec![
        Way::peer("raw pages and members with curl, 16 at once per side", all),
        ours(programs, &glances, "compare, rustls", "--tls rustls", ASKING),
        ours(programs, &glances, "compare, native", "--tls native", ASKING),
    ];
    race("10,000 shared images on each side", 3, ways)
}

fn race(title: &str, rounds: usize, ways: Vec<Way>) -> Result<(), Failure> {
    let amount = (f64::from(AT_GLANCE), "images");
    Race { title, amount, rounds, ways, between: None }.run()
}

fn ours(
    programs: &Programs,
    glances: &Glances,
    name: &'static str,
    options: &str,
    targets: &[Target],
) -> Way {
    Way::ours(name, glances.tool(programs, &format!("compare {options}")), targets)
}

/// A command line of two curls that work at the same time, one per Glance, each with the
/// configuration that `requests` makes for a Glance.
fn curls(
    programs: &Programs,
    glances: &Glances,
    requests: impl Fn(&str) -> String,
) -> Result<String, Failure> {
    let mut curls = Vec::new();
    for (side, glance) in [("a", &glances.a), ("b", &glances.b)] {
        let requests = requests(glance);
        let lines = requests.lines().count();
        let path = programs.directory.join(format!("requests-{side}-{lines}"));
        fs::write(&path, requests).context(|| "cannot write the requests")?;
        let path = path.display();
        curls.push(format!(
            "curl -sSf --no-progress-meter --cacert $CA -H \"X-Auth-Token: $TOKEN\" -K {path} & "
        ));
    }
    // `wait` alone always succeeds.
    let line = format!("{}one=$!; {}wait $one; wait $!", curls[0], curls[1]);
    Ok(glances.line(&line))
}

/// A curl configuration that fetches every page of a complete image listing.
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

/// A curl configuration that fetches the members of all images, 16 at once.
fn raw_members(glance: &str) -> String {
    let mut requests = String::from("parallel\nparallel-max = 16\n");
    for number in 1..=AT_GLANCE {
        let url = format!("{glance}/v2/images/00000000-0000-4000-8000-{number:012}/members");
        let _ = writeln!(requests, "url = \"{url}\"\noutput = \"/dev/null\"");
    }
    requests
}

fn embedded(programs: &Programs) -> Result<(), Failure> {
    let directory = programs.directory.join("compare");
    fs::create_dir_all(&directory).context(|| "cannot make a directory")?;
    write_certificates(&directory, "localhost")?;
    print(
        "\n## `compare`, embedded servers\n\n| images | peak RSS MiB | wall s | CPU s | target |",
    );
    print("| --- | --- | --- | --- | --- |");
    for count in EMBEDDED {
        let (_one, a) = many_images(programs, &directory, count)?;
        let (_other, b) = many_images(programs, &directory, count)?;
        say(format_args!("bench: {count} images"));
        let line = programs.tool(&format!("compare {a} {b}"), &directory.join("ca.pem"));
        let took = cost(&line)?;
        let held = if took.rss <= 60.0 { "held" } else { "MISSED" };
        print(format_args!(
            "| {count} | {:.1} | {:.1} | {:.1} | ≤ 60 MiB, {held} |",
            took.rss, took.wall, took.cpu
        ));
    }
    Ok(())
}

/// Starts a server that lists `count` images. Returns the server and its URL.
fn many_images(
    programs: &Programs,
    directory: &Path,
    count: u32,
) -> Result<(Running, String), Failure> {
    let port = free_port()?;
    let mut command = Command::new(programs.program("many-images"));
    command.args([&count.to_string(), &port.to_string()]).arg(directory);
    let server = Running(command.spawn().context(|| "cannot start a server")?);
    wait_for("127.0.0.1", port)?;
    Ok((server, format!("https://localhost:{port}")))
}

/// A server process; dropping the value stops it.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
