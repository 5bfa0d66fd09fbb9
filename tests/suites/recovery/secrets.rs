//! The journal contains no secrets.

use std::path::Path;

use glance_core::image::Status;

use crate::suites::recovery::pair::{Pair, TOKEN, run};

pub(crate) async fn the_journal_holds_no_secret_and_resume_asks_for_it(stack: &'static str) {
    let pair = Pair::new(stack).await;
    pair.a.put(1).await;
    let words = ["livecopy", &pair.a.url, &pair.b.url, "-M", TOKEN];
    let mut line = pair.bare_line(&words);
    line.push(format!("--targettoken={TOKEN}"));
    let mut child = pair.stalled(1, &line);
    pair.b.becomes(1, Status::Saving).await;
    child.kill().unwrap();
    child.wait().unwrap();
    pair.b.becomes(1, Status::Queued).await;
    // The journal, its lock and the claim on the image contain the command.
    assert_eq!(occurrences(&pair.path("state"), "livecopy"), 3);
    assert_eq!(occurrences(&pair.path("state"), TOKEN), 0);

    let told = run(pair.bare_line(&["resume", "-n"])).await.exits(1);
    let again = "`resume` needs these options again: --sourcetoken, --targettoken";
    assert!(told.stdout.contains(again), "{}", told.stdout);
    let resumed = run(pair.bare_line(&["resume", "--sourcetoken", TOKEN])).await.exits(2);
    assert!(resumed.stderr.contains("the run needs --targettoken"), "{}", resumed.stderr);
    assert_eq!(pair.b.status(1).await, Some(Status::Queued));
    let tokens = ["resume", "--sourcetoken", TOKEN, "-S", TOKEN];
    run(pair.bare_line(&tokens)).await.exits(0);
    pair.b.holds(1).await;
    assert_eq!(occurrences(&pair.path("state"), TOKEN), 0);
}

/// Number of files below `directory` that contain this text.
fn occurrences(directory: &Path, text: &str) -> usize {
    let entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    entries
        .map(|path| match path.is_dir() {
            true => occurrences(&path, text),
            false => {
                usize::from(String::from_utf8_lossy(&std::fs::read(&path).unwrap()).contains(text))
            }
        })
        .sum()
}
