//! The command's output about a run.

use std::future::pending;
use std::sync::Arc;

use glance_core::image::{Attributes, Image, Visibility};
use glance_core::store::ImageStore;
use http::Method;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::{Site, id, is_file};
use crate::support::common::{Run, piped, replicator_with, with_options};
use crate::support::fault::Fault;

async fn run(line: &[&str], state: &str) -> Run {
    let line = with_options(line, &[["--state-dir", state]]);
    let line: Vec<String> = line.iter().map(ToString::to_string).collect();
    let run = tokio::task::spawn_blocking(move || {
        let line: Vec<&str> = line.iter().map(String::as_str).collect();
        replicator_with(&line, &[])
    });
    run.await.unwrap()
}

/// Serves a Glance. Returns the site and its URL.
async fn served(name: &str) -> (Site, String) {
    let site = Site::new(name);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let faulty = Arc::clone(&site.faulty);
    tokio::spawn(glance_server::serve(listener, None, faulty, pending()));
    (site, url)
}

const LOST: &str = "the source does not show the members";

#[tokio::test(flavor = "multi_thread")]
async fn every_run_tells_once_what_an_image_lost_and_exits_9_unless_that_is_accepted() {
    let (source, from) = served("source").await;
    let (target, to) = served("target").await;
    let image = source.kept.get(&source.image(1, 100).await).await.unwrap();
    let mut shared = image.attributes.clone();
    shared.visibility = Visibility::Shared;
    source.kept.update(&image, &shared).await.unwrap();
    source.image(2, 100).await;
    let is_members = |path: &str| path.ends_with("/members");
    source.faulty.inject(Method::GET, is_members, usize::MAX, Fault::Status(403));
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    let state = path("state");

    // A retried copy is reported once too.
    for (line, fault, exit) in [
        (vec!["livecopy", &from, &to, "--transfers", "1"], Some(Fault::Status(403)), 3),
        (vec!["livecopy", &from, &to, "--owner", "caller"], Some(Fault::Status(503)), 9),
        (vec!["livecopy", &from, &to, "--allow-loss", "owner"], None, 9),
        (vec!["livecopy", &from, &to, "--allow-loss", "members"], None, 9),
        (vec!["livecopy", &from, &to, "--allow-loss", "owner,members"], None, 0),
        (vec!["sync", &from, &to, "--allow-loss", "all"], None, 0),
        (vec!["dump", &from, &path("dump")], None, 9),
        (vec!["dump", &from, &path("dump")], None, 9),
    ] {
        if let Some(fault) = fault {
            target.faulty.inject(Method::PUT, is_file, 1, fault);
        }
        let run = run(&line, &state).await.exits(exit);
        // For a failed image, only the failure is reported.
        let times = usize::from(exit != 3);
        let found = run.stdout.matches(&format!("  lost: {LOST}\n")).count();
        assert_eq!(found, times, "{line:?}\n{}", run.stdout);
        assert_eq!(run.stdout.contains(", 1 without members"), exit != 3, "{}", run.stdout);
        let lost = match line.last() {
            Some(&"members") => "the owner of 2 images",
            _ => "the members of 1 image",
        };
        let said = format!("error: the target did not receive {lost} (\"image ");
        assert_eq!(run.stderr.contains(&said), exit == 9, "{}", run.stderr);
    }
    let report = path("report.json");
    let line = ["sync", &from, &to, "--owner", "caller", "--output", "json", "--report", &report];
    run(&line, &state).await.exits(9);
    let report: Value = serde_json::from_slice(&std::fs::read(&report).unwrap()).unwrap();
    let lost = |image: &Value| (image["id"].clone(), image["losses"].clone());
    let mut lost: Vec<_> = report["images"].as_array().unwrap().iter().map(lost).collect();
    lost.sort_by_key(|(id, _)| id.to_string());
    let none = Value::Array(Vec::new());
    let expected = [(id(1), json!([{ "kind": "members", "detail": LOST }])), (id(2), none)];
    assert_eq!(lost, expected.map(|(id, losses)| (id.as_str().into(), losses)));
}

