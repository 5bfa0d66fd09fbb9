//! `-n`: every command that writes says what it would do, as `plan` does, and changes nothing.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde_json::Value;

use super::replicator;
use crate::support::common::{Run, piped, replicator_with};
use crate::support::old_dump::{ID, OTHER_ID, write_old_image};

/// Three directories: an old dump, `a` with its two images, and `b` with one of them.
struct Stage(tempfile::TempDir);

impl Stage {
    fn new() -> Self {
        let stage = Self(tempfile::tempdir().unwrap());
        let old = stage.path("old");
        fs::create_dir(&old).unwrap();
        write_old_image(old.as_ref(), ID, 3, b"abc");
        write_old_image(old.as_ref(), OTHER_ID, 3, b"abc");
        replicator(&["load", &old, &stage.path("a"), "--no-state"]).exits(0);
        let (a, b) = (stage.path("a"), stage.path("b"));
        replicator(&["sync", &a, &b, "--id", ID, "--no-state"]).exits(0);
        stage
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).to_str().unwrap().to_owned()
    }

    /// Runs a line with a state directory that does not exist, and fails the test if a file or a
    /// directory is created or changes.
    #[track_caller]
    fn unchanged(&self, line: &[&str], code: i32) -> Run {
        let before = self.files();
        let state = self.path("state");
        let run = replicator_with(line, &[("XDG_STATE_HOME", &state)]).exits(code);
        assert_eq!(self.files(), before, "{line:?}");
        run
    }

    /// Every file and directory with its time and its content.
    fn files(&self) -> BTreeMap<PathBuf, (SystemTime, Vec<u8>)> {
        let mut found = BTreeMap::new();
        let mut open = vec![self.0.path().to_owned()];
        while let Some(path) = open.pop() {
            let metadata = fs::metadata(&path).unwrap();
            if metadata.is_dir() {
                open.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            }
            let content = if metadata.is_dir() { Vec::new() } else { fs::read(&path).unwrap() };
            found.insert(path, (metadata.modified().unwrap(), content));
        }
        found
    }
}

#[test]
fn every_command_prints_the_plan_and_changes_nothing() {
    let stage = Stage::new();
    let (a, b, old) = (stage.path("a"), stage.path("b"), stage.path("old"));
    let plan = stage.path("plan");
    replicator(&["plan", &a, &b, "--out", &plan]).exits(1);
    for output in [&[][..], &["--output", "json"]] {
        let planned = |from: &str, options: &[&str]| {
            stage.unchanged(&[&["plan", from, &b], options, output].concat(), 1).stdout
        };
        let copy = planned(&a, &[]);
        assert!(copy.contains(OTHER_ID) && copy.contains("missing"), "{copy}");
        for (line, expected) in [
            (&["livecopy", &a, &b, "-n"][..], &copy),
            (&["sync", &a, &b, "--dry-run"], &copy),
            (&["sync", &a, &b, "--plan", &plan, "-n"], &copy),
            (&["dump", &a, &b, "-n"], &copy),
            (&["load", &a, &b, "-n"], &copy),
            (&["load", &old, &b, "-n"], &planned(&old, &[])),
            (&["livecopy", &a, &b, "-n", "--name", "o*"], &planned(&a, &["--name", "o*"])),
        ] {
            let run = stage.unchanged(&[line, output].concat(), 1);
            assert_eq!(content(&run.stdout), content(expected), "{line:?}");
        }
    }
    // Without anything to do, the exit is 0.
    let run = stage.unchanged(&["livecopy", &a, &b, "-n", "--id", ID], 0);
    assert!(run.stdout.ends_with("\nnothing to do\n"), "{}", run.stdout);
    let run = stage.unchanged(&["livecopy", &a, &b, "-n", "--name", "none*"], 0);
    assert!(run.stderr.contains("warning: "), "{}", run.stderr);
    // A run leaves alone what only the target has. A plan lists it, and has nothing to do either.
    let run = stage.unchanged(&["livecopy", &b, &a, "-n"], 0);
    assert_eq!(run.stdout, "1 image compared: 1 same\nnothing to do\n");
    stage.unchanged(&["plan", &b, &a], 0);
    let run = stage.unchanged(&["sync", &b, &a, "-n", "--delete", "hide"], 0);
    assert!(run.stdout.contains("kept: not made by a sync"), "{}", run.stdout);
    let run = replicator(&["sync", &b, &a, "--delete", "hide", "--no-state"]).exits(0);
    let said = "keeps 1 image that the source does not have and no sync made; list them with -n";
    assert!(run.stderr.contains(said), "{}", run.stderr);
    // The commands that look for unfinished work.
    stage.unchanged(&["repair", &a, &b, "-n"], 0);
    stage.unchanged(&["resume", "-n"], 0);
    stage.unchanged(&["metadefs", &a, &b, "-n"], 0);
    // A plan that does not apply any more.
    replicator(&["sync", &a, &b]).exits(0);
    let run = stage.unchanged(&["sync", &a, &b, "--plan", &plan, "-n"], 1);
    assert!(run.stderr.contains("the stores have changed since"), "{}", run.stderr);
}

