//! The state after SIGKILL in the middle of an upload.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use glance_core::Body;
use glance_core::image::provenance;
use glance_core::image::{Image, Status, Visibility};
use glance_core::store::ImageStore;
use http::Method;
use replicator_engine::provenance::Source;
use serde_json::Value;

use crate::suites::recovery::pair::{Pair, Site, attributes, id};
use crate::support::common::Run;
use crate::support::fault::Fault;

fn has(run: &Run, words: &[&str]) {
    for word in words {
        assert!(run.stdout.contains(word), "no {word:?} in\n{}\n{}", run.stdout, run.stderr);
    }
}

fn lacks(run: &Run, words: &[&str]) {
    for word in words {
        assert!(!run.stdout.contains(word), "{word:?} in\n{}\n{}", run.stdout, run.stderr);
    }
}

/// The number of modifying requests.
fn writes(site: &Site) -> usize {
    site.faulty.requests().iter().filter(|(method, _)| *method != Method::GET).count()
}

pub(crate) async fn resume_tells_and_finishes_what_was_killed(stack: &'static str) {
    let pair = Pair::new(stack).await;
    for number in 1..=3 {
        pair.a.put(number).await;
    }
    pair.killed(2, &["livecopy"]).await;
    let before = writes(&pair.b);

    // A dry run reports the leftovers and changes nothing, however often it runs.
    for _ in 0..2 {
        let run = pair.run(&["resume", "-n"]).await.exits(1);
        let typed = format!("unfinished: livecopy {} {} --transfers 1", pair.a.url, pair.b.url);
        has(&run, &[&typed, "the process was killed", "1 image completed"]);
        has(&run, &[&format!("uploading: {} \"image 2\"", id(2))]);
        lacks(&run, &[id(1).as_str(), id(3).as_str()]);
    }
    let run = pair.run(&["resume", "-n", "--output", "json"]).await.exits(1);
    let said: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(said["unfinished"][0]["images"][0]["id"], id(2).as_str());
    assert_eq!(said["unfinished"][0]["images"][0]["phase"], "uploading");
    let run = pair.between(&["repair", "-n"]).await.exits(1);
    let told = "`repair` can complete the record (status queued, known from the journal)\n";
    has(&run, &[&format!("mendable: {} \"image 2\": {told}", id(2))]);
    assert_eq!(writes(&pair.b), before);

    // Only the run between this source and this target is resumed.
    let run = pair.run(&["resume", &pair.b.url, &pair.a.url]).await.exits(0);
    has(&run, &["there are no unfinished runs"]);
    let run = pair.between(&["resume"]).await.exits(0);
    has(&run, &["resuming: livecopy", &format!("completed: {}", id(2))]);
    has(&run, &["2 copied and verified"]);
    for number in 1..=3 {
        pair.b.holds(number).await;
    }
    let run = pair.between(&["repair", "-n"]).await.exits(0);
    has(&run, &["there are no unfinished images"]);
    has(&pair.run(&["resume"]).await.exits(0), &["there are no unfinished runs"]);
    // Once everything is in place, the journal contains only its header.
    let journal = std::fs::read_dir(pair.path("state/journal")).unwrap();
    let lines = journal.map(|entry| entry.unwrap().path());
    let lines = lines.filter(|path| path.extension().is_some_and(|it| it == "ndjson"));
    let lines: Vec<usize> =
        lines.map(|path| std::fs::read_to_string(path).unwrap().lines().count()).collect();
    assert_eq!(lines, [1]);
}

