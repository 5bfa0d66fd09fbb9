//! The metrics file of `--metrics`.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::replicator;
use crate::support::old_dump::{ID, OTHER_ID, write_old_image};

/// A directory with a dump of the old tool, and the paths of files in the directory.
struct Stage(tempfile::TempDir);

impl Stage {
    fn new() -> Self {
        let stage = Self(tempfile::tempdir().unwrap());
        fs::create_dir(stage.0.path().join("old")).unwrap();
        stage
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).to_str().unwrap().to_owned()
    }

    fn image(&self, id: &str, data: &[u8]) {
        write_old_image(Path::new(&self.path("old")), id, 3, data);
    }

    fn metrics(&self) -> Metrics {
        Metrics(fs::read_to_string(self.path("m.prom")).unwrap())
    }
}

/// The text of a metrics file.
struct Metrics(String);

impl Metrics {
    /// The value of the only sample of this metric, without its prefix, whose labels contain
    /// `label`.
    #[track_caller]
    fn value(&self, name: &str, label: &str) -> u64 {
        let start = format!("glance_replicator_{name}{{");
        let is_it = |line: &&str| line.starts_with(&start) && line.contains(label);
        let found: Vec<&str> = self.0.lines().filter(is_it).collect();
        assert_eq!(found.len(), 1, "{name} {label}: {found:?} in\n{}", self.0);
        found[0].rsplit_once(' ').unwrap().1.parse().unwrap()
    }
}

#[test]
fn a_dry_run_is_not_counted() {
    let stage = Stage::new();
    let (old, new, file) = (stage.path("old"), stage.path("new"), stage.path("m.prom"));
    stage.image(ID, b"abc");
    let run = replicator(&["load", &old, &new, "-n", "--metrics", &file]).exits(1);
    assert!(run.stderr.contains("a dry run writes no metrics to "), "{}", run.stderr);
    assert!(!Path::new(&file).exists());
}

#[test]
fn a_run_is_counted_and_a_failed_run_keeps_the_last_success() {
    let stage = Stage::new();
    let (old, new, file) = (stage.path("old"), stage.path("new"), stage.path("m.prom"));
    let line = ["load", &old, &new, "--metrics", &file];
    stage.image(ID, b"abc");
    stage.image(OTHER_ID, b"abX");
    replicator(&line).exits(6);
    let metrics = stage.metrics();
    for (name, label, expected) in [
        ("images", "state=\"copied\"", 1),
        ("images", "state=\"failed\"", 1),
        ("images", "state=\"in_place\"", 0),
        ("copied_bytes", "", 3),
        ("failures", "kind=\"integrity\"", 1),
        ("failures", "kind=\"other\"", 0),
        ("lost_images", "kind=\"owner\"", 0),
        ("verify_failures", "", 1),
        ("run_exit_code", "", 6),
        ("last_success_timestamp_seconds", "", 0),
        ("build_info", "tls=", 1),
    ] {
        assert_eq!(metrics.value(name, label), expected, "{name} {label}\n{}", metrics.0);
    }
    let labels = format!("{{job_name=\"load\",source=\"{old}\",target=\"{new}\"}}");
    assert!(metrics.0.contains(&format!("run_exit_code{labels} 6")), "{}", metrics.0);
    assert!(metrics.0.ends_with("# EOF\n"));
    // node_exporter reads the file as another user.
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o644);

    stage.image(OTHER_ID, b"abc");
    replicator(&line).exits(0);
    let metrics = stage.metrics();
    let success = metrics.value("last_success_timestamp_seconds", "");
    assert!(success > 1_700_000_000, "{success}");
    assert_eq!(metrics.value("last_run_timestamp_seconds", ""), success);
    assert_eq!(metrics.value("failures", "kind=\"integrity\""), 0);

    // This failure ends the command before its run.
    let hidden = stage.path("hidden");
    fs::rename(&new, &hidden).unwrap();
    fs::write(&new, "not a directory").unwrap();
    let code = replicator(&line).code.unwrap();
    assert_ne!(code, 0);
    let metrics = stage.metrics();
    assert_eq!(metrics.value("run_exit_code", ""), u64::try_from(code).unwrap());
    assert_eq!(metrics.value("last_success_timestamp_seconds", ""), success);
    let failures: u64 = ["usage", "other", "connection", "limit"]
        .iter()
        .map(|kind| metrics.value("failures", &format!("kind=\"{kind}\"")))
        .sum();
    assert_eq!(failures, 1, "{}", metrics.0);
    let left: Vec<_> =
        fs::read_dir(stage.0.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left.len(), 4, "temporary files are left: {left:?}");
}

