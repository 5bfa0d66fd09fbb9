//! Copies between two real Glances of a real Keystone (`cargo xtask cloud up`).
//!
//! `cloud/judge.py`, which uses openstacksdk and none of our code, judges the copies. A single test
//! covers everything, because the two Glances are shared state.

use std::fs;
use std::sync::Arc;

use glance_client::GlanceStore;
use glance_core::{ImageStore, conformance};
use keystone_auth::Session;

use crate::support::real_cloud::{Cloud, STACKS, reset, transport};

#[test]
fn real_images_between_real_glances() {
    let cloud = Cloud::find();
    shared_without_members(&cloud);
    cloud.python("seed.py", &["a"]);
    for stack in STACKS {
        cloud.copies(stack);
        cloud.dumps_and_loads(stack);
        cloud.refuses_what_it_cannot_trust(stack);
        cloud.conforms(stack);
        cloud.examines(stack);
    }
}

/// Checks an assumption that a copy relies on until its data is proven: a shared image without
/// members has no more readers than a private one.
fn shared_without_members(cloud: &Cloud) {
    cloud.python("unshared.py", &["bob-b", "carol-b"]);
}

impl Cloud {
    fn copies(&self, stack: &str) {
        reset("b");
        let first = self.replicator(&["livecopy", "a", "b", "--tls", stack, "--debug"]).exits(0);
        assert!(first.stdout.contains(" 0 failed"), "{}", first.stdout);
        self.all_equal();
        let before = self.mark("b");
        let second = self.replicator(&["livecopy", "a", "b", "--tls", stack]).exits(0);
        assert!(second.stdout.starts_with("skipped: ") || second.stdout.starts_with("0 copied"));
        assert!(second.stdout.contains("0 copied and verified (0 B), 0 updated"));
        assert_eq!(self.writes_since("b", before), [""; 0]);
        self.replicator(&["compare", "a", "b", "--tls", stack]).exits(0);
    }

    fn dumps_and_loads(&self, stack: &str) {
        reset("b");
        let dump = tempfile::tempdir().unwrap();
        let path = dump.path().to_str().unwrap();
        self.replicator(&["dump", "a", path, "--tls", stack]).exits(0);
        self.replicator(&["load", path, "b", "--tls", stack]).exits(0);
        self.all_equal();
        self.replicator(&["compare", "a", "b", "--tls", stack]).exits(0);
    }

    /// Fails the test unless B has every image of `seed.py` that can be copied, and all are the
    /// same.
    fn all_equal(&self) {
        let same = self.judge("a", "b", &[]).all_same_but_missing(NOT_COPIED);
        assert!(same >= SEEDED, "only {same} are there");
    }

    fn refuses_what_it_cannot_trust(&self, stack: &str) {
        let ca = self.text("ca");
        for (kind, reason) in [
            ("expired", "expired"),
            ("wronghost", "name"),
            ("selfsigned", "self-signed"),
            ("nochain", "intermediate"),
        ] {
            let url = self.endpoints["bad"][kind].as_str().unwrap();
            let line = ["size", url, "--cacert", ca, "--tls", stack, "-t", "not-to-be-seen"];
            let run = self.replicator(&line).exits(4);
            assert!(run.stderr.contains(url), "{kind}: {}", run.stderr);
            assert!(run.stderr.contains(reason), "{kind}: {}", run.stderr);
            assert!(run.stderr.contains("hint: "), "{kind}: {}", run.stderr);
            let log = self.endpoints["access_log"][kind].as_str().unwrap();
            let requests = fs::read_to_string(log).unwrap_or_default();
            assert!(requests.is_empty(), "{kind}: a request arrived: {requests}");
        }
        let other = ["size", self.text("a"), "--cacert", self.text("other_ca"), "--tls", stack];
        self.replicator(&other).exits(4);
    }

    /// `doctor` prints the same with each TLS stack.
    fn examines(&self, stack: &str) {
        let bad = |kind: &str| self.endpoints["bad"][kind].as_str().unwrap();
        let (ca, other_ca) = (self.text("ca"), self.text("other_ca"));
        let servers = [
            ("administrator", vec!["a"], 0),
            ("member", vec!["alice-a"], 0),
            ("expired", vec![bad("expired"), "--cacert", ca], 4),
            ("wrong_name", vec![bad("wronghost"), "--cacert", ca], 4),
            ("self_signed", vec![bad("selfsigned"), "--cacert", ca], 4),
            ("no_chain", vec![bad("nochain"), "--cacert", ca], 4),
            ("unknown_ca", vec![self.text("a"), "--cacert", other_ca, "-t", "none"], 4),
            ("wrong_token", vec![self.text("a"), "--cacert", ca, "-t", "none"], 5),
        ];
        for (name, mut line, exit) in servers {
            line.splice(0..0, ["doctor", "--tls", stack]);
            let run = self.replicator(&line).exits(exit);
            let mut settings = insta::Settings::clone_current();
            settings.set_snapshot_path("snapshots");
            settings.set_prepend_module_to_snapshot(false);
            settings.set_omit_expression(true);
            settings.add_filter(r"(rustls|OpenSSL) .*, not in FIPS mode", "[library]");
            settings.add_filter(r"\S*/target/cloud/", "[cloud]/");
            // The cloud's ports depend on its base port, which is assumed to be a multiple of a
            // hundred.
            settings.add_filter(r"(127\.0\.0\.1:)\d{3}(\d\d)", "${1}157$2");
            settings.add_filter(r"\d{4}-\d\d-\d\dT[\d:.]+Z", "[date]");
            settings.add_filter(r"\((in )?\d+ days?( ago)?\)|\(in less than a day\)", "([days])");
            settings.add_filter(r"\([0-9a-f]{32}\)", "([project])");
            settings.add_filter(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "[id]");
            settings.bind(|| insta::assert_snapshot!(format!("doctor_{name}"), run.stdout));
        }
    }

    /// The real Glance passes the conformance suite of all stores.
    fn conforms(&self, stack: &str) {
        let cloud = self.configured("b");
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let report = runtime.block_on(async {
            let transport = transport(stack, &cloud);
            let session = Arc::new(Session::new(Arc::clone(&transport), cloud.auth));
            let glance = self.text("b");
            let store = Arc::new(GlanceStore::new("b", transport, glance, session));
            conformance::image_store(&|| Arc::clone(&store) as Arc<dyn ImageStore>).await
        });
        assert!(report.passed(), "{stack}: {report}");
    }
}

/// Number of images of `seed.py` that are copied.
pub(super) const SEEDED: usize = 60;

/// Images of `seed.py` that are not copied: records without data, and data whose encryption key
/// stays at the source.
pub(super) const NOT_COPIED: &[&str] = &[
    "boot-from-volume",
    "encrypted",
    "encrypted-key-stays",
    "queued",
    "queued-bare",
    "queued-shared",
];
