//! Every command in every format of output.

use std::fs;
use std::path::Path;

use http::Method;
use rustix::process::Signal;
use serde_json::Value;
use tests::pki::{Leaf, self_signed};

use super::exits::stopped_after;
use super::schema::{check_document, check_events};
use super::{Place, Site, dump, id, json, run};
use crate::support::common::{Run, replicator_with};
use crate::support::fault::Fault;

/// The commands that need no server of their own, with their exit codes.
fn lines<'a>(
    a: &'a str,
    b: &'a str,
    c: &'a str,
    kept: &'a str,
    jobs: &'a str,
) -> Vec<(Vec<&'a str>, i32)> {
    vec![
        (vec!["size", a], 0),
        (vec!["ls", a], 0),
        (vec!["show", a, "00000000-0000-4000-8000-000000000001"], 0),
        (vec!["compare", a, b], 1),
        (vec!["plan", a, b], 1),
        (vec!["livecopy", a, b, "-n"], 1),
        (vec!["livecopy", a, b, c, "-n"], 1),
        (vec!["config", "check", jobs], 0),
        (vec!["run", jobs], 1),
        (vec!["livecopy", a, b, c], 0),
        (vec!["sync", a, b], 0),
        (vec!["compare", a, b], 0),
        (vec!["dump", a, kept], 0),
        (vec!["load", kept, c], 0),
        (vec!["verify", kept], 0),
        (vec!["verify", a, b], 0),
        (vec!["repair", "-n", a, b], 0),
        (vec!["repair", a, b], 0),
        (vec!["resume", "-n"], 0),
        (vec!["resume"], 0),
        (vec!["metadefs", kept, c, "-n"], 0),
        (vec!["doctor", kept, "--read-only"], 0),
        (vec!["clouds"], 0),
        (vec!["size", a, "--dump-filters"], 0),
        (vec!["livecopy", a, b, "--dump-filters"], 0),
        // Failures before the run.
        (vec!["size", "http://127.0.0.1:9"], 4),
        (vec!["livecopy", a, "http://127.0.0.1:9"], 4),
        (vec!["livecopy", a, b, "http://127.0.0.1:9"], 4),
        (vec!["size", "nowhere"], 2),
        (vec!["verify", "/nonexistent/dump"], 2),
        (vec!["doctor", "/nonexistent/dump"], 2),
        (vec!["repair", "nowhere", b], 2),
        (vec!["report", "merge", "/nonexistent"], 2),
        (vec!["metadefs", "/nonexistent", b], 2),
        (vec!["resume", "nowhere"], 2),
        (vec!["livecopy", a], 2),
        (vec!["no-such-command"], 2),
    ]
}

