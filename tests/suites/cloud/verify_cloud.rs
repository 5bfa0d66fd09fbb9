//! Real Glances whose databases lost digests, or whose storage lost data.

use std::fs;

use serde_json::Value;

use crate::support::common::{Run, with_options};
use crate::support::real_cloud::{Cloud, STACKS};

#[test]
fn real_glances_are_verified() {
    let cloud = Cloud::find();
    for stack in STACKS {
        let tool = Tool { cloud: &cloud, stack, state: tempfile::tempdir().unwrap() };
        tool.proves_what_has_no_digest();
        tool.remembers_what_it_copied();
        tool.finds_damage_in_the_storage();
    }
}

struct Tool<'a> {
    cloud: &'a Cloud,
    stack: &'static str,
    state: tempfile::TempDir,
}

impl Tool<'_> {
    /// Creates an image in these clouds. In clouds marked with a minus, Glance loses its digests.
    fn make(&self, data: &str, clouds: &[&str]) -> String {
        self.cloud.python("hashless.py", &[&[data], clouds].concat()).trim().to_owned()
    }

    fn undo(&self, id: &str) {
        for cloud in ["a", "b"] {
            self.cloud.python("drift.py", &["--undo", cloud, id]);
        }
    }

    #[track_caller]
    fn run(&self, line: &[&str], exit: i32) -> Run {
        let state = self.state.path().to_str().unwrap();
        let more = [["--tls", self.stack], ["--state-dir", state]];
        self.cloud.replicator(&with_options(line, &more)).exits(exit)
    }

    /// The verdict on an image, and the kind of proof.
    #[track_caller]
    fn verify(&self, line: &[&str], exit: i32) -> (String, String) {
        let run = self.run(&[&["verify", "--output", "json"], line].concat(), exit);
        let report: Value = serde_json::from_str(&run.stdout).unwrap();
        let image = &report["images"][0];
        let text = |key: &str| image[key].as_str().unwrap_or_default().to_owned();
        (text("verdict"), text("by"))
    }

    fn proves_what_has_no_digest(&self) {
        let pair = |one: &str, other: &str| (one.to_owned(), other.to_owned());
        for clouds in [["a-", "b"], ["a", "b-"], ["a-", "b-"]] {
            let id = self.make("data that Glance never read", &clouds);
            let select = ["a", "b", "--id", &id];
            let said = self.run(&[&["compare"], &select[..]].concat(), 1).stdout;
            assert!(said.contains(&format!("unverifiable: {id}")), "{said}");
            assert_eq!(self.verify(&select, 0), pair("verified", "reading"));
            self.run(&[&["compare"], &select[..]].concat(), 0);
            assert_eq!(self.verify(&select, 0), pair("verified", "records"));
            assert_eq!(self.verify(&["a", "--id", &id], 0), pair("verified", "reading"));
            self.undo(&id);
        }
    }

    fn remembers_what_it_copied(&self) {
        let id = self.make("a copy on write", &["a-"]);
        let select = ["a", "b", "--id", &id];
        self.run(&[&["sync"], &select[..]].concat(), 0);
        self.run(&[&["compare"], &select[..]].concat(), 0);
        self.undo(&id);
    }

    fn finds_damage_in_the_storage(&self) {
        let id = self.make("data that will be damaged", &["a", "b"]);
        let select = ["a", "b", "--id", &id];
        let deep = [&select[..], &["--deep"]].concat();
        self.verify(&deep, 0);
        let file = self.cloud.directory.join("glance-a/main").join(&id);
        let mut bytes = fs::read(&file).unwrap();
        bytes[9] ^= 1;
        fs::write(&file, bytes).unwrap();
        assert_eq!(self.verify(&select, 0).1, "records");
        assert_eq!(self.verify(&deep, 6).0, "bad");
        assert_eq!(self.verify(&["a", "--id", &id], 6).0, "bad");
        assert_eq!(self.verify(&["b", "--id", &id], 0).0, "verified");
        fs::write(&file, b"data").unwrap();
        let (verdict, _) = self.verify(&["a", "--id", &id], 3);
        assert_eq!(verdict, "failed");
        self.undo(&id);
    }
}
