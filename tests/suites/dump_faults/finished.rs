//! When a dump is marked as finished.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use format_dump::DumpStore;
use http::Method;
use rustix::process::Signal;

use super::disk::Disk;
use super::source::{Site, Then};
use crate::support::common::{Run, send, start_heard, with_options};
use crate::support::fault::Fault;

/// File facts that change when anything is written to a dump.
fn traces(dump: &Path) -> Vec<Option<(u64, i64, i64)>> {
    let facts = |name: &str| {
        let found = fs::metadata(dump.join(name)).ok()?;
        Some((found.ino(), found.ctime(), found.ctime_nsec()))
    };
    ["manifest.json", "SHA512SUMS", "."].into_iter().map(facts).collect()
}

fn is_finished(dump: &Path) -> bool {
    let listed = || {
        let mut check = Command::new("sha512sum");
        check.args(["-c", "--strict", "--quiet", "SHA512SUMS"]).current_dir(dump);
        check.output().unwrap().status.success()
    };
    DumpStore::open(dump).unwrap().is_complete().unwrap() && listed()
}

/// Runs a command with a state directory of the site's own, and checks the exit code.
async fn run(site: &Site, line: &[&str], code: i32) -> Run {
    let state = site.directory.path().join("state");
    site.run(&with_options(line, &[["--state-dir", state.to_str().unwrap()]])).await.exits(code)
}

pub(super) async fn commands_that_end_well_finish_a_dump(stack: &'static str) {
    let site = Site::open(stack).await;
    site.image(1, 1 << 20).await;
    let path = |name: &str| site.directory.path().join(name);
    let word = |name: &str| format!("dir:{}", path(name).display());
    let (url, dump, other) = (site.url.as_str(), word("dump"), word("other"));
    run(&site, &["livecopy", url, &dump], 0).await;
    assert!(is_finished(&path("dump")), "a new one");
    for (number, line) in [
        (2, ["livecopy", url, &dump]),
        (3, ["sync", url, &dump]),
        (4, ["dump", url, &dump]),
        (5, ["load", &dump, &other]),
    ] {
        site.image(number, 1 << 20).await;
        if line[0] == "load" {
            site.run(&["dump", url, &dump]).await.exits(0);
        }
        run(&site, &line, 0).await;
        let written = if line[0] == "load" { path("other") } else { path("dump") };
        assert!(is_finished(&written), "{line:?}");
    }
    // After a failed image the dump is incomplete, until a run succeeds.
    let image = site.image(6, 1 << 20).await;
    let asked = format!("/v2/images/{image}/file");
    site.faulty.inject(
        Method::GET,
        move |path| path == asked,
        100,
        Fault::CorruptDownload { at: 0 },
    );
    run(&site, &["sync", url, &dump], 6).await;
    assert!(!is_finished(&path("dump")));
    site.faulty.mend();
    run(&site, &["sync", url, &dump], 0).await;
    assert!(is_finished(&path("dump")));
}

pub(super) async fn whatever_only_reads_leaves_a_dump_as_it_is(stack: &'static str) {
    let site = Site::open(stack).await;
    site.image(1, 1 << 20).await;
    let path = site.directory.path().join("dump");
    let dump = format!("dir:{}", path.display());
    let new = format!("dir:{}", site.directory.path().join("new").display());
    let url = site.url.as_str();
    run(&site, &["dump", url, &dump], 0).await;
    let before = traces(&path);
    for line in [
        &["size", &dump][..],
        &["verify", &dump],
        &["verify", &dump, url],
        &["compare", &dump, url],
        &["compare", url, &dump],
        &["plan", url, &dump],
        &["load", &dump, &new],
        &["livecopy", &dump, url, "--allow-loss", "owner"],
        &["repair", &dump, url],
        &["metadefs", &dump, &new],
    ] {
        run(&site, line, 0).await;
        assert_eq!(traces(&path), before, "{line:?}");
    }
    // Everything is in place, so nothing is written except the lock, which is created and removed.
    for line in [["sync", url, &dump], ["dump", url, &dump], ["livecopy", url, &dump]] {
        run(&site, &line, 0).await;
        assert_eq!(traces(&path)[..2], before[..2], "{line:?}");
        assert!(is_finished(&path));
    }
}

