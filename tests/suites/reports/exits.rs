//! A run of the tool for every exit code, and what its report says about the exit.

use std::fs;
use std::io::Read;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use format_dump::DumpStore;
use glance_core::ImageStore;
use glance_core::image::Visibility;
use http::Method;
use rustix::process::Signal;
use safe_files::file_lock::Holder;

use super::schema::check_document;
use super::{Place, Site, dump, id, json, run};
use crate::support::common::{Run, replicator_with, send, start_heard, start_into};
use crate::support::fault::Fault;

/// Runs the tool until its output satisfies `is_ready`, and then sends it a signal.
pub(super) fn stopped_after(
    line: &[String],
    signal: Signal,
    is_ready: impl Fn(&str) -> bool,
) -> Run {
    let mut child = start_heard(line, &[]);
    let (mut stdout, mut stderr) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
    let said = Arc::new(Mutex::new(Vec::new()));
    let reader = std::thread::spawn({
        let said = Arc::clone(&said);
        move || {
            let mut buffer = [0; 4096];
            while let Ok(length @ 1..) = stdout.read(&mut buffer) {
                said.lock().unwrap().extend_from_slice(&buffer[..length]);
            }
        }
    });
    let begin = Instant::now();
    while !is_ready(&String::from_utf8_lossy(&said.lock().unwrap())) {
        assert!(begin.elapsed() < Duration::from_secs(60), "{line:?} is never ready");
        std::thread::sleep(Duration::from_millis(10));
    }
    send(signal, &child);
    let mut errors = String::new();
    stderr.read_to_string(&mut errors).unwrap();
    let code = child.wait().unwrap().code();
    reader.join().unwrap();
    let stdout = String::from_utf8(said.lock().unwrap().clone()).unwrap();
    Run { code, stdout, stderr: errors }
}

/// Runs a line, and fails the test unless the exit code, the report and its words agree.
async fn exits(line: &[&str], state: &str, code: i32, meaning: &str) -> serde_json::Value {
    let line = [line, &["--output", "json"]].concat();
    let report = json(&run(&line, state).await.exits(code).stdout);
    check_document(&report);
    assert_eq!((&report["exit_code"], &report["exit_meaning"]), (&code.into(), &meaning.into()));
    report
}