#[test]
fn a_directory_that_would_be_created_counts_as_empty() {
    let stage = Stage::new();
    let (a, new, empty) = (stage.path("a"), stage.path("new"), stage.path("empty"));
    fs::create_dir(&empty).unwrap();
    fs::create_dir(Path::new(&a).join("metadefs")).unwrap();
    let namespace = r#"{"namespace": "Own", "owner": null}"#;
    fs::write(Path::new(&a).join("metadefs/Own.json"), namespace).unwrap();
    for to in [&new, &empty] {
        for command in ["dump", "livecopy", "sync", "load"] {
            let line = [command, &a, to, "-n", "--metadefs", "all"];
            let run = stage.unchanged(&line, 1);
            let said = "2 images compared: 2 missing\nto do: 2 copy (6 B of data)\n";
            assert!(run.stdout.contains(said), "{line:?}: {}", run.stdout);
            assert!(run.stdout.contains("missing: namespace Own\n"), "{line:?}: {}", run.stdout);
            let run = stage.unchanged(&[&line[..], &["--output", "json"]].concat(), 1);
            let report: Value = serde_json::from_str(&run.stdout).unwrap();
            assert_eq!(report["metadefs"]["summary"]["missing"], 1, "{}", run.stdout);
        }
        stage.unchanged(&["metadefs", &a, to, "-n"], 1);
    }
    // A run would refuse these targets, too.
    fs::write(stage.path("file"), "").unwrap();
    stage.unchanged(&["dump", &a, &stage.path("file"), "-n"], 2);
    fs::write(Path::new(&empty).join("other"), "").unwrap();
    stage.unchanged(&["dump", &a, &empty, "-n"], 2);
}

/// What a plan says: of a document, the images and the totals.
fn content(plan: &str) -> String {
    match serde_json::from_str::<Value>(plan) {
        Ok(document) => format!("{}{}", document["images"], document["summary"]),
        Err(_) => plan.to_owned(),
    }
}

#[test]
fn streams_are_planned_without_data() {
    let stage = Stage::new();
    let (a, b, new) = (stage.path("a"), stage.path("b"), stage.path("new"));
    let run = stage.unchanged(&["dump", &a, "-", "-n"], 1);
    assert!(run.stdout.ends_with("to do: 2 copy (6 B of data)\n"), "{}", run.stdout);
    for (to, said) in
        [(&b, "to do: 1 copy (3 B of data)\n"), (&new, "to do: 2 copy (6 B of data)\n")]
    {
        let before = stage.files();
        let from = ["dump", &a, "-"].map(str::to_owned);
        let to = ["load", "-", to, "-n", "--state-dir", &stage.path("state")].map(str::to_owned);
        let [from, to] = piped(&from, None, &to);
        from.exits(0);
        let to = to.exits(1);
        assert!(to.stdout.ends_with(said), "{}", to.stdout);
        assert_eq!(stage.files(), before);
    }
}

