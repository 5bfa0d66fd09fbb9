//! Removals at a terminal: the tool asks, and removes nothing unless the answer is yes.

use std::fs;
use std::path::{Path, PathBuf};

use rustix::process::Signal;

use super::replicator;
use crate::support::common::send;
use crate::support::old_dump::write_old_image;
use crate::support::terminal::{at_a_terminal, types};

/// Directories `a` and `b`: `b` has four images of `a`, of which `a` has lost two.
struct Stage(tempfile::TempDir);

fn id(number: u8) -> String {
    format!("6d55dd55-053a-4765-b7bc-b30df0ea386{number}")
}

impl Stage {
    fn new() -> Self {
        let stage = Self(tempfile::tempdir().unwrap());
        let old = stage.path("old");
        fs::create_dir(&old).unwrap();
        (1..=4).for_each(|number| write_old_image(old.as_ref(), &id(number), 3, b"abc"));
        replicator(&["load", &old, &stage.path("a")]).exits(0);
        replicator(&["sync", &stage.path("a"), &stage.path("b")]).exits(0);
        replicator(&["sync", &stage.path("a"), &stage.path("c")]).exits(0);
        for number in [1, 2] {
            for kind in ["json", "img"] {
                fs::remove_file(stage.file("a", number, kind)).unwrap();
            }
        }
        stage
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).to_str().unwrap().to_owned()
    }

    fn file(&self, directory: &str, number: u8, kind: &str) -> PathBuf {
        Path::new(&self.path(directory)).join(format!("{}.{kind}", id(number)))
    }

    /// The numbers of the images in a directory.
    fn images(&self, directory: &str) -> Vec<u8> {
        (1..=9).filter(|number| self.file(directory, *number, "json").exists()).collect()
    }

    fn line(&self) -> [String; 7] {
        let (a, b) = (self.path("a"), self.path("b"));
        ["sync", &a, &b, "--delete", "delete", "--max-delete", "100%"].map(str::to_owned)
    }
}

fn words(line: &[String]) -> Vec<&str> {
    line.iter().map(String::as_str).collect()
}

#[test]
fn images_are_removed_after_a_yes() {
    for answer in ["y", "Yes"] {
        let stage = Stage::new();
        let line = stage.line();
        let run = at_a_terminal(&words(&line), types(answer));
        let b = stage.path("b");
        let asked = format!("Delete 2 images from dir:{b}? [y/N] {answer}\n");
        assert!(run.screen.contains(&asked), "{}", run.screen);
        assert!(run.screen.contains(&format!("  {} \"oneiric\"\n", id(1))), "{}", run.screen);
        assert_eq!((run.code, stage.images("b")), (Some(0), vec![3, 4]), "{}", run.screen);
        assert!(run.stdout.contains(&format!("deleted: {}", id(1))), "{}", run.stdout);
    }
}

#[test]
fn every_other_answer_removes_nothing_and_exits_1_but_the_copies_are_made() {
    // The last one is the end of the input (Ctrl-D).
    for answer in ["n", "", "yep", "\u{4}"] {
        let stage = Stage::new();
        write_old_image(stage.path("old").as_ref(), &id(5), 3, b"abc");
        replicator(&["load", &stage.path("old"), &stage.path("a"), "--id", &id(5)]).exits(0);
        let line = stage.line();
        let run = at_a_terminal(&words(&line), types(answer));
        assert_eq!((run.code, stage.images("b")), (Some(1), vec![1, 2, 3, 4, 5]), "{run:?}");
        let said = "the tool removed no images: the answer was no";
        assert!(run.screen.contains(said), "{}", run.screen);
    }
}

#[test]
fn a_signal_at_the_question_removes_nothing() {
    let stage = Stage::new();
    let line = stage.line();
    let run = at_a_terminal(&words(&line), |_, child| {
        send(Signal::INT, child);
    });
    assert_eq!((run.code, stage.images("b")), (Some(130), vec![1, 2, 3, 4]), "{run:?}");
    assert!(run.screen.contains("? [y/N] \nstopped by SIGINT: "), "{}", run.screen);
}

#[test]
fn no_question_is_asked_with_yes_or_without_a_terminal_or_in_a_dry_run() {
    for (option, code, images) in
        [("--yes", 0, &[3, 4][..]), ("-y", 0, &[3, 4]), ("-n", 1, &[1, 2, 3, 4])]
    {
        let stage = Stage::new();
        let line = stage.line();
        let line = [&words(&line)[..], &[option]].concat();
        let run = at_a_terminal(&line, |_, _| panic!("asked in spite of {option}"));
        assert_eq!((run.code, &*stage.images("b")), (Some(code), images), "{run:?}");
    }
    let stage = Stage::new();
    let run = replicator(&words(&stage.line())).exits(0);
    assert!(!run.stderr.contains("[y/N]"), "{}", run.stderr);
    assert_eq!(stage.images("b"), [3, 4]);
}

#[test]
fn each_target_has_a_question_of_its_own() {
    let stage = Stage::new();
    let (a, b, c) = (stage.path("a"), stage.path("b"), stage.path("c"));
    let line = ["sync", &a, &b, &c, "--delete", "hide", "--max-delete", "100%"];
    let mut answers = ["y", "n"].into_iter();
    let run =
        at_a_terminal(&line, |terminal, child| types(answers.next().unwrap())(terminal, child));
    let asked = |at: &str, answer: &str| {
        run.screen.contains(&format!("Hide 2 images at dir:{at}? [y/N] {answer}\n"))
    };
    assert!(asked(&b, "y") && asked(&c, "n") || asked(&c, "y") && asked(&b, "n"), "{run:?}");
    assert_eq!((run.code, run.stdout.matches("hidden: ").count()), (Some(1), 2), "{run:?}");
}

#[test]
fn metadata_definitions_are_removed_after_a_yes() {
    for (answer, code, is_kept) in [("n", 1, true), ("y", 0, false)] {
        let stage = Stage::new();
        let (a, b) = (stage.path("a"), stage.path("b"));
        let tags = |names: &[&str]| {
            let tags: Vec<_> =
                names.iter().map(|name| serde_json::json!({ "name": name })).collect();
            serde_json::json!({ "namespace": "Own", "owner": null, "tags": tags }).to_string()
        };
        for (directory, names) in [(&a, &["one"][..]), (&b, &["one", "two", "three"])] {
            let folder = Path::new(directory).join("metadefs");
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join("Own.json"), tags(names)).unwrap();
        }
        let run = at_a_terminal(&["metadefs", &a, &b, "--prune"], types(answer));
        let asked = format!("Remove 2 definitions in 1 namespace from dir:{b}? [y/N] {answer}\n");
        assert!(run.screen.contains(&asked), "{run:?}");
        let namespace = fs::read_to_string(Path::new(&b).join("metadefs/Own.json")).unwrap();
        assert_eq!((run.code, namespace.contains("three")), (Some(code), is_kept), "{run:?}");
        // Without anything to remove there is no question.
        if !is_kept {
            let run = at_a_terminal(&["metadefs", &a, &b, "--prune"], |_, _| panic!("asked"));
            assert_eq!(run.code, Some(0), "{run:?}");
        }
    }
}