#[test]
fn each_target_has_its_own_metrics() {
    let stage = Stage::new();
    stage.image(ID, b"abc");
    let (old, new, file) = (stage.path("old"), stage.path("new"), stage.path("m.prom"));
    let token = stage.path("token");
    fs::write(&token, "a-token").unwrap();
    let closed = "https://127.0.0.1:1";
    let line = ["load", &old, &new, closed, "--token-file", &token, "--owner", "caller"];
    let line = [&line[..], &["--metrics", &file, "--low-level-retries", "0"]].concat();
    replicator(&line).exits(4);
    let metrics = stage.metrics();
    let (good, bad) = (format!("target=\"{new}\""), format!("target=\"{closed}\""));
    assert_eq!(metrics.value("run_exit_code", &good), 0, "{}", metrics.0);
    assert_eq!(metrics.value("run_exit_code", &bad), 4);
    assert!(metrics.value("last_success_timestamp_seconds", &good) > 1_700_000_000);
    assert_eq!(metrics.value("last_success_timestamp_seconds", &bad), 0);
    assert_eq!(metrics.value("failures", &format!("{bad},kind=\"connection\"")), 1);
    assert_eq!(metrics.value("failures", &format!("{good},kind=\"connection\"")), 0);
}

#[test]
fn comparisons_and_verifications_are_counted() {
    let stage = Stage::new();
    stage.image(ID, b"abc");
    let (old, new, file) = (stage.path("old"), stage.path("new"), stage.path("m.prom"));
    replicator(&["load", &old, &new]).exits(0);
    stage.image(OTHER_ID, b"abc");
    replicator(&["compare", &old, &new, "--metrics", &file]).exits(1);
    let metrics = stage.metrics();
    assert_eq!(metrics.value("images", "state=\"same\""), 1);
    assert_eq!(metrics.value("images", "state=\"missing\""), 1);
    assert_eq!(metrics.value("images", "state=\"content\""), 0);
    assert_eq!(metrics.value("run_exit_code", ""), 1);
    assert!(!metrics.0.contains("kind=\"integrity\"} 1"));

    let data = Path::new(&new).join(format!("{ID}.img"));
    fs::write(data, b"abX").unwrap();
    replicator(&["verify", &new, "--metrics", &file]).exits(6);
    let metrics = stage.metrics();
    assert_eq!(metrics.value("images", "state=\"bad\""), 1);
    assert_eq!(metrics.value("verify_failures", ""), 1);
    assert!(metrics.0.contains(&format!("source=\"{new}\",target=\"\"")), "{}", metrics.0);
}

#[test]
fn a_metrics_file_that_cannot_be_written_is_an_error() {
    let stage = Stage::new();
    stage.image(ID, b"abc");
    let (old, new) = (stage.path("old"), stage.path("new"));
    let line = |file: &str| replicator(&["load", &old, &new, "--metrics", file]);
    let run = line("/proc/1/none/m.prom").exits(2);
    assert!(run.stderr.contains("cannot write the metrics file /proc/1/none/m.prom"));
    assert!(!Path::new(&new).exists(), "the run began");
    line("/dev/full").exits(8);
    // The metrics of nothing would report a success.
    let file = stage.path("m.prom");
    replicator(&["load", &old, &new, "--metrics", &file, "--dump-filters"]).exits(0);
    assert!(!Path::new(&file).exists());
}

#[test]
fn a_directory_for_the_file_has_the_usual_permissions() {
    let stage = Stage::new();
    stage.image(ID, b"abc");
    let (file, report) = (stage.path("made/below/m.prom"), stage.path("made/r.json"));
    let line = ["load", &stage.path("old"), &stage.path("new"), "--metrics", &file];
    replicator(&[&line[..], &["--report", &report]].concat()).exits(0);
    // As any program makes a directory.
    fs::create_dir(stage.path("usual")).unwrap();
    let mode = |name: &str| fs::metadata(stage.path(name)).unwrap().permissions().mode() & 0o777;
    assert_ne!(mode("usual"), 0o700, "the umask of this test hides the difference");
    for made in ["made", "made/below"] {
        assert_eq!(mode(made), mode("usual"), "{made}");
    }
    assert_eq!((mode("new"), mode("made/r.json")), (0o700, 0o600));
}