#[test]
fn each_target_has_its_own_plan() {
    let stage = Stage::new();
    let (a, b, new) = (stage.path("a"), stage.path("b"), stage.path("new"));
    let run = stage.unchanged(&["livecopy", &a, &b, &new, "-n"], 1);
    for said in [
        format!("{b}: missing (copy): {OTHER_ID} \"oneiric\"\n"),
        format!("{b}: to do: 1 copy (3 B of data)\n"),
        format!("{new}: missing (copy): {ID} \"oneiric\"\n"),
        format!("{new}: 2 images compared: 2 missing\n{new}: to do: 2 copy (6 B of data)\n"),
    ] {
        assert!(run.stdout.contains(&said), "{said} is not in\n{}", run.stdout);
    }
    let json = ["--output", "json"];
    let run = stage.unchanged(&[&["livecopy", &a, &b, &new, "-n"][..], &json].concat(), 1);
    let report: Value = serde_json::from_str(&run.stdout).unwrap();
    let alone = stage.unchanged(&[&["plan", &a, &b][..], &json].concat(), 1);
    let alone: Value = serde_json::from_str(&alone.stdout).unwrap();
    assert_eq!(report["by_target"][&b], alone["summary"]);
    assert_eq!(report["by_target"][&new]["actions"]["copy"], 2);
    assert_eq!(report["images"][0]["target"], b);
    assert_eq!(report["exit_code"], 1);
    // A target that cannot be reached does not hide the plan for the other.
    let line = ["livecopy", &a, &b, "127.0.0.1:1", "-n", "--low-level-retries", "0"];
    let run = stage.unchanged(&line, 4);
    assert!(run.stdout.contains(&format!("{b}: to do: 1 copy")), "{}", run.stdout);
    assert!(run.stderr.contains("error: 127.0.0.1:1: "), "{}", run.stderr);
}

#[test]
fn removals_that_the_run_refuses_are_named_with_the_reason() {
    let stage = Stage::new();
    let (a, b) = (stage.path("a"), stage.path("b"));
    replicator(&["sync", &a, &b, "--no-state"]).exits(0);
    for kind in ["json", "img"] {
        fs::remove_file(Path::new(&a).join(format!("{ID}.{kind}"))).unwrap();
    }
    let removal = ["--delete", "hide"];
    for limit in ["0", "0%"] {
        let limit = ["--max-delete", limit];
        let why = "--max-delete allows 0, but 1 image would be removed";
        for line in [&["sync", &a, &b, "-n"][..], &["plan", &a, &b]] {
            let run = stage.unchanged(&[line, &removal, &limit].concat(), 1);
            assert!(run.stdout.contains("to do: 1 remove"), "{}", run.stdout);
            let warned = format!(
                "warning: a run would remove no images: {why}; review the images with `plan`, then \
                 raise --max-delete\n"
            );
            assert!(run.stderr.contains(&warned), "{}", run.stderr);
        }
        let line = [&["sync", &a, &b, "--no-state"], &removal[..], &limit].concat();
        let run = replicator(&line).exits(8);
        let error = format!("error: the tool removed no images: {why}\n");
        assert!(run.stderr.contains(&error), "{}", run.stderr);
    }
    // By default, one image of two may be removed, although 10% of two is less than one.
    let run = stage.unchanged(&[&["sync", &a, &b, "-n"], &removal[..]].concat(), 1);
    assert_eq!(run.stderr, "");
    let run = replicator(&[&["sync", &a, &b, "--no-state"], &removal[..]].concat()).exits(0);
    assert!(run.stdout.contains("1 removed"), "{}", run.stdout);
}

/// A replica that another command made belongs to the mirror from the `sync --adopt` on.
#[test]
fn an_adopted_replica_is_removed_with_its_image() {
    let stage = Stage::new();
    let (a, c) = (stage.path("a"), stage.path("c"));
    replicator(&["livecopy", &a, &c, "--no-state"]).exits(0);
    let plan = replicator(&["plan", &a, &c, "--adopt"]).exits(1);
    assert!(plan.stdout.contains("to do: 2 update"), "{}", plan.stdout);
    replicator(&["sync", &a, &c, "--adopt", "--id", ID, "--no-state"]).exits(0);
    replicator(&["plan", &a, &c, "--adopt", "--id", ID]).exits(0);
    // A run without the option leaves the mark.
    replicator(&["sync", &a, &c, "--no-state"]).exits(0);
    for entry in fs::read_dir(&a).unwrap() {
        let path = entry.unwrap().path();
        if path.file_name().unwrap().to_str().unwrap().starts_with(ID) {
            fs::remove_file(path).unwrap();
        }
    }
    let removal = ["--delete", "delete", "--max-delete", "1", "--no-state"];
    let run = replicator(&[&["sync", &a, &c], &removal[..]].concat()).exits(0);
    assert!(run.stdout.contains(" 1 removed"), "{}", run.stdout);
    let left = replicator(&["ls", &c, "--columns", "id"]).exits(0).stdout;
    assert!(!left.contains(ID) && left.contains(OTHER_ID), "{left}");
}