/// Runs a line in a format of output, in an environment of its own.
async fn in_format(format: &str, number: usize, judge: fn(&[&str], &Run)) {
    let place = Place::new();
    let (a, b, c) = (Site::with(1..=3).await, Site::open().await, Site::open().await);
    let (kept, state) = (place.path("dump"), place.path("state"));
    let jobs = place.path("jobs.toml");
    let job = format!(
        "[[jobs]]\nname = \"j\"\nverb = \"compare\"\nfrom = \"{}\"\nto = \"{}\"\n",
        a.url, b.url
    );
    fs::write(&jobs, job).unwrap();
    let all = lines(&a.url, &b.url, &c.url, &kept, &jobs);
    for (line, code) in all.into_iter().skip(number) {
        let line = [&line[..], &["--output", format]].concat();
        let run = run(&line, &state).await.exits(code);
        judge(&line, &run);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn json_is_valid_for_the_schema_of_its_command() {
    in_format("json", 0, |line, run| {
        let document = json(&run.stdout);
        check_document(&document);
        assert_eq!(document["exit_code"], run.code.unwrap(), "{line:?}");
        let is_named = document["command"] == line[0] || line[0] == "no-such-command";
        let named = document["command"].as_str().unwrap_or_default();
        let is_other = ["report merge", "config check"].contains(&named)
            || (named == "plan" && line.contains(&"-n"));
        assert!(is_named || is_other, "{line:?}: {document:#}");
        let failed = run.code > Some(1) && line[0] != "doctor";
        assert_eq!(document["errors"] != serde_json::json!([]), failed, "{line:?}: {document:#}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ndjson_begins_and_ends_with_the_run() {
    in_format("ndjson", 0, |line, run| {
        let events = check_events(&run.stdout);
        assert_eq!((&*events[0], &**events.last().unwrap()), ("run_started", "run_finished"));
        let last = json(run.stdout.lines().last().unwrap());
        assert_eq!(last["exit_code"], run.code.unwrap(), "{line:?}");
        if run.code == Some(0)
            && line[0] == "livecopy"
            && !line.contains(&"-n")
            && !line.contains(&"--dump-filters")
        {
            assert_eq!(events.iter().filter(|event| *event == "finished").count(), 6, "{events:?}");
            assert_eq!(last["summary"]["copied"], 6, "{last:#}");
            for event in ["listed", "planned", "started", "progress", "verified"] {
                assert!(events.iter().any(|other| other == event), "{event}: {events:?}");
            }
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn csv_has_a_row_for_each_image() {
    in_format("csv", 0, |line, run| {
        let rows: Vec<&str> = run.stdout.lines().collect();
        let fields = |row: &str| csv_fields(row).len();
        assert!(rows.iter().all(|row| fields(row) == fields(rows[0])), "{line:?}: {rows:?}");
        let is_copy = ["livecopy", "dump"].contains(&line[0]) && run.code == Some(0);
        if is_copy && !line.contains(&"--dump-filters") {
            let copies = if line[0] == "livecopy" { 6 } else { 3 };
            assert_eq!(rows.len(), 1 + copies, "{line:?}: {rows:?}");
            assert!(rows[0].starts_with("target,id,target_id,name,size,result,"), "{rows:?}");
            let name = &csv_fields(rows[1])[3];
            assert!(name.starts_with("image ") && name.ends_with(", \"<b>\" | *x*"), "{name}");
        }
        if line[0] == "size" && run.code == Some(0) && !line.contains(&"--dump-filters") {
            assert_eq!(rows, ["images,bytes", "3,300"]);
        }
    })
    .await;
}

/// The fields of a row, by RFC 4180.
fn csv_fields(row: &str) -> Vec<String> {
    let (mut fields, mut is_quoted) = (vec![String::new()], false);
    let mut letters = row.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '"' if is_quoted && letters.peek() == Some(&'"') => {
                letters.next();
                fields.last_mut().unwrap().push('"');
            }
            '"' => is_quoted = !is_quoted,
            ',' if !is_quoted => fields.push(String::new()),
            other => fields.last_mut().unwrap().push(other),
        }
    }
    fields
}

#[tokio::test(flavor = "multi_thread")]
async fn text_is_not_json_and_errors_are_on_the_screen() {
    in_format("text", 0, |line, run| {
        assert!(!run.stdout.starts_with('{'), "{line:?}: {}", run.stdout);
        if run.code > Some(1) && line[0] != "doctor" {
            assert!(run.stderr.contains("error: "), "{line:?}: {}", run.stderr);
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_entry_of_an_image_proves_the_copy() {
    let place = Place::new();
    let (a, b) = (Site::with([1, 2, 3]).await, Site::with([2]).await);
    // The connection to the source breaks once, and the target refuses the data of image 3.
    let is_first = |path: &str| path.ends_with("01/file");
    a.faulty.inject(Method::GET, is_first, 1, Fault::CutDownload { after: 40 });
    let is_third = |path: &str| path.ends_with("03/file");
    b.faulty.inject(Method::PUT, is_third, usize::MAX, Fault::Status(400));
    let line = ["livecopy", &a.url, &b.url, "--output", "json", "--transfers", "1"];
    let report = json(&run(&line, &place.path("state")).await.exits(3).stdout);
    check_document(&report);
    let image = |number: u8| {
        let images = report["images"].as_array().unwrap();
        images.iter().find(|image| image["id"] == id(number).as_str()).unwrap().clone()
    };
    let copied = image(1);
    assert_eq!((&copied["result"], &copied["target"]), (&"copied".into(), &(*b.url).into()));
    assert_eq!(copied["target_id"], id(1).as_str());
    assert_eq!(copied["proof"], serde_json::json!({ "by": "digest", "algorithm": "sha512" }));
    let digests = copied["digests"].as_array().unwrap();
    let sha512 = digests.iter().find(|digest| digest["algorithm"] == "sha512").unwrap();
    assert_eq!(sha512["source"].as_str().unwrap().len(), 128);
    assert_eq!((&sha512["in_transit"], &sha512["target"]), (&sha512["source"], &sha512["source"]));
    let md5 = digests.iter().find(|digest| digest["algorithm"] == "md5").unwrap();
    assert_eq!((md5["source"] == md5["target"], &md5["in_transit"]), (true, &Value::Null));
    // The bytes before the break are not read again.
    assert_eq!((&copied["bytes_read"], &copied["bytes_sent"]), (&100.into(), &100.into()));
    assert_eq!((&copied["attempts"], &copied["stalls"]), (&1.into(), &serde_json::json!([])));
    let retries = copied["retries"].as_array().unwrap();
    assert!(!retries.is_empty() && retries.iter().all(|it| it["side"] == "source"), "{copied:#}");
    let points = report["throughput"].as_array().unwrap();
    assert!(points.last().unwrap()[1].as_u64() >= Some(100), "{report:#}");
    let in_place = image(2);
    assert_eq!(in_place["result"], "in_place");
    assert_eq!(in_place["proof"], serde_json::json!({ "by": "records", "algorithm": "sha512" }));
    let failed = image(3);
    assert_eq!((&failed["result"], &failed["proof"]), (&"failed".into(), &Value::Null));
    assert_eq!(failed["errors"][0], "cannot store the data at the target");
    assert!(failed["errors"].as_array().unwrap().len() > 1, "{failed:#}");
    assert_eq!(report["source"], serde_json::json!({ "name": a.url, "address": a.url }));
    assert_eq!(report["arguments"][0], "livecopy");
    let global = report["global_request_id"].as_str().unwrap();
    assert!(global.starts_with("req-"), "{global}");
    let next = report["next_command"].as_str().unwrap();
    assert!(next.starts_with(&format!("glance-replicator livecopy {}", a.url)), "{next}");
    assert!(!next.contains("none") && report["tool"]["tls"]["library"].is_string(), "{next}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_corrupted_transfer_shows_the_digest_of_what_came() {
    let place = Place::new();
    let (a, b) = (Site::with([1]).await, Site::open().await);
    a.fault(Method::GET, usize::MAX, Fault::CorruptDownload { at: 7 });
    let line = ["livecopy", &a.url, &b.url, "--output", "json", "--retries", "0"];
    let report = json(&run(&line, &place.path("state")).await.exits(6).stdout);
    check_document(&report);
    let digests = report["images"][0]["digests"].as_array().unwrap();
    let sha512 = digests.iter().find(|digest| digest["algorithm"] == "sha512").unwrap();
    assert!(sha512["in_transit"].is_string() && sha512["in_transit"] != sha512["source"]);
    assert_eq!(sha512["target"], Value::Null);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resumed_run_is_part_of_the_report_and_writes_its_own() {
    let place = Place::new();
    let (a, b) = (Site::with([1, 2]).await, Site::open().await);
    let (state, own) = (place.path("state"), place.path("own.json"));
    // The run is stopped by its time limit, while the data of one image does not arrive.
    a.faulty.inject(
        Method::GET,
        |path| path.ends_with("02/file"),
        usize::MAX,
        Fault::StallDownload { after: 10 },
    );
    let line = ["livecopy", &a.url, &b.url, "--transfers", "1", "--report", &own];
    let limited = [&line[..], &["--max-duration", "1s"]].concat();
    run(&limited, &state).await.exits(10);
    check_document(&json(&fs::read_to_string(&own).unwrap()));
    fs::remove_file(&own).unwrap();
    a.faulty.mend();
    let report = run(&["resume", "--output", "json"], &state).await;
    let report = json(&report.exits(0).stdout);
    check_document(&report);
    let inner = &report["runs"][0];
    assert_eq!((&inner["command"], &inner["exit_code"]), (&"livecopy".into(), &0.into()));
    assert_eq!(inner["summary"]["copied"], 1, "{inner:#}");
    let own = json(&fs::read_to_string(&own).unwrap());
    assert_eq!(own["images"], inner["images"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn shards_are_merged_into_a_valid_document() {
    let place = Place::new();
    let (a, b) = (Site::with(1..=6).await, Site::open().await);
    for number in 1..=2 {
        let report = place.path(&format!("reports/{number}.json"));
        let shard = format!("{number}/2");
        let line = ["sync", &a.url, &b.url, "--shard", &shard, "--report", &report];
        run(&line, &place.path("state")).await.exits(0);
    }
    let merge = ["report", "merge", &place.path("reports"), "--output", "json"];
    let merged = json(&replicator_with(&merge, &[]).exits(0).stdout);
    check_document(&merged);
    assert_eq!((&merged["summary"]["copied"], &merged["merged"]["shards"]), (&6.into(), &2.into()));
    assert_eq!(merged["images"].as_array().unwrap().len(), 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn serve_says_where_it_serves_before_it_ends() {
    let place = Place::new();
    let kept = place.path("dump");
    dump(Path::new(&kept), [1]).await;
    let issued = self_signed(&Leaf::new("localhost", &["localhost"])).unwrap();
    fs::write(place.path("cert.pem"), &issued.chain_pem).unwrap();
    fs::write(place.path("key.pem"), &issued.key_pem).unwrap();
    let (cert, key) = (place.path("cert.pem"), place.path("key.pem"));
    let line = ["serve", &kept, "--cert", &cert, "--key", &key, "--listen", "127.0.0.1:0"];
    let line = [&line[..], &["--output", "json"]].concat();
    let line: Vec<String> = line.iter().map(ToString::to_string).collect();
    let serving = |said: &str| said.contains("https://127.0.0.1:");
    let stopped = tokio::task::spawn_blocking(move || stopped_after(&line, Signal::INT, serving));
    let run = stopped.await.unwrap().exits(130);
    let document = json(&run.stdout);
    check_document(&document);
    assert_eq!(document["serving"]["access"], "read_only");
}
