//! Job files: `run`, `config check` and `config schema`.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::replicator;
use crate::support::common::cleared;
use crate::support::old_dump::{ID, OTHER_ID, write_old_image};

/// A directory with a dump of the old tool, and a job file.
struct Stage(tempfile::TempDir);

impl Stage {
    /// Writes a job file in which `DIR` stands for the directory.
    fn new(jobs: &str) -> Self {
        let stage = Self(tempfile::tempdir().unwrap());
        fs::create_dir(stage.0.path().join("old")).unwrap();
        write_old_image(&stage.0.path().join("old"), ID, 3, b"abc");
        fs::write(stage.path("jobs.toml"), jobs.replace("DIR", &stage.path(""))).unwrap();
        stage
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).to_str().unwrap().trim_end_matches('/').to_owned()
    }

    fn file(&self) -> String {
        self.path("jobs.toml")
    }
}

const JOBS: &str = r#"
[defaults]
metrics = "DIR/{job}.prom"

[[jobs]]
name = "load"
verb = "load"
from = "DIR/old"
to = "DIR/new"
select = { image = "one*" }
report = "DIR/{job}.json"
output = "json"

[[jobs]]
name = "drift"
verb = "compare"
from = "DIR/old"
to = "DIR/new"
"#;

#[test]
fn jobs_run_in_order_and_the_worst_exit_wins() {
    let stage = Stage::new(JOBS);
    let run = replicator(&["run", &stage.file()]).exits(0);
    let summary: Vec<&str> = run.stdout.lines().filter(|line| line.starts_with("job ")).collect();
    assert_eq!(summary.len(), 2, "{}", run.stdout);
    assert!(summary[0].starts_with("job load: exit code 0, "), "{}", run.stdout);
    assert!(summary[1].starts_with("job drift: exit code 0, "), "{}", run.stdout);
    assert!(run.stderr.contains("job load: glance-replicator load --"), "{}", run.stderr);
    assert!(run.stderr.contains(&stage.path("load.prom")), "{}", run.stderr);
    let report: Value =
        serde_json::from_slice(&fs::read(stage.path("load.json")).unwrap()).unwrap();
    assert_eq!(report["images"][0]["id"], ID);
    let metrics = fs::read_to_string(stage.path("load.prom")).unwrap();
    assert!(metrics.contains("job_name=\"load\""), "{metrics}");
    assert!(fs::read_to_string(stage.path("drift.prom")).unwrap().contains("job_name=\"drift\""));

    // The second job finds a difference; the first one succeeds.
    write_old_image(Path::new(&stage.path("old")), OTHER_ID, 3, b"abX");
    let run = replicator(&["run", &stage.file()]).exits(6);
    assert!(run.stdout.contains("job load: exit code 6"), "{}", run.stdout);
    assert!(run.stdout.contains("job drift: exit code 1"), "{}", run.stdout);
    let run = replicator(&["run", &stage.file(), "--job", "drift"]).exits(1);
    assert!(!run.stdout.contains("job load"), "{}", run.stdout);
}

#[test]
fn an_unknown_job_is_answered_with_a_name_that_is_like_it() {
    let stage = Stage::new(JOBS);
    let run = replicator(&["run", &stage.file(), "--job", "drfit"]).exits(2);
    assert!(run.stderr.contains("has no job `drfit`; did you mean `drift`?"), "{}", run.stderr);
    assert!(run.stderr.contains("its jobs are load, drift"), "{}", run.stderr);
    assert!(!Path::new(&stage.path("new")).exists());
}

#[test]
fn a_dry_run_changes_nothing() {
    let stage = Stage::new(JOBS);
    // There is something to do, as in a plan.
    let run = replicator(&["run", &stage.file(), "-n"]).exits(1);
    assert!(run.stderr.contains("job drift: glance-replicator compare -- "), "{}", run.stderr);
    let said = "job drift: not run, because its command has no dry run\n";
    assert!(run.stdout.ends_with(said), "{}", run.stdout);
    for name in ["new", "load.prom", "load.json", "drift.prom"] {
        assert!(!Path::new(&stage.path(name)).exists(), "{name}");
    }
}