#[tokio::test(flavor = "multi_thread")]
async fn codes_0_to_5_are_of_success_differences_usage_images_connection_and_sign_in() {
    let place = Place::new();
    let (a, b) = (Site::with([1, 2]).await, Site::open().await);
    let state = place.path("state");
    exits(&["compare", &a.url, &b.url], &state, 1, "differences").await;
    exits(&["livecopy", &a.url, "nowhere"], &state, 2, "invalid usage or configuration").await;
    // For code 0, every selected image must be in place and proven, and nothing lost.
    let copied = exits(&["livecopy", &a.url, &b.url], &state, 0, "success").await;
    assert_eq!(
        (&copied["summary"]["copied"], &copied["summary"]["failed"]),
        (&2.into(), &0.into())
    );
    for number in [1, 2] {
        let source = a.kept.get(&id(number)).await.unwrap();
        let target = b.kept.get(&id(number)).await.unwrap();
        assert_eq!((source.status, &source.os_hash_value), (target.status, &target.os_hash_value));
    }
    exits(&["compare", &a.url, &b.url], &state, 0, "success").await;
    a.faulty.inject(Method::GET, |path| path.ends_with("/file"), usize::MAX, Fault::Status(404));
    let c = Site::open().await;
    let line = ["livecopy", &a.url, &c.url];
    exits(&line, &state, 3, "some images failed").await;
    let meaning = "no connection, or a server that is not trusted";
    exits(&["size", "http://127.0.0.1:9"], &state, 4, meaning).await;
    a.faulty.inject(Method::GET, |_| true, usize::MAX, Fault::Status(403));
    let meaning = "authentication failed, or a policy denied the request";
    exits(&["size", &a.url], &state, 5, meaning).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn codes_6_to_10_are_of_integrity_locks_limits_losses_and_time() {
    let place = Place::new();
    let (a, b) = (Site::with([1, 2]).await, Site::open().await);
    let state = place.path("state");
    a.fault(Method::GET, usize::MAX, Fault::CorruptDownload { at: 3 });
    let meaning = "integrity failure: data differs from what it should be";
    let line = ["livecopy", &a.url, &b.url, "--retries", "0"];
    let report = exits(&line, &state, 6, meaning).await;
    let next = report["next_command"].as_str().unwrap();
    assert_eq!(next, format!("glance-replicator verify {} {} --deep", a.url, b.url));
    a.faulty.mend();

    let kept = place.path("kept");
    let lock = DumpStore::lock(Path::new(&kept), &Holder::this_process(None)).unwrap();
    let meaning = "another run works on the same images, stores or directory";
    exits(&["dump", &a.url, &kept], &state, 7, meaning).await;
    drop(lock);

    let meaning = "a limit was reached, or results could not be written";
    let c = Site::open().await;
    exits(&["livecopy", &a.url, &c.url, "--max-transfer", "150"], &state, 8, meaning).await;

    let image = a.kept.get(&id(1)).await.unwrap();
    let mut shared = image.attributes.clone();
    shared.visibility = Visibility::Shared;
    a.kept.update(&image, &shared).await.unwrap();
    a.faulty.inject(Method::GET, |path| path.ends_with("/members"), usize::MAX, Fault::Status(403));
    let meaning = "everything is copied, but owners or members were lost";
    let report = exits(&["livecopy", &a.url, &c.url], &state, 9, meaning).await;
    assert_eq!(report["summary"]["lost"]["members"], 1, "{report:#}");
    a.faulty.mend();

    let d = Site::open().await;
    a.fault(Method::GET, usize::MAX, Fault::StallDownload { after: 10 });
    let line = ["livecopy", &a.url, &d.url, "--max-duration", "1s"];
    exits(&line, &state, 10, "the time limit was reached").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn codes_129_130_and_143_are_of_signals_and_the_report_is_complete() {
    for (signal, code, meaning) in [
        (Signal::HUP, 129, "stopped by SIGHUP"),
        (Signal::INT, 130, "stopped by SIGINT"),
        (Signal::TERM, 143, "stopped by SIGTERM"),
    ] {
        let place = Place::new();
        let (a, b) = (Site::with([1, 2]).await, Site::open().await);
        a.fault(Method::GET, usize::MAX, Fault::StallDownload { after: 10 });
        let report = place.path("report.json");
        let line = ["livecopy", &a.url, &b.url, "-t", "none", "--owner", "caller"];
        let state = place.path("state");
        let line = [&line[..], &["--state-dir", &state, "--report", &report]].concat();
        let line: Vec<String> = line.iter().map(ToString::to_string).collect();
        let faulty = Arc::clone(&a.faulty);
        let is_reading =
            move |_: &str| faulty.requests().iter().any(|(_, path)| path.ends_with("/file"));
        let stopped = tokio::task::spawn_blocking(move || stopped_after(&line, signal, is_reading));
        let run = stopped.await.unwrap().exits(code);
        for words in [
            format!("{meaning}: breaking off the copies in progress"),
            "the run was stopped before the image was complete".to_owned(),
            "sends the image whose upload was interrupted once more in full".to_owned(),
        ] {
            assert!((run.stdout.clone() + &run.stderr).contains(&words), "no {words:?} in {run:?}");
        }
        let listed = ["resume", "-n", "--state-dir", &place.path("state")];
        let listed = replicator_with(&listed, &[]).exits(1);
        assert!(listed.stdout.contains(&format!("; {meaning} at 2")), "{}", listed.stdout);
        let report = json(&fs::read_to_string(report).unwrap());
        check_document(&report);
        assert_eq!(
            (&report["exit_code"], &report["exit_meaning"]),
            (&code.into(), &meaning.into())
        );
        assert!(report["images"].as_array().unwrap().iter().all(|it| it["result"] == "broken_off"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_dump_speaks_of_a_directory_and_continues_where_it_stopped() {
    let place = Place::new();
    let a = Site::with([1, 2]).await;
    let state = place.path("state");
    for (scheme, continues) in [("dir:", true), ("oci:", true)] {
        a.fault(Method::GET, usize::MAX, Fault::StallDownload { after: 10 });
        let to = format!("{scheme}{}", place.path(&scheme[..3]));
        let line = ["dump", &a.url, &to, "-t", "none", "--state-dir", &state];
        let line: Vec<String> = line.iter().map(ToString::to_string).collect();
        let journals = Path::new(&state).join("journal");
        let is_writing = move |_: &str| {
            let files = fs::read_dir(&journals).into_iter().flatten();
            let texts = files.map(|file| fs::read_to_string(file.unwrap().path()));
            texts.flatten().any(|text| text.contains("\"uploading\""))
        };
        let stopped = move || stopped_after(&line, Signal::INT, is_writing);
        let run = tokio::task::spawn_blocking(stopped).await.unwrap().exits(130);
        let said = run.stdout + &run.stderr;
        assert!(!said.contains("upload"), "{said}");
        assert_eq!(said.contains("continues an image where it stopped"), continues, "{said}");
        let listed = replicator_with(&["resume", "-n", "--state-dir", &state], &[]).exits(1);
        assert!(listed.stdout.contains("  writing: "), "{}", listed.stdout);
        assert!(!listed.stdout.contains("upload"), "{}", listed.stdout);
        a.faulty.mend();
        replicator_with(&["resume", "-t", "none", "--state-dir", &state], &[]).exits(0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_written_is_said_and_a_closed_pipe_changes_nothing() {
    let place = Place::new();
    let kept = place.path("kept");
    dump(Path::new(&kept), [1]).await;
    let (copy, report) = (place.path("copy"), place.path("report.json"));
    let line = |format: &'static str| {
        let line =
            ["livecopy", &kept, &copy, "--no-state", "--output", format, "--report", &report];
        line.map(str::to_owned)
    };
    for format in ["text", "json", "ndjson", "csv"] {
        let line = line(format);
        let line: Vec<&str> = line.iter().map(String::as_str).collect();
        let full = fs::File::create("/dev/full").unwrap();
        let run = start_into(&line, full).exits(8);
        assert!(run.stderr.contains("cannot write the results to standard output"), "{format}");
        // The file knows that standard output is incomplete.
        let written = json(&fs::read_to_string(&report).unwrap());
        check_document(&written);
        assert_eq!(written["exit_code"], 8);
        let message = &written["errors"][0]["message"];
        assert_eq!(message, "cannot write the results to standard output");

        let (reader, writer) = rustix::pipe::pipe().unwrap();
        drop(reader);
        let run = start_into(&line, writer).exits(0);
        assert!(!run.stderr.contains("cannot write"), "{format}: {}", run.stderr);
        assert_eq!(json(&fs::read_to_string(&report).unwrap())["exit_code"], 0);
    }
    // Work that failed exits with its own code, whatever its reader does.
    let (reader, writer) = rustix::pipe::pipe().unwrap();
    drop(reader);
    let absent = place.path("absent");
    start_into(&["livecopy", &absent, &copy, "--no-state", "--output", "json"], writer).exits(2);
}