/// `repair` uses the options of the killed run, not its own.
pub(crate) async fn repair_completes_what_a_killed_run_left_and_no_more(stack: &'static str) {
    let pair = Pair::new(stack).await;
    for number in 1..=3 {
        pair.a.put(number).await;
    }
    pair.killed(2, &["livecopy", "--property", "set=moved=yes"]).await;
    let run = pair.between(&["repair"]).await.exits(0);
    has(
        &run,
        &["known from the journal", &format!("completed: {}", id(2)), "1 copied and verified"],
    );
    pair.b.holds(2).await;
    let replica = pair.b.kept.get(&id(2)).await.unwrap();
    assert_eq!(replica.attributes.properties.get("moved").map(String::as_str), Some("yes"));
    assert_eq!(pair.b.status(3).await, None);
    has(&pair.between(&["repair"]).await.exits(0), &["there are no unfinished images"]);
    // The killed run still counts as unfinished.
    let run = pair.run(&["resume"]).await.exits(0);
    has(&run, &["2 images completed", "1 copied and verified"]);
    pair.b.holds(3).await;
}

pub(crate) async fn what_others_left_is_never_touched(stack: &'static str) {
    let pair = Pair::new(stack).await;
    for number in 1..=4 {
        pair.a.put(number).await;
    }
    // Three records at the target: one under the id of a source image, one that the source does not
    // have, and one that a sync from another source left.
    let mut others = Vec::new();
    for (number, source) in [(4, None), (8, None), (9, Some("https://elsewhere"))] {
        let mut attributes = attributes(number);
        let stamps = source.map(|source| (provenance::SOURCE.to_owned(), source.to_owned()));
        attributes.properties.extend(stamps);
        others.push(pair.b.kept.create(&Image::queued(id(number), attributes)).await.unwrap());
    }
    pair.killed(2, &["livecopy", "--id", id(2).as_str()]).await;
    let run = pair.between(&["repair"]).await.exits(0);
    has(&run, &[&format!("completed: {}", id(2)), &format!("not ours: {}", id(4))]);
    lacks(&run, &[id(8).as_str(), id(9).as_str()]);
    for other in &others {
        assert_eq!(pair.b.kept.get(&other.id).await.unwrap(), *other);
    }
    assert_eq!(pair.b.status(1).await, None);
}

pub(crate) async fn without_the_journal_the_stamp_tells(stack: &'static str) {
    let pair = Pair::new(stack).await;
    pair.a.put(1).await;
    pair.a.put(2).await;
    pair.killed(1, &["sync"]).await;
    std::fs::remove_dir_all(pair.path("state")).unwrap();
    let run = pair.between(&["repair", "-n"]).await.exits(1);
    has(&run, &[&format!("mendable: {}", id(1)), "known from its provenance property"]);
    let run = pair.between(&["repair"]).await.exits(0);
    has(&run, &[&format!("completed: {}", id(1)), "1 copied and verified"]);
    pair.b.holds(1).await;
    let replica = pair.b.kept.get(&id(1)).await.unwrap();
    let source = Source::new(&pair.a.url);
    assert_eq!(replica.attributes.properties[provenance::SOURCE], source.as_str());
    assert_eq!(pair.b.status(2).await, None);
    // The same without any state, and with the stamp of an earlier release, which contained the
    // URL.
    pair.killed(2, &["sync", "--no-state"]).await;
    let record = pair.b.kept.get(&id(2)).await.unwrap();
    let mut old = record.attributes.clone();
    old.properties.insert(provenance::SOURCE.to_owned(), pair.a.url.clone());
    pair.b.kept.update(&record, &old).await.unwrap();
    let run = pair.between(&["repair", "--no-state"]).await.exits(0);
    has(
        &run,
        &[
            "there is no journal",
            "known from its provenance property",
            &format!("completed: {}", id(2)),
        ],
    );
    pair.b.holds(2).await;
}