/// Overrides of five images' records: none; no digest; neither a digest nor a size; no data; an
/// upper-case digest.
const SAID: &[(&str, &str, &str)] = &[
    (ID_2, "checksum", "null"),
    (ID_2, "os_hash_algo", "null"),
    (ID_2, "os_hash_value", "null"),
    (ID_3, "size", "null"),
    (ID_3, "checksum", "\"\""),
    (ID_3, "os_hash_algo", "\"\""),
    (ID_3, "os_hash_value", "\"\""),
    (ID_5, "os_hash_algo", "null"),
    (ID_5, "checksum", "\"70A24391C7A993BE919D197A435766AC\""),
];

const ID_2: &str = "00000000-0000-4000-8000-000000000002";
const ID_3: &str = "00000000-0000-4000-8000-000000000003";
const ID_5: &str = "00000000-0000-4000-8000-000000000005";

async fn of_five_kinds() -> (Site, String) {
    let (source, from) = served("source").await;
    for number in [1, 2, 3, 5] {
        source.image(number, 100).await;
    }
    let attributes = Attributes { name: Some("queued".to_owned()), ..Attributes::default() };
    source.kept.create(&Image::queued(id(4), attributes)).await.unwrap();
    source.faulty.inject(Method::GET, |path| !is_file(path), usize::MAX, Fault::Says(SAID));
    (source, from)
}

/// The lines about copied images, each prefixed with the image's number.
fn lines(said: &str) -> Vec<String> {
    let lines = said.lines().filter(|line| line.starts_with("copied: "));
    let mut lines: Vec<String> = lines.map(|line| line[43..].to_owned()).collect();
    lines.sort();
    lines
}