pub(super) async fn what_repair_mends_is_finished_unless_a_run_is_not_at_its_end(
    stack: &'static str,
) {
    let site = Site::open(stack).await;
    let image = site.image(1, 1 << 20).await;
    let path = site.directory.path().join("dump");
    let dump = format!("dir:{}", path.display());
    let url = site.url.as_str();
    // The run ended normally, with one failed image.
    let asked = format!("/v2/images/{image}/file");
    site.faulty.inject(
        Method::GET,
        move |path| path == asked,
        100,
        Fault::CorruptDownload { at: 0 },
    );
    run(&site, &["livecopy", url, &dump], 6).await;
    assert!(!is_finished(&path));
    site.faulty.mend();
    run(&site, &["repair", url, &dump], 0).await;
    assert!(is_finished(&path));
    // The run was killed.
    let image = site.image(2, 8 << 20).await;
    let state = site.directory.path().join("state");
    let line = ["livecopy", url, &dump, "--state-dir", state.to_str().unwrap()];
    site.watch.at(&image, 4 << 20, || Then::Stall);
    let mut child = crate::support::common::start(&site.line(&line));
    let partial = path.join(format!("{image}.img.partial"));
    while super::length(&partial) < 1 << 20 {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let repaired = run(&site, &["repair", url, &dump], 0).await;
    assert!(repaired.stderr.contains("stays unfinished"), "{}", repaired.stderr);
    assert!(!is_finished(&path));
    run(&site, &["resume"], 0).await;
    assert!(is_finished(&path));
}

/// Starts `serve` on the dump. Returns the process and its address.
fn serve(site: &Site, dump: &Path, more: &[&str]) -> (std::process::Child, String) {
    use std::io::BufRead;
    let file = |name: &str| site.directory.path().join(name).to_str().unwrap().to_owned();
    let (cert, key) = (file("server.pem"), file("server.key"));
    let place = dump.to_str().unwrap();
    let line = ["serve", place, "--listen", "127.0.0.1:0", "--cert", &cert, "--key", &key];
    let line = line.iter().chain(more).map(ToString::to_string).collect::<Vec<_>>();
    let mut server = start_heard(&line, &[]);
    let mut lines = std::io::BufReader::new(server.stdout.as_mut().unwrap()).lines();
    let first = lines.next().unwrap().unwrap();
    let url = first.split_whitespace().find(|word| word.starts_with("https://")).unwrap();
    let url = url.to_owned();
    (server, url)
}

fn stop(server: std::process::Child) -> Run {
    send(Signal::TERM, &server);
    Run::of(server.wait_with_output().unwrap())
}

pub(super) async fn serve_finishes_what_was_written_when_it_is_stopped(stack: &'static str) {
    let site = Site::open(stack).await;
    site.image(1, 1 << 20).await;
    let path = site.directory.path().join("dump");
    let dump = path.to_str().unwrap();
    run(&site, &["dump", &site.url, dump], 0).await;
    let copy = format!("dir:{}", site.directory.path().join("copy").display());
    let before = traces(&path);
    for more in [&[][..], &["--writable"]] {
        let (server, url) = serve(&site, &path, more);
        run(&site, &["livecopy", &url, &copy], 0).await;
        stop(server).exits(143);
        assert_eq!(traces(&path)[..2], before[..2], "it was only read");
    }
    let (server, url) = serve(&site, &path, &["--writable"]);
    site.image(2, 1 << 20).await;
    run(&site, &["livecopy", &site.url, &url, "--allow-loss", "all"], 0).await;
    assert!(!DumpStore::open(&path).unwrap().is_complete().unwrap());
    stop(server).exits(143);
    assert!(is_finished(&path));
    run(&site, &["compare", &site.url, dump], 0).await;
    // A new dump, and a dump that lacked images before.
    let new = site.directory.path().join("new");
    let (server, url) = serve(&site, &new, &["--writable"]);
    run(&site, &["livecopy", &site.url, &url, "--allow-loss", "all"], 0).await;
    stop(server).exits(143);
    assert!(is_finished(&new));
    let manifest = fs::read_to_string(new.join("manifest.json")).unwrap();
    fs::write(new.join("manifest.json"), manifest.replace("true", "false")).unwrap();
    stop(serve(&site, &new, &["--writable"]).0).exits(143);
    assert!(!is_finished(&new), "what it lacked, it still lacks");
}

/// Requires root, to mount a filesystem.
pub(super) async fn a_dump_that_cannot_be_written_is_read_by_every_command(stack: &'static str) {
    let disk = Disk::of(16);
    let site = Site::open(stack).await;
    site.image(1, 1 << 20).await;
    let path: PathBuf = disk.path().join("dump");
    let (dump, url) = (path.to_str().unwrap(), site.url.as_str());
    let new = format!("dir:{}", site.directory.path().join("new").display());
    run(&site, &["dump", url, dump], 0).await;
    disk.read_only();
    let word = format!("dir:{dump}");
    for line in [
        &["size", &word][..],
        &["verify", dump],
        &["verify", &word, url],
        &["compare", &word, url],
        &["compare", url, &word],
        &["plan", url, &word],
        &["load", dump, url, "--allow-loss", "owner"],
        &["load", dump, &new],
        &["metadefs", &word, &new],
        &["repair", &word, url],
    ] {
        run(&site, line, 0).await;
    }
    let (server, address) = serve(&site, &path, &[]);
    run(&site, &["compare", url, &address], 0).await;
    run(&site, &["verify", &address], 0).await;
    stop(server).exits(143);
    // A directory that cannot be written is not reported as a failed sign-in.
    for line in [["dump", url, dump], ["sync", url, &word]] {
        let run = run(&site, &line, 2).await;
        assert!(run.stderr.contains("Read-only file system"), "{}", run.stderr);
    }
    disk.writable();
}
