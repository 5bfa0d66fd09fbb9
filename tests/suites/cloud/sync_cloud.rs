//! `compare`, `plan` and `sync` on the real clouds: exact replicas, judged by `cloud/judge.py`,
//! between Glances of one Keystone (a, b) and of two (a, c).
//!
//! A single test covers everything, because the Glances are shared state.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::support::common::Run;
use crate::support::real_cloud::{BLOCKED, Cloud, Judgement, NOT_PORTABLE, STACKS, reset};

#[test]
fn real_clouds_are_brought_in_step_and_kept_so() {
    let cloud = Cloud::find();
    cloud.python("seed.py", &["a"]);
    for stack in STACKS {
        let tool = Tool { cloud: &cloud, stack };
        tool.replicates_within_one_keystone();
        tool.removes_nothing_that_another_sign_in_may_see();
        tool.replicates_between_keystones();
        let drift = tool.sees_every_state();
        tool.refuses_a_plan_that_is_out_of_date(&drift);
        tool.mends_what_can_be_mended(&drift);
        tool.removes_what_it_made_and_nothing_else(&drift);
        tool.finds_a_burned_id_another(&drift);
        drift.undo(&cloud);
    }
}

struct Tool<'a> {
    cloud: &'a Cloud,
    stack: &'static str,
}

/// The image ids that `cloud/drift.py` printed, by state.
struct Drift(BTreeMap<String, String>);

impl Drift {
    fn id(&self, state: &str) -> &str {
        &self.0[state]
    }

    /// Deletes the images that `drift.py` created at the source.
    fn undo(&self, cloud: &Cloud) {
        let made = ["missing", "content", "partial", "unverifiable"].map(|state| self.id(state));
        cloud.python("drift.py", &[&["--undo", "a"], &made[..]].concat());
    }
}

