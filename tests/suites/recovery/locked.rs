//! Two concurrent runs.

use glance_core::image::Status;

use crate::suites::recovery::pair::{Pair, id};

pub(crate) async fn a_second_run_names_the_first(stack: &'static str) {
    let pair = Pair::new(stack).await;
    pair.a.put(1).await;
    let line = pair.line(&["livecopy", &pair.a.url, &pair.b.url]);
    let mut first = pair.stalled(1, &line);
    pair.b.becomes(1, Status::Saving).await;
    let holder = format!("process {} since 2", first.id());
    for command in [&["livecopy", "--retries", "0"][..], &["sync", "--retries", "0"], &["repair"]] {
        let run = pair.between(command).await.exits(7);
        for words in [&holder, &pair.a.url, &pair.b.url, "hint: "] {
            assert!(run.stderr.contains(words), "no {words:?} in {}", run.stderr);
        }
    }
    // The two copies did not get the image, so they are unfinished.
    let run = pair.run(&["resume", "-n"]).await.exits(1);
    for words in [&format!("in progress: {holder}"), "unfinished: livecopy", "unfinished: sync"] {
        assert!(run.stdout.contains(words), "no {words:?} in {}", run.stdout);
    }
    // A run that only reads, works on another pair, or keeps no state is not blocked.
    pair.between(&["compare"]).await.exits(1);
    pair.run(&["livecopy", &pair.b.url, &pair.a.url]).await.exits(0);
    pair.between(&["livecopy", "--no-state"]).await.exits(3);
    assert_eq!(pair.b.status(1).await, Some(Status::Saving));

    first.kill().unwrap();
    first.wait().unwrap();
    pair.b.becomes(1, Status::Queued).await;
    pair.between(&["livecopy"]).await.exits(0);
    pair.b.holds(1).await;
}

/// The lock is in the directory itself, so it works with and without state.
pub(crate) async fn a_directory_is_written_by_one_process_at_a_time(stack: &'static str) {
    let pair = Pair::new(stack).await;
    pair.a.put(1).await;
    let dump = pair.file("dump");
    let line = pair.line(&["dump", &pair.a.url, &dump, "--no-state"]);
    let mut first = pair.stalled(1, &line);
    let partial = pair.path("dump").join(format!("{}.img.partial", id(1)));
    while !partial.exists() {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    let holder = format!("process {} since 2", first.id());
    for words in [
        &["dump", &pair.a.url, &dump, "--no-state"][..],
        &["dump", &pair.b.url, &dump],
        &["livecopy", &pair.b.url, &format!("dir:{dump}")],
    ] {
        let run = pair.run(words).await.exits(7);
        for words in [&holder, &dump] {
            assert!(run.stderr.contains(words), "no {words:?} in {}", run.stderr);
        }
    }
    first.kill().unwrap();
    first.wait().unwrap();
    pair.run(&["dump", &pair.a.url, &dump]).await.exits(0);
    let run = pair.run(&["verify", &dump]).await.exits(0);
    assert!(!run.stdout.contains("lock"), "{}", run.stdout);
    pair.run(&["load", &dump, &pair.b.url]).await.exits(0);
    pair.b.holds(1).await;

    // A refused directory is left unchanged.
    std::fs::create_dir(pair.path("home")).unwrap();
    std::fs::write(pair.path("home/letter"), "").unwrap();
    pair.run(&["dump", &pair.a.url, &pair.file("home")]).await.exits(2);
    assert_eq!(std::fs::read_dir(pair.path("home")).unwrap().count(), 1);
}
