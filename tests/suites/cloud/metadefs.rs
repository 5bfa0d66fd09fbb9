//! Metadata definitions between real Glances (`cargo xtask cloud up`), judged by
//! `cloud/judge_metadefs.py`, which uses openstacksdk and none of our code.
//!
//! A single test covers everything, because the Glances are shared state.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use glance_client::GlanceStore;
use glance_core::body::Body;
use glance_core::transport::{TransportError, TransportErrorKind};
use glance_core::{StoreError, Transport};
use http::{Method, Request, Response};
use keystone_auth::Session;
use replicator_engine::mapping::Mapping;
use replicator_engine::metadefs::{Mode, Rules, Surplus, Which, bring_in_step};
use serde_json::{Value, json};

use crate::support::common::Run;
use crate::support::real_cloud::{Cloud, STACKS, reset, transport};

#[test]
fn real_metadata_definitions_are_brought_in_step() {
    let cloud = Cloud::find();
    cloud.python("metadefs.py", &["a"]);
    for stack in STACKS {
        let tool = Tool { cloud: &cloud, stack };
        tool.needs_an_administrator();
        tool.makes_what_is_missing();
        tool.mends_what_drifted();
        tool.finds_owners_by_name();
        tool.goes_through_a_dump();
        tool.leaves_out_what_comes_with_glance();
        tool.goes_with_images();
        tool.converges_after_a_break_at_any_request();
    }
}

struct Tool<'a> {
    cloud: &'a Cloud,
    stack: &'static str,
}