pub(crate) async fn a_record_that_cannot_be_read_is_named(stack: &'static str) {
    let pair = Pair::new(stack).await;
    pair.a.put(1).await;
    pair.a.put(2).await;
    pair.killed(1, &["sync"]).await;
    for side in [&pair.a, &pair.b] {
        let odd = Fault::Says(&[("00000000-0000-4000-8000-000000000001", "min_ram", "\"x\"")]);
        side.faulty.inject(Method::GET, |path| path.starts_with("/v2/images/"), usize::MAX, odd);
        for (words, code) in [(&["repair", "-n"][..], 1), (&["repair"], 3)] {
            let run = pair.between(words).await.exits(code);
            has(&run, &[&format!("unreadable: {}", id(1)), "\"min_ram\" is \"x\""]);
        }
        side.faulty.mend();
    }
    // The record is found known from its provenance property too.
    std::fs::remove_dir_all(pair.path("state")).unwrap();
    let odd = Fault::Says(&[("", "min_ram", "\"x\"")]);
    pair.b.faulty.inject(Method::GET, |path| path.starts_with("/v2/images"), usize::MAX, odd);
    let run = pair.between(&["repair"]).await.exits(3);
    has(&run, &[&format!("unreadable: {}", id(1)), "known from its provenance property"]);
    pair.b.faulty.mend();
    pair.between(&["repair"]).await.exits(0);
    pair.b.holds(1).await;
}

/// An upload whose Glance was killed is named too.
pub(crate) async fn an_upload_without_a_client_is_reported_and_left_unchanged(stack: &'static str) {
    let pair = Pair::new(stack).await;
    pair.a.put(1).await;
    pair.killed(1, &["livecopy"]).await;
    let kept = Arc::clone(&pair.b.kept);
    let first = stream::once(async { Ok(Bytes::from_static(b"some")) });
    let orphan = tokio::spawn(async move {
        kept.upload(&id(1), Body::from_stream(first.chain(stream::pending()), None)).await
    });
    pair.b.becomes(1, Status::Saving).await;
    let before = writes(&pair.b);
    for words in [&["repair"][..], &["repair", "-n"]] {
        let run = pair.between(words).await;
        let expected = if words.len() == 1 { 3 } else { 1 };
        let run = run.exits(expected);
        has(
            &run,
            &[&format!("saving: {}", id(1)), "the upload has ended", "known from the journal"],
        );
        has(&run, &["hint: ", "Do not delete the record", "from saving to queued"]);
    }
    assert_eq!(writes(&pair.b), before);
    // The administrator of the Glance ends the upload.
    orphan.abort();
    pair.b.becomes(1, Status::Queued).await;
    pair.between(&["repair"]).await.exits(0);
    pair.b.holds(1).await;
}

pub(crate) async fn what_was_quarantined_stays_so(stack: &'static str) {
    let pair = Pair::new(stack).await;
    pair.a.put(1).await;
    pair.b.faulty.inject(Method::PUT, |path| path.ends_with("/file"), 1, Fault::StoreOther);
    pair.between(&["sync"]).await.exits(6);
    // The run ended normally.
    has(&pair.run(&["resume"]).await.exits(0), &["there are no unfinished runs"]);
    for round in 0..2 {
        let run = pair.between(&["repair"]).await.exits(6);
        let known = ["known from the journal", "known from its provenance property"][round];
        has(&run, &[&format!("content: {}", id(1)), known, "purge_images_table"]);
        let replica = pair.b.kept.get(&id(1)).await.unwrap();
        assert_eq!(replica.status, Status::Deactivated);
        assert_eq!(replica.attributes.visibility, Visibility::Private);
        if round == 0 {
            std::fs::remove_dir_all(pair.path("state")).unwrap();
        }
        // The stamp of an earlier release.
        let mut old = replica.attributes.clone();
        old.properties.insert(provenance::SOURCE.to_owned(), pair.a.url.clone());
        pair.b.kept.update(&replica, &old).await.unwrap();
    }
}

pub(crate) async fn nothing_is_left_of_a_record_that_somebody_deleted(stack: &'static str) {
    let pair = Pair::new(stack).await;
    pair.a.put(1).await;
    pair.killed(1, &["livecopy"]).await;
    pair.b.kept.delete(&id(1)).await.unwrap();
    let run = pair.between(&["repair"]).await.exits(0);
    has(&run, &[&format!("gone: {}", id(1))]);
    let run = pair.between(&["repair"]).await.exits(0);
    has(&run, &["there are no unfinished images"]);
    assert_eq!(pair.b.status(1).await, None);
}