#[tokio::test(flavor = "multi_thread")]
async fn the_report_names_each_proof_and_its_kind() {
    let (_source, from) = of_five_kinds().await;
    let (_target, to) = served("target").await;
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    let (report, state, dump) = (path("report.json"), path("state"), path("dump"));
    let words = [
        "1 \"image 1\" (100 B), verified (sha512)",
        "2 \"image 2\" (100 B), size only: the source has no digest",
        "3 \"image 3\" (100 B), only the transfer is verified: the source has neither a digest nor a size",
        "4 \"queued\", record copied",
        "5 \"image 5\" (100 B), verified (md5)",
    ];
    let summary = "5 copied (2 verified, 1 by size only, 1 with only the transfer verified, 1 without data; \
         400 B), ";
    for target in [&to, &dump] {
        let said = run(&["livecopy", &from, target, "--queued", "--owner", "caller"], &path("new"))
            .await
            .exits(0)
            .stdout;
        std::fs::remove_dir_all(path("new")).unwrap();
        assert_eq!(lines(&said), words);
        assert!(said.contains(summary), "{said}");
    }
    // Once the data is in a dump, the dump has its digests.
    let (_other, other) = served("other").await;
    let json = ["--output", "json", "--report", &report];
    let line = [&["load", &dump, &other, "--queued", "--owner", "caller"][..], &json].concat();
    run(&line, &state).await.exits(0);
    let report: Value = serde_json::from_slice(&std::fs::read(&report).unwrap()).unwrap();
    let mut proofs: Vec<_> = report["images"].as_array().unwrap().iter().collect();
    proofs.sort_by_key(|image| image["id"].to_string());
    let proofs: Vec<_> = proofs.into_iter().map(|image| image["proof"].clone()).collect();
    let by = |by: &str, algorithm: Option<&str>| json!({ "by": by, "algorithm": algorithm });
    let digest = by("digest", Some("sha512"));
    let expected = [&digest, &digest, &digest, &by("record", None), &digest];
    assert!(proofs.iter().eq(expected), "{proofs:?}");
    let counts = json!({"verified": 4, "size_only": 0, "transfer_only": 0, "records": 1});
    assert_eq!(report["summary"]["proofs"], counts);
    // A second run copies nothing, and reports nothing as copied.
    let said =
        run(&["sync", &from, &to, "--queued", "--owner", "caller"], &state).await.exits(0).stdout;
    assert!(said.starts_with("0 copied and verified (0 B), 0 updated, 5 in place"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_report_of_a_stream_names_each_proof() {
    let (_source, from) = of_five_kinds().await;
    let line = ["dump", &from, "-", "--queued", "--no-state"].map(str::to_owned);
    let to = tempfile::tempdir().unwrap();
    let to =
        ["load", "-", to.path().to_str().unwrap(), "--queued", "--no-state"].map(str::to_owned);
    let [writer, reader] =
        tokio::task::spawn_blocking(move || piped(&line, None, &to)).await.unwrap();
    let writer = writer.exits(0).stderr;
    let said = lines(&writer);
    assert!(said[0].ends_with("verified (sha512)") && said[3].ends_with("record copied"));
    assert!(
        said[1].contains("size only: ") && said[2].contains("only the transfer is verified: "),
        "{said:?}"
    );
    // A stream carries the digest of data without a recorded digest after the data.
    let said = lines(&reader.exits(0).stdout);
    assert!(said[1].contains("size only: ") && said[3].ends_with("record copied"), "{said:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_verification_reports_the_kind_of_each_proof() {
    let (_source, from) = of_five_kinds().await;
    let directory = tempfile::tempdir().unwrap();
    let state = directory.path().to_str().unwrap();
    let json = |said: &str| serde_json::from_str::<Value>(said).unwrap();
    let line = ["verify", &from];
    let said = run(&line, state).await.exits(1).stdout;
    std::fs::remove_file(directory.path().join("digests.ndjson")).unwrap();
    for reason in ["only the size was compared", "neither a digest nor a size"] {
        assert_eq!(said.matches(reason).count(), 1, "{said}");
    }
    let line = ["verify", &from, "--output", "json"];
    let report = json(&run(&line, state).await.exits(1).stdout);
    let proof = |number: u8| {
        let images = report["images"].as_array().unwrap();
        let image = images.iter().find(|image| image["id"] == id(number).as_str()).unwrap();
        (
            image["verdict"].as_str().unwrap().to_owned(),
            image["proof"].as_str().unwrap_or("").to_owned(),
        )
    };
    let said = |verdict: &str, by: &str| (verdict.to_owned(), by.to_owned());
    assert_eq!(proof(1), said("verified", "sha512"));
    assert_eq!((proof(2), proof(3)), (said("unproven", ""), said("unproven", "")));
    assert_eq!((proof(4), proof(5)), (said("no_data", ""), said("verified", "md5")));
    // After one read, the digest is known for the next run.
    let line = ["verify", &from, "--id", ID_2, "--output", "json"];
    let report = json(&run(&line, state).await.exits(0).stdout);
    assert_eq!(report["images"][0]["proof"], "remembered sha512");
}

/// Serves several images, one of which has a malformed record.
async fn with_an_odd_one() -> (Site, String) {
    let (source, from) = served("source").await;
    for number in [1, 2, 3] {
        source.image(number, 100).await;
    }
    let odd = Fault::Says(&[(ID_2, "min_disk", "\"20\"")]);
    source.faulty.inject(Method::GET, |path| !is_file(path), usize::MAX, odd);
    (source, from)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_odd_record_fails_its_image_alone_and_is_named() {
    let (_source, from) = with_an_odd_one().await;
    let (target, to) = served("target").await;
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    let (state, dump) = (path("state"), path("dump"));
    let fault = "\"min_disk\" is \"20\", not a whole number";
    for line in [
        &["livecopy", &from, &to][..],
        &["sync", &from, &to],
        &["dump", &from, &dump],
        &["size", &from],
        &["verify", &from],
        &["verify", &from, &to],
        &["compare", &from, &to],
        &["livecopy", &from, &to, "--id", ID_2],
        &["livecopy", &from, &to, "--latest-per", "name"],
    ] {
        let run = run(line, &state).await.exits(3);
        let said = [run.stdout, run.stderr].concat();
        assert!(said.contains(ID_2) && said.contains(fault), "{line:?}:\n{said}");
        assert!(said.contains("image 2") || line[0] == "size", "{line:?}:\n{said}");
    }
    for number in [1, 3] {
        target.holds(number, 100).await;
    }
    assert!(target.kept.get(&id(2)).await.is_err());
    let said = run(&["verify", &dump], &state).await;
    assert!(said.stdout.contains("2 images: 2 verified"), "{}", said.stdout);
    let line = ["livecopy", &from, &to, "--exclude", &format!("id={ID_2}"), "--owner", "caller"];
    run(&line, &state).await.exits(0);

    let line = ["dump", &from, "-", "--no-state"].map(str::to_owned);
    let to = ["load", "-", &path("streamed"), "--no-state"].map(str::to_owned);
    let [writer, reader] =
        tokio::task::spawn_blocking(move || piped(&line, None, &to)).await.unwrap();
    let said = writer.exits(3).stderr;
    assert!(said.contains(ID_2) && said.contains(fault), "{said}");
    let said = reader.exits(3);
    let said = [said.stdout, said.stderr].concat();
    assert!(said.contains("2 copied and verified") && said.contains(ID_2), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_record_of_a_dump_fails_its_image_alone() {
    let (source, from) = served("source").await;
    for number in [1, 2, 3] {
        source.image(number, 100).await;
    }
    let (target, to) = served("target").await;
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    let (state, dump) = (path("state"), path("dump"));
    run(&["dump", &from, &dump], &state).await.exits(0);
    std::fs::write(format!("{dump}/{ID_2}.json"), "{").unwrap();
    let run = run(&["load", &dump, &to], &state).await.exits(3);
    assert!(run.stderr.contains(&format!("image {ID_2}")), "{}", run.stderr);
    for number in [1, 3] {
        target.holds(number, 100).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_attempt_is_counted_and_the_last_one_promises_no_more() {
    let (source, from) = served("source").await;
    let (_target, to) = served("target").await;
    source.image(1, 100).await;
    let directory = tempfile::tempdir().unwrap();
    let state = directory.path().join("state").to_str().unwrap().to_owned();
    let line = ["livecopy", &from, &to, "--retries", "2", "--low-level-retries", "0"];
    source.faulty.inject(Method::GET, is_file, usize::MAX, Fault::Status(503));
    let failed = run(&line, &state).await.exits(3);
    let said = |run: &Run| -> Vec<String> {
        let lines = run.stderr.lines().filter(|line| line.contains("WARN"));
        let ends = lines.filter_map(|line| Some(line.rsplit_once("; attempt ")?.1.to_owned()));
        ends.collect()
    };
    let retried = [1, 2].map(|number| format!("{number} of 3 failed, the image will be retried"));
    assert_eq!(said(&failed), retried, "{}", failed.stderr);
    assert!(!failed.stderr.contains("attempt 3"), "{}", failed.stderr);
    source.faulty.mend();
    // The source has lost the data.
    source.faulty.inject(Method::GET, is_file, usize::MAX, Fault::Status(204));
    let failed = run(&line, &state).await.exits(3);
    assert_eq!(said(&failed), Vec::<String>::new());
    for words in ["the image has no data (status active)", "hint: ask the administrator"] {
        assert!(failed.stderr.contains(words), "no {words:?} in {}", failed.stderr);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn images_without_data_are_not_counted_and_their_number_is_told() {
    let (source, from) = served("source").await;
    source.image(1, 100).await;
    for number in [2, 3] {
        let queued = Image::queued(id(number), Attributes::default());
        source.kept.create(&queued).await.unwrap();
    }
    let told = run(&["size", &from], "state").await.exits(0).stdout;
    let expected = "Total size is 100 bytes (100 B) across 1 images\n\
                    not counted, because they have no data: 2 queued\n";
    assert_eq!(told, expected);
    let json = run(&["size", &from, "--output", "json"], "state").await.exits(0).stdout;
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["size"], json!({ "images": 1, "bytes": 100, "without_data": 2 }));
}