impl Tool<'_> {
    fn needs_an_administrator(&self) {
        reset("b");
        let run = self.run(&["metadefs", "a", "alice-b"]).exits(5);
        assert!(run.stderr.contains("metadef_admin"), "{}", run.stderr);
        let run = self.run(&["metadefs", "a", "b", "--namespaces", "no::such"]).exits(2);
        assert!(run.stderr.contains("neither side has a namespace no::such"), "{}", run.stderr);
        assert_eq!(self.judge("a", "b")["missing"], json!(OURS));
    }

    fn makes_what_is_missing(&self) {
        let (run, writes) = self.writes(&["metadefs", "a", "b", "--dry-run"]);
        let said = run.exits(1).stdout;
        assert!(said.contains("2 missing, 0 different, 0 in place") && writes == 0, "{said}");
        let (run, writes) = self.writes(&["metadefs", "a", "b"]);
        let said = run.exits(0).stdout;
        // Both namespaces are created, and one is then protected.
        assert!(said.contains("2 made, 0 changed, 0 in place") && writes == 3, "{writes}: {said}");
        assert_eq!(self.judge("a", "b"), all_the_same());
        self.changes_nothing(&["metadefs", "a", "b"]);
        self.changes_nothing(&["metadefs", "a", "b", "--dry-run"]);
    }

    fn mends_what_drifted(&self) {
        self.cloud.python("drift_metadefs.py", &["b"]);
        let (run, writes) = self.writes(&["metadefs", "a", "b", "-n", "--output", "json"]);
        let report: Value = serde_json::from_str(&run.exits(1).stdout).unwrap();
        assert_eq!(
            (writes, &report["metadefs"]["summary"]["different"]),
            (0, &json!(2)),
            "{report}"
        );
        let sizes = &report["metadefs"]["namespaces"][0];
        let count = |key: &str| sizes[key].as_array().unwrap().len();
        assert_eq!((count("differences"), count("only_at_the_target")), (10, 3), "{sizes:#}");

        let said = self.run(&["metadefs", "a", "b"]).exits(0).stdout;
        assert!(said.contains("2 changed") && said.contains("1 only at the target"), "{said}");
        let judged = self.judge("a", "b");
        let left = judged["different"]["CUSTOM::Sizes"].as_object().unwrap();
        let left: Vec<_> = left.keys().map(String::as_str).collect();
        assert_eq!(left, ["objects surplus", "properties surplus", "tags sürplus"]);
        assert_eq!((&judged["same"], &judged["extra"]), (&json!([OURS[1]]), &json!([EXTRA])));
        self.changes_nothing(&["metadefs", "a", "b"]);

        let line = ["metadefs", "a", "b", "--prune"];
        self.run(&[&line[..], &["-n"]].concat()).exits(1);
        self.run(&line).exits(0);
        let judged = self.judge("a", "b");
        assert_eq!((&judged["same"], &judged["extra"]), (&json!(OURS), &json!([EXTRA])));
        self.changes_nothing(&line);
    }

    fn finds_owners_by_name(&self) {
        reset("c");
        self.run(&["metadefs", "a", "c"]).exits(0);
        assert_eq!(self.judge("a", "c"), all_the_same());
        self.changes_nothing(&["metadefs", "a", "c"]);
    }

    fn goes_through_a_dump(&self) {
        reset("c");
        let directory = tempfile::tempdir().unwrap();
        let dump = directory.path().join("dump");
        let word = dump.to_str().unwrap();
        self.run(&["metadefs", "a", word]).exits(0);
        assert!(is_complete(&dump));
        let before = files(&dump);
        let said = self.run(&["metadefs", "a", word]).exits(0).stdout;
        assert!(said.contains("2 in place") && files(&dump) == before, "{said}");
        // Projects are compared by id, because this dump has no names.
        self.run(&["metadefs", word, "c", "--owner", "keep"]).exits(0);
        let judged = self.judge("a", "c");
        for name in OURS {
            let different = judged["different"][name].as_object().unwrap();
            assert_eq!(different.keys().collect::<Vec<_>>(), ["owner"]);
        }
        self.run(&["metadefs", "c", word, "-n", "--owner", "keep"]).exits(0);
        assert_eq!(files(&dump), before);
        // An incomplete dump stays incomplete.
        let manifest = dump.join("manifest.json");
        let text = fs::read_to_string(&manifest).unwrap();
        fs::write(&manifest, text.replace("\"complete\": true", "\"complete\": false")).unwrap();
        assert!(!is_complete(&dump));
        self.run(&["metadefs", "b", word, "--namespaces", EXTRA]).exits(0);
        assert!(!is_complete(&dump));
        assert_eq!(fs::read_dir(dump.join("metadefs")).unwrap().count(), 3);
    }

    /// Tests with many namespaces, which no Glance lists on one page.
    fn leaves_out_what_comes_with_glance(&self) {
        reset("c");
        self.cloud.python("drift_metadefs.py", &["--load", "b"]);
        self.run(&["metadefs", "b", "c", "--namespaces", EXTRA]).exits(0);
        let missing = self.judge("b", "c")["missing"].as_array().unwrap().len();
        assert!(missing > 30, "{missing}");
        let said = self.run(&["metadefs", "b", "c"]).exits(0).stdout;
        assert!(said.contains("2 made, 0 changed, 1 in place"), "{said}");
        assert_eq!(self.judge("b", "c")["missing"].as_array().unwrap().len(), missing - 2);
        self.run(&["metadefs", "b", "c", "--namespaces", "all"]).exits(0);
        let judged = self.judge("b", "c");
        assert_eq!(judged["same"].as_array().unwrap().len(), missing + 1, "{judged:#}");
        self.changes_nothing(&["metadefs", "b", "c", "--namespaces", "all"]);
    }

    fn goes_with_images(&self) {
        let directory = tempfile::tempdir().unwrap();
        let word = directory.path().to_str().unwrap();
        let none = ["--image", "no image is called so*", "--metadefs", "custom"];
        let with = |line: &[&str]| self.run(&[line, &none].concat());
        with(&["dump", "a", word]).exits(0);
        assert!(is_complete(directory.path()));
        for line in [&["load", word, "c"][..], &["livecopy", "a", "c"], &["sync", "a", "c"]] {
            reset("c");
            let said = with(line).exits(0).stdout;
            assert!(
                said.contains("0 failed\nnamespaces of metadata definitions: 2 made"),
                "{said}"
            );
            assert_eq!(self.judge("a", "c"), all_the_same(), "{line:?}");
        }
        let report = with(&["sync", "a", "c", "--output", "json"]).exits(0).stdout;
        let report: Value = serde_json::from_str(&report).unwrap();
        assert_eq!(report["metadefs"]["summary"]["in_place"], 2, "{report:#}");
        reset("c");
        let run = with(&["sync", "a", "alice-c", "--owner", "caller"]).exits(5);
        assert!(run.stderr.contains("metadef_admin"), "{}", run.stderr);
    }

    /// Breaks the connection after the nth modifying request has arrived and before its answer.
    fn converges_after_a_break_at_any_request(&self) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        reset("b");
        self.run(&["metadefs", "a", "b"]).exits(0);
        for nth in 1.. {
            // One of the two namespaces is missing, and the other has drifted.
            self.cloud.python("drift_metadefs.py", &["b", "--without", OURS[1]]);
            let broken = runtime.block_on(self.broken(nth));
            self.run(&["metadefs", "a", "b", "--prune"]).exits(0);
            assert_eq!(self.judge("a", "b")["same"], json!(OURS), "{nth}");
            if broken.is_ok() {
                assert!(nth > 12, "only {} requests", nth - 1);
                break;
            }
            assert!(nth < 20, "{broken:?}");
        }
    }

    /// Synchronizes b with a until the connection breaks at the nth modifying request.
    async fn broken(&self, nth: usize) -> Result<(), String> {
        let glance = async |name: &str, breaks: bool| {
            let cloud = self.cloud.configured(name);
            let whole = transport(self.stack, &cloud);
            let session = Arc::new(Session::new(Arc::clone(&whole), Arc::clone(&cloud.auth)));
            let endpoint = session.image_endpoint(&cloud.image).await.unwrap().url;
            let transport: Arc<dyn Transport> = match breaks {
                false => whole,
                true => Arc::new(Broken { whole, nth, seen: AtomicUsize::new(0) }),
            };
            GlanceStore::new(name, transport, endpoint, session)
        };
        let (source, target) = (glance("a", false).await, glance("b", true).await);
        let mapping = Mapping::default();
        let which = &[Which::Custom];
        let rules = Rules { which, mapping: &mapping, surplus: Surplus::Prune, mode: Mode::Write };
        let mut failed = Ok(());
        let ended = bring_in_step(&source, &target, &rules, |outcome| {
            if let Some(error) = outcome.error {
                failed = Err(error.to_string());
            }
        });
        let ended: Result<(), StoreError> = ended.await;
        ended.map_err(|error| error.to_string()).and(failed)
    }

    #[track_caller]
    fn changes_nothing(&self, line: &[&str]) {
        let (run, writes) = self.writes(line);
        run.exits(0);
        assert_eq!(writes, 0, "{line:?}");
    }

    /// The run, and the number of its modifying requests to the target.
    #[track_caller]
    fn writes(&self, line: &[&str]) -> (Run, usize) {
        let mark = self.cloud.mark(line[2]);
        let run = self.run(line);
        (run, self.cloud.writes_since(line[2], mark).len())
    }

    fn judge(&self, source: &str, target: &str) -> Value {
        let said = self.cloud.python("judge_metadefs.py", &[source, target]);
        serde_json::from_str(&said).unwrap()
    }

    #[track_caller]
    fn run(&self, line: &[&str]) -> Run {
        self.cloud.replicator(&[line, &["--tls", self.stack]].concat())
    }
}

