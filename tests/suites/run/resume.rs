//! `resume`: which runs are unfinished, and how they leave the list.

use std::fs;
use std::path::Path;

use crate::support::common::{Run, replicator_with};
use crate::support::old_dump::{ID, OTHER_ID, write_old_image};

/// Directories: a dump of the old tool with two images, and copies of it.
struct Stage(tempfile::TempDir);

impl Stage {
    fn new() -> Self {
        let stage = Self(tempfile::tempdir().unwrap());
        let old = stage.path("old");
        fs::create_dir(&old).unwrap();
        write_old_image(old.as_ref(), ID, 3, b"abc");
        write_old_image(old.as_ref(), OTHER_ID, 3, b"abc");
        stage.run(&["load", &old, &stage.path("a")]).exits(0);
        stage
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).to_str().unwrap().to_owned()
    }

    #[track_caller]
    fn run(&self, line: &[&str]) -> Run {
        replicator_with(&[line, &["--state-dir", &self.path("state")]].concat(), &[])
    }

    #[track_caller]
    fn unfinished(&self, runs: usize) -> Run {
        let run = self.run(&["resume", "-n"]).exits((runs > 0).into());
        assert_eq!(run.stdout.matches("unfinished: ").count(), runs, "{}", run.stdout);
        run
    }

    /// Leaves an unfinished run from `a` to `b`, which copied one of two images.
    #[track_caller]
    fn half(&self, options: &[&str]) {
        let line = ["livecopy", &self.path("a"), &self.path("b"), "--max-transfer", "4"];
        self.run(&[&line[..], options].concat()).exits(8);
    }
}

#[test]
fn a_later_run_that_does_the_same_work_finishes_an_earlier_one() {
    let stage = Stage::new();
    let (a, b) = (stage.path("a"), stage.path("b"));
    stage.half(&[
        "--transfers",
        "1",
        "--name",
        "o*",
        "--property",
        "set=k=v",
        "--order-by",
        "size",
    ]);
    stage.unfinished(1);
    let copy = |line: &[&str]| {
        stage.run(&[&["livecopy", &a, &b][..], line].concat()).exits(0);
    };
    // Other images, another mapping, and another command.
    copy(&["--id", ID, "--property", "set=k=v"]);
    copy(&["--name", "o*"]);
    stage.run(&["sync", &a, &b, "--name", "o*", "--property", "set=k=v"]).exits(0);
    stage.unfinished(1);
    // The same work at another speed, in another order of the words.
    copy(&["--property", "set=k=v", "--name", "o*", "--bwlimit", "1G", "--retries", "1", "-q"]);
    stage.unfinished(0);
}

#[test]
fn a_later_run_that_is_not_finished_finishes_nothing() {
    let stage = Stage::new();
    stage.half(&[]);
    let line = ["livecopy", &stage.path("a"), &stage.path("b"), "--max-transfer", "1"];
    stage.run(&line).exits(8);
    let run = stage.unfinished(1);
    assert!(run.stdout.contains("--max-transfer 4"), "{}", run.stdout);
}

#[test]
fn a_refusal_leaves_nothing_to_resume() {
    let stage = Stage::new();
    let (a, b) = (stage.path("a"), stage.path("b"));
    // Not one image fits into the limit.
    stage.run(&["livecopy", &a, &b, "--max-transfer", "1"]).exits(8);
    stage.unfinished(0);
    stage.run(&["sync", &a, &b]).exits(0);
    for kind in ["json", "img"] {
        fs::remove_file(Path::new(&a).join(format!("{ID}.{kind}"))).unwrap();
    }
    stage.run(&["sync", &a, &b, "--delete", "hide", "--max-delete", "0"]).exits(8);
    stage.unfinished(0);
}

#[test]
fn a_run_can_be_dismissed() {
    let stage = Stage::new();
    let (a, b) = (stage.path("a"), stage.path("b"));
    stage.half(&[]);
    stage.run(&["resume", &b, &a, "--dismiss"]).exits(0);
    stage.unfinished(1);
    let run = stage.run(&["resume", &a, &b, "--dismiss"]).exits(0);
    assert!(run.stdout.starts_with("dismissed: livecopy "), "{}", run.stdout);
    stage.unfinished(0);
    // Nothing was copied.
    let copied =
        [ID, OTHER_ID].iter().filter(|id| Path::new(&b).join(format!("{id}.img")).exists());
    assert_eq!(copied.count(), 1);
}

#[test]
fn each_run_is_described_once() {
    let stage = Stage::new();
    stage.half(&[]);
    let listed = stage.unfinished(1).stdout;
    let (_, details) = listed.split_once('\n').unwrap();
    let run = stage.run(&["resume"]).exits(0);
    assert!(run.stdout.starts_with("resuming: livecopy "), "{}", run.stdout);
    assert_eq!(run.stdout.matches(details).count(), 1, "{details}\nin\n{}", run.stdout);
    assert_eq!(run.stdout.matches("--max-transfer 4").count(), 1, "{}", run.stdout);
}
