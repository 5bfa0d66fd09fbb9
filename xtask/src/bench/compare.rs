//! Benchmarks `compare` with many images: 10,000 on each of two real Glances, with curl fetching
//! the same pages as the peer, and memory with 100,000 images on each of two embedded servers.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::{Child, Command};

use super::measure::{Race, Target, Way, cost};
use super::programs::{Glances, Programs};
use super::server::{free_port, wait_for};
use crate::cloud;
use crate::demo_site::write_certificates;
use crate::failure::{Context, Failure};
use crate::output::{print, say};

const AT_GLANCE: u32 = 10_000;
const EMBEDDED: [u32; 2] = [25_000, 100_000];
const PAGE: u32 = 1000;

/// Runs the benchmark.
pub(crate) fn run() -> Result<(), Failure> {
    let programs = Programs::build()?;
    let measured = at_glances(&programs);
    cloud::empty()?;
    measured?;
    embedded(&programs)
}

fn at_glances(programs: &Programs) -> Result<(), Failure> {
    let glances = Glances::start(&programs.directory, AT_GLANCE)?;
    let Glances { a, b, .. } = &glances;
    let pages = |side| programs.directory.join(format!("pages-{side}"));
    for (side, glance) in [("a", a), ("b", b)] {
        fs::write(pages(side), raw_pages(glance)).context(|| "cannot write the pages")?;
    }
    let curl = |side| {
        let pages = pages(side);
        format!("curl -sSf --cacert $CA -H \"X-Auth-Token: $TOKEN\" -K {}", pages.display())
    };
    let compare = |name, stack| {
        let line = glances.tool(programs, &format!("compare --tls {stack}"));
        let targets = [Target::Wall(1.15), Target::CpuSeconds(1.5), Target::Rss(40.0)];
        Way::ours(name, line, &targets)
    };
    let at_once = format!("{} & {} & wait", curl("a"), curl("b"));
    let ways = vec![
        Way::peer("raw pages with curl, both sides at once", glances.line(&at_once)),
        compare("compare, rustls", "rustls"),
        compare("compare, native", "native"),
    ];
    let title = "10,000 images on each side, real Glances";
    let amount = (f64::from(AT_GLANCE), "images");
    Race { title, amount, rounds: 5, ways, between: None }.run()
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
