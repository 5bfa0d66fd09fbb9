//! The kill sweep on real Glances (`cargo xtask cloud up`), judged by `cloud/sweep.py`.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use tempfile::TempDir;

use crate::support::extent::extent;
use crate::support::real_cloud::{Cloud, STACKS, reset};
use crate::support::sweep::{Ground, Work, keep, sweep};

#[test]
fn what_is_killed_at_any_instant_is_mended_by_the_next_run() {
    let cloud = Cloud::find();
    cloud.python("seed.py", &["a"]);
    let mut ground = RealCloud::new(cloud);
    let table = sweep(&mut ground, STACKS, extent("ENDURE_KILLS_IN_CLOUD", 4));
    keep("kills-in-cloud.md", &table);
}

struct RealCloud {
    cloud: Cloud,
    judge: Judge,
    /// A dump of the source.
    whole: TempDir,
    /// The dump and the state of the current round.
    round: TempDir,
}

impl RealCloud {
    fn new(cloud: Cloud) -> Self {
        reset("b");
        let judge = Judge::start(&cloud);
        let whole = tempfile::tempdir().unwrap();
        let round = tempfile::tempdir().unwrap();
        let ground = Self { cloud, judge, whole, round };
        let line = words("dump", "a", &ground.dump_to_load().display().to_string());
        let line: Vec<&str> = line.iter().map(String::as_str).collect();
        ground.cloud.replicator(&line).exits(0);
        ground
    }

    fn dump(&self) -> PathBuf {
        self.round.path().join("dump")
    }

    fn dump_to_load(&self) -> PathBuf {
        self.whole.path().join("dump")
    }
}

impl Ground for RealCloud {
    fn clear(&mut self, work: Work) {
        if work != Work::Dump {
            reset("b");
        }
        self.round = tempfile::tempdir().unwrap();
    }

    fn line(&self, work: Work, stack: &str) -> Vec<String> {
        let text = |path: PathBuf| path.display().to_string();
        let mut line = match work {
            Work::Livecopy => words("livecopy", "a", "b"),
            Work::Sync => words("sync", "a", "b"),
            Work::Dump => words("dump", "a", &text(self.dump())),
            Work::Load => words("load", &text(self.dump_to_load()), "b"),
        };
        line.extend(["--tls", stack, "--bwlimit", "4M"].map(str::to_owned));
        line
    }

    fn variables(&self) -> Vec<(String, String)> {
        let state = self.round.path().join("state").display().to_string();
        let clouds = self.cloud.text("clouds_yaml").to_owned();
        [("XDG_STATE_HOME", state), ("OS_CLIENT_CONFIG_FILE", clouds)]
            .map(|(name, value)| (name.to_owned(), value))
            .into()
    }

    fn look(&mut self, work: Work) -> (usize, Vec<String>) {
        self.judge.ask(&match work {
            Work::Dump => format!("dump {}", self.dump().display()),
            _ => "look".to_owned(),
        })
    }

    fn judge(&mut self, work: Work) -> Vec<String> {
        let found = self.judge.ask(&match work {
            Work::Dump => format!("whole {}", self.dump().display()),
            _ => "judge".to_owned(),
        });
        found.1
    }
}

fn words(command: &str, from: &str, to: &str) -> Vec<String> {
    let names = NAMES.iter().flat_map(|name| ["--name", name]);
    [command, from, to].into_iter().chain(names).map(str::to_owned).collect()
}

/// A Python process for all rounds, because its start takes longer than a judgement.
struct Judge {
    process: Child,
    questions: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Judge {
    fn start(cloud: &Cloud) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("cloud/sweep.py");
        let mut python = Command::new(cloud.directory.join("venv/bin/python"));
        python.arg(script).args(["a", "b"]).args(NAMES);
        python.env("OS_CLIENT_CONFIG_FILE", cloud.text("clouds_yaml"));
        python.env_remove("REQUESTS_CA_BUNDLE").env_remove("CURL_CA_BUNDLE");
        let spawned = python.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut process = spawned.unwrap();
        let questions = process.stdin.take().unwrap();
        let answers = BufReader::new(process.stdout.take().unwrap());
        Self { process, questions, answers }
    }

    fn ask(&mut self, question: &str) -> (usize, Vec<String>) {
        writeln!(self.questions, "{question}").unwrap();
        let mut answer = String::new();
        self.answers.read_line(&mut answer).unwrap();
        serde_json::from_str(&answer).expect("the judge answers")
    }
}

impl Drop for Judge {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Images of `seed.py` that together have every attribute of an image, with 0 to 4 MiB of data.
const NAMES: [&str; 10] = [
    "raw-empty",
    "iso-4m",
    "shared-with-many",
    "everything-at-once",
    "deactivated-public",
    "hidden-community",
    "kernel",
    "ramdisk",
    "machine",
    "odd-property-names",
];