#[test]
fn a_job_file_with_errors_runs_no_job() {
    let jobs = JOBS.replace("compare", "comapre").replace("report =", "reprot =");
    let stage = Stage::new(&jobs);
    for command in [&["config", "check"][..], &["run"]] {
        let run = replicator(&[command, &[&stage.file()]].concat()).exits(2);
        let errors: Vec<&str> =
            run.stderr.lines().filter(|line| line.starts_with("error: ")).collect();
        let at = |place: &str| format!("error: {}:{place}: ", stage.file());
        assert_eq!(errors.len(), 3, "{}", run.stderr);
        // Without a report, the document of the first job has no place.
        assert!(errors[0].starts_with(&at("5:1")), "{}", run.stderr);
        let unknown = at("11:1") + "unknown key `reprot`; did you mean `report`?";
        assert_eq!(errors[1], unknown, "{}", run.stderr);
        let verb = at("16:8") + "unknown verb `comapre`; did you mean `compare`?";
        assert!(errors[2].starts_with(&verb), "{}", run.stderr);
        assert!(!Path::new(&stage.path("new")).exists());
    }
    let run = replicator(&["config", "check", &Stage::new(JOBS).file()]).exits(0);
    assert!(run.stdout.ends_with("jobs.toml: 2 jobs, no errors\n"), "{}", run.stdout);
    replicator(&["config", "check", "/nonexistent.toml"]).exits(2);
}

/// The job files in `docs/jobs.md`.
fn documented() -> Vec<String> {
    let page = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/jobs.md")).unwrap();
    // The name of the file stands after the language.
    let blocks = page.split("```toml").skip(1).filter_map(|rest| rest.split_once('\n'));
    blocks.map(|(_, rest)| rest.split("```").next().unwrap().to_owned()).collect()
}

#[test]
fn the_job_files_of_the_documentation_have_no_errors() {
    let documented = documented();
    assert!(!documented.is_empty());
    for jobs in documented {
        let stage = Stage::new(&jobs);
        replicator(&["config", "check", &stage.file()]).exits(0);
    }
}

#[test]
fn the_published_schema_is_that_of_the_tool_and_judges_job_files() {
    let published = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/schema/config.json");
    let run = replicator(&["config", "schema"]).exits(0);
    let hint = "update it: glance-replicator config schema > docs/schema/config.json";
    assert!(fs::read_to_string(published).unwrap() == run.stdout, "{hint}");

    let schema: Value = serde_json::from_str(&run.stdout).unwrap();
    let schema = jsonschema::validator_for(&schema).unwrap();
    let json = |text: &str| toml::from_str::<Value>(text).unwrap();
    for jobs in documented().iter().map(String::as_str).chain([JOBS]) {
        let faults: Vec<String> =
            schema.iter_errors(&json(jobs)).map(|fault| fault.to_string()).collect();
        assert!(faults.is_empty(), "{faults:?} in\n{jobs}");
    }
    for (was, wrong) in [
        ("select = { image", "select = { imgae"),
        ("\"compare\"", "\"comapre\""),
        ("name = \"drift\"\n", ""),
        ("output = \"json\"", "output = \"yaml\""),
        ("[[jobs]]", "[[jobz]]"),
        ("verb = \"load\"", "verb = \"load\"\npassword = \"x\""),
        ("metrics =", "metrics = [\"x\"]\ntoken ="),
    ] {
        let jobs = JOBS.replace(was, wrong);
        assert_ne!(jobs, JOBS);
        assert!(!schema.is_valid(&json(&jobs)), "{jobs}");
        let stage = Stage::new(&jobs);
        replicator(&["config", "check", &stage.file()]).exits(2);
    }
}

#[test]
fn journald_gets_the_severity_of_each_line() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("stderr");
    let run = |names_stderr: bool| {
        let file = File::create(&path).unwrap();
        let found = file.metadata().unwrap();
        let inode = found.ino() + u64::from(!names_stderr);
        let mut tool = cleared(Command::new(env!("CARGO_BIN_EXE_glance-replicator-under-test")));
        tool.args(["size", "/nonexistent", "--verbose"]).stderr(file);
        let status = tool.env("JOURNAL_STREAM", format!("{}:{inode}", found.dev())).status();
        assert!(!status.unwrap().success());
        fs::read_to_string(&path).unwrap()
    };
    let said = run(true);
    assert!(said.contains("<3>error: "), "{said}");
    let is_levelled = |line: &str| line.starts_with('<') && line[2..].starts_with('>');
    assert!(said.lines().all(is_levelled), "{said}");
    let said = run(false);
    assert!(said.lines().any(|line| line.starts_with("error: ")), "{said}");
}