/// A connection that breaks before the answer to its nth modifying request.
#[derive(Debug)]
struct Broken {
    whole: Arc<dyn Transport>,
    nth: usize,
    seen: AtomicUsize,
}

#[async_trait]
impl Transport for Broken {
    async fn send(&self, request: Request<Body>) -> Result<Response<Body>, TransportError> {
        let writes = request.method() != Method::GET;
        let seen = self.seen.fetch_add(usize::from(writes), Ordering::SeqCst) + usize::from(writes);
        let kind = TransportErrorKind::Interrupted;
        let gone = || TransportError::new(kind, "b", "the test broke it");
        if seen > self.nth {
            return Err(gone());
        }
        let answer = self.whole.send(request).await?;
        if seen == self.nth { Err(gone()) } else { Ok(answer) }
    }
}

fn all_the_same() -> Value {
    json!({"same": OURS, "different": {}, "missing": [], "extra": []})
}

fn is_complete(dump: &Path) -> bool {
    fs::read_to_string(dump.join("manifest.json")).unwrap().contains("\"complete\": true")
}

/// The files of a dump with their contents.
fn files(directory: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => files.extend(self::files(&path)),
            false => files.push((path.display().to_string(), fs::read(&path).unwrap())),
        }
    }
    files.sort();
    files
}

/// The namespaces of `metadefs.py`.
const OURS: [&str; 2] = ["CUSTOM::Sizes", "custom.private"];
/// The namespace that `drift_metadefs.py` creates.
const EXTRA: &str = "only::there";