impl Tool<'_> {
    /// The images of other projects seem to be gone to a user who is no administrator.
    fn removes_nothing_that_another_sign_in_may_see(&self) {
        let plan = self.run(&["plan", "alice-a", "b", "--delete", "hide", "--max-delete", "100%"]);
        let kept = "kept: made by a sync with another sign-in at the source";
        assert!(plan.stdout.matches(kept).count() > 5, "{}", plan.stdout);
        assert!(!plan.stdout.contains("(remove)"), "{}", plan.stdout);
    }

    fn replicates_within_one_keystone(&self) {
        reset("b");
        let first = self.run(&["sync", "a", "b", "--queued"]).exits(0);
        assert!(first.stdout.contains(" 0 failed"), "{}", first.stdout);
        let judged = self.judge("b");
        let same = judged.all_same_but_missing(NOT_PORTABLE);
        assert!(same >= 60, "only {same} images are there");
        self.agrees("b", &judged);
        self.writes_nothing("b", 0);
    }

    fn replicates_between_keystones(&self) {
        reset("c");
        let first = self.run(&["sync", "a", "c", "--queued"]).exits(3);
        assert!(first.stdout.contains(" 4 failed"), "{}", first.stdout);
        for (image, why) in BLOCKED {
            let said = first.stderr.lines().find(|line| line.contains(&format!("\"{image}\"")));
            assert!(said.is_some_and(|said| said.contains(why)), "{image}: {}", first.stderr);
        }
        let judged = self.judge("c");
        judged.is_all_that_c_can_hold();
        self.agrees("c", &judged);
        self.writes_nothing("c", 3);
    }

    /// `compare` agrees with the judge on every image.
    fn agrees(&self, target: &str, judged: &Judgement) {
        let ours = self.compare(target);
        for (state, alike) in [
            ("same", &["same"][..]),
            // Attributes that cannot be reproduced are reported as losses, not as differences.
            ("different", &["same"]),
            ("missing", &["skipped", "blocked"]),
        ] {
            for (name, image) in judged.in_state(state) {
                let id = judged.id(image);
                let found = ours.get(&id).map_or("same", |entry| entry["state"].as_str().unwrap());
                assert!(alike.contains(&found), "{name}: {state} to the judge, {found} to us");
                if state == "different" {
                    let lost = ours[&id]["losses"].as_array().unwrap();
                    assert_eq!(lost.len(), image["differences"].as_object().unwrap().len());
                }
            }
        }
    }

    fn writes_nothing(&self, target: &str, exit: i32) {
        let mark = self.cloud.mark(target);
        self.run(&["sync", "a", target, "--queued"]).exits(exit);
        assert_eq!(self.cloud.writes_since(target, mark), [""; 0]);
    }

    /// Covers every state but `blocked`, which only occurs between the Keystones.
    fn sees_every_state(&self) -> Drift {
        let made = self.cloud.python("drift.py", &["a", "b"]);
        let drift = Drift(serde_json::from_str(&made).unwrap());
        let ours = self.compare("b");
        let expected = drift.0.iter().filter(|(state, _)| *state != "same");
        for (state, id) in expected.clone() {
            assert_eq!(ours[id]["state"], **state, "{}", ours[id]);
        }
        assert!(!ours.contains_key(drift.id("same")));
        // No other image differs, except that several are `skipped`.
        let count = ours.values().filter(|entry| entry["state"] != "skipped").count();
        assert_eq!(count, expected.count() - 1);
        let members = &ours[drift.id("members")]["differences"][0]["field"];
        assert!(members.as_str().unwrap().starts_with("member "), "{members}");
        drift
    }

    /// The entries of images that differ or have losses, by image id.
    fn compare(&self, target: &str) -> BTreeMap<String, Value> {
        let run = self.run(&["compare", "a", target, "--queued", "--output", "json"]);
        let report: Map<String, Value> = serde_json::from_str(&run.stdout).unwrap();
        assert_eq!(report["exit_code"], run.code.unwrap());
        let entries = report["images"].as_array().unwrap().iter();
        entries.map(|entry| (entry["id"].as_str().unwrap().to_owned(), entry.clone())).collect()
    }

    fn refuses_a_plan_that_is_out_of_date(&self, drift: &Drift) {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("plan");
        let file = file.to_str().unwrap();
        let plan = self.run(&["plan", "a", "b", "--queued", "--out", file]).exits(1);
        assert!(plan.stdout.contains("to do: 1 complete, 1 copy, 3 update"), "{}", plan.stdout);
        let id = drift.id("same");
        for cloud in ["a", "b"] {
            self.cloud.python("touch.py", &[cloud, id]);
            let mark = self.cloud.mark("b");
            let run = self.run(&["sync", "a", "b", "--queued", "--plan", file]).exits(1);
            assert!(
                run.stderr.contains(id) && run.stderr.contains("have changed since"),
                "{}",
                run.stderr
            );
            assert_eq!(self.cloud.writes_since("b", mark), [""; 0]);
            self.run(&["plan", "a", "b", "--queued", "--out", file]).exits(1);
        }
        // Other options result in another plan.
        self.run(&["sync", "a", "b", "--plan", file]).exits(1);
        let run = self.run(&["sync", "a", "b", "--queued", "--plan", file]).exits(6);
        assert!(run.stdout.contains("2 copied and verified"), "{}", run.stdout);
    }

    fn mends_what_can_be_mended(&self, drift: &Drift) {
        let ours = self.compare("b");
        for state in ["metadata", "members", "status", "missing", "partial"] {
            assert!(!ours.contains_key(drift.id(state)), "{state}: {}", ours[drift.id(state)]);
        }
        for state in ["content", "extra", "unverifiable"] {
            assert_eq!(ours[drift.id(state)]["state"], *state);
        }
        let judged = self.judge("b");
        let different: Vec<_> = judged.in_state("different");
        let names: Vec<_> = different.iter().map(|(name, _)| &**name).collect();
        assert_eq!(names, ["drift: content", "drift: unverifiable"]);
        assert_eq!(judged.extra(), [drift.id("extra")]);
    }

    fn removes_what_it_made_and_nothing_else(&self, drift: &Drift) {
        let made = drift.id("missing");
        self.cloud.python("drift.py", &["--undo", "a", made, drift.id("content")]);
        let select = ["--id", made, "--id", drift.id("extra"), "--id", drift.id("partial")];
        let sync = |more: &[&str]| {
            let line = [&["sync", "a", "b"], &select[..], more].concat();
            let mark = self.cloud.mark("b");
            let run = self.run(&line);
            (run, self.cloud.writes_since("b", mark).len())
        };
        let (run, writes) = sync(&["--delete", "hide", "--max-delete", "0"]);
        assert_eq!((run.code, writes), (Some(8), 0), "{}", run.stderr);
        // One image of three may be removed by default, although it is more than 10 %.
        let (run, _) = sync(&["--delete", "hide"]);
        assert!(run.exits(0).stdout.contains("1 removed"));
        let (run, writes) = sync(&["--delete", "hide", "--max-delete", "1"]);
        assert_eq!((run.code, writes), (Some(0), 0), "{}", run.stdout);
        let (run, _) = sync(&["--delete", "deactivate", "--max-delete", "34%"]);
        assert!(run.exits(0).stdout.contains("deactivated: "));
        let (run, _) = sync(&["--delete", "delete", "--max-delete", "34%"]);
        assert!(run.exits(0).stdout.contains("deleted: "));
        // Images that no sync created are still there.
        assert_eq!(self.judge("b").extra(), [drift.id("content"), drift.id("extra")].sorted());
    }

    fn finds_a_burned_id_another(&self, drift: &Drift) {
        let id = drift.id("partial");
        self.cloud.python("drift.py", &["--undo", "b", id]);
        let run = self.run(&["sync", "a", "b", "--id", id]).exits(3);
        assert!(run.stderr.contains("--on-burned-id"), "{}", run.stderr);
        self.run(&["sync", "a", "b", "--id", id, "--on-burned-id", "skip"]).exits(0);
        let run = self.run(&["sync", "a", "b", "--id", id, "--on-burned-id", "new"]).exits(0);
        assert!(run.stdout.contains(" → "), "{}", run.stdout);
        let mark = self.cloud.mark("b");
        let run = self.run(&["sync", "a", "b", "--id", id]).exits(0);
        assert!(run.stdout.contains("1 in place"), "{}", run.stdout);
        assert_eq!(self.cloud.writes_since("b", mark), [""; 0]);
        self.run(&["compare", "a", "b", "--id", id]).exits(0);
    }

    fn judge(&self, target: &str) -> Judgement {
        self.cloud.judge("a", target, &["--ignore", "glance_replicator.source"])
    }

    #[track_caller]
    fn run(&self, line: &[&str]) -> Run {
        self.cloud.replicator(&[line, &["--tls", self.stack]].concat())
    }
}

trait Sorted {
    fn sorted(self) -> Self;
}

impl<const N: usize> Sorted for [&str; N] {
    fn sorted(mut self) -> Self {
        self.sort_unstable();
        self
    }
}
