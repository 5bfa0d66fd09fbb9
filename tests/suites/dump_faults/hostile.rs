//! Dumps that an attacker has modified, under every command. No command reads or writes outside the
//! dump, runs forever or exhausts memory, and errors name the refused file.
//!
//! By default each kind and each file is tested with some of the commands, in a deterministic
//! pattern; `HOSTILE_ALL=1` runs all combinations.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use format_dump::{DumpStore, Encoding};
use futures_util::{StreamExt, TryStreamExt};
use glance_core::image::{Attributes, Image, Visibility};
use glance_core::project::Project;
use glance_core::store::ByteRange;
use glance_core::{ImageStore, Selection};
use rustix::process::Signal;

use super::source::{Site, id};

mod many;
mod outside;
mod plant;
mod state;

use outside::Outside;
use plant::{Kind, files_below};

use crate::support::common::{Run, send, start_heard, with_options};

/// The content of files outside the dump, which occurs nowhere else.
const SECRET: &str = "THE-SECRET-OF-ANOTHER-USER ";
/// Size of each image in bytes.
const SIZE: usize = 64 << 10;
/// The file name of the old tool's record.
const OLD: &str = "00000000-0000-4000-8000-000000000001";

/// File names and contents.
type Files = Vec<(String, Vec<u8>)>;

/// The dumps that are tampered with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dump {
    Plain,
    Compressed,
    OldTool,
}

/// The file names that a dump contains, will contain, or is not expected to contain.
fn roles(dump: Dump) -> Vec<String> {
    let of = |number, suffix: &str| format!("{}{suffix}", id(number));
    match dump {
        Dump::Plain => vec![
            "manifest.json".into(),
            "SHA512SUMS".into(),
            "projects.json".into(),
            "metadefs".into(),
            "metadefs/n.json".into(),
            ".glance-replicator.lock".into(),
            of(1, ".json"),
            of(1, ".img"),
            of(1, ".failed"),
            of(2, ".img"),
            of(2, ".img.partial"),
            of(3, ".json"),
            of(3, ".img"),
            of(3, ".img.partial"),
            of(3, ".failed"),
        ],
        Dump::Compressed => vec![of(1, ".img.zst"), of(2, ".img.zst.partial")],
        Dump::OldTool => vec![OLD.into(), of(1, ".img")],
    }
}

/// The commands. D is the dump, O another dump, N a new dump, and U the URL of a Glance.
const COMMANDS: &[&str] = &[
    "size D",
    "load D U",
    "load D N",
    "livecopy D U",
    "sync D U",
    "compare D U --queued",
    "compare U D",
    "plan D U",
    "verify D",
    "verify D U",
    "metadefs D N",
    "repair D U --dry-run",
    "dump D N",
    "serve D",
    "serve D --writable",
    "dump U D",
    "dump U D --compress zstd --queued",
    "livecopy U D --queued",
    "sync U D",
    "metadefs O D",
    "repair U D",
    "load O D",
];

/// The files of a dump of this kind: image 1 with data and a record without digest, image 2 without
/// data.
async fn template(dump: Dump) -> Files {
    let directory = tempfile::tempdir().unwrap();
    if dump == Dump::OldTool {
        let record = serde_json::json!({
            "id": OLD, "name": "old", "status": "active", "size": SIZE, "is_public": true,
            "disk_format": "raw", "container_format": "bare", "properties": {},
        });
        return vec![(OLD.into(), record.to_string().into()), (format!("{OLD}.img"), data(1))];
    }
    let encoding = if dump == Dump::Plain { Encoding::Identity } else { Encoding::Zstd };
    let store = DumpStore::create(directory.path()).unwrap().encoding_as(encoding);
    store.create(&Image::queued(id(1), attributes(1))).await.unwrap();
    store.upload(&id(1), Bytes::from(data(1)).into()).await.unwrap();
    store.create(&Image::queued(id(2), attributes(2))).await.unwrap();
    let project = Project { id: "1".into(), name: "p".into(), domain: "d".into() };
    store.write_projects(&[project]).await.unwrap();
    store.write_metadef(&serde_json::json!({ "namespace": "n" })).await.unwrap();
    let record = directory.path().join(format!("{}.json", id(1)));
    let mut value: serde_json::Value = serde_json::from_slice(&fs::read(&record).unwrap()).unwrap();
    for field in ["checksum", "os_hash_value", "os_hash_algo"] {
        value["image"].as_object_mut().unwrap().remove(field);
    }
    value["data"].as_object_mut().unwrap().remove("sha512");
    fs::write(&record, value.to_string()).unwrap();
    store.finish().await.unwrap();
    let named = |(path, text): (PathBuf, Vec<u8>)| {
        let name = path.strip_prefix(directory.path()).unwrap().to_str().unwrap().to_owned();
        (name, text)
    };
    files_below(directory.path()).into_iter().map(named).collect()
}

fn attributes(number: u8) -> Attributes {
    Attributes {
        name: Some(format!("image {number}")),
        visibility: Visibility::Public,
        disk_format: Some("raw".to_owned()),
        container_format: Some("bare".to_owned()),
        ..Attributes::default()
    }
}

fn data(number: u8) -> Vec<u8> {
    (1..=251_u8).cycle().skip(number.into()).take(SIZE).collect()
}

/// One command on one dump.
struct Case {
    dump: Dump,
    role: String,
    kind: Option<Kind>,
    command: &'static str,
}

impl Case {
    /// Runs the case. The error describes the violation.
    async fn run(&self, template: &Files, good: &Path) -> Result<(), String> {
        let site = Site::open(super::STACK).await;
        for number in [1, 2, 3] {
            let writes = self.command.contains("U D") || self.command.contains("--writable");
            if writes || (number == 1 && self.command.starts_with("verify")) {
                site.kept.create(&Image::queued(id(number), attributes(number))).await.unwrap();
                site.kept.upload(&id(number), Bytes::from(data(number)).into()).await.unwrap();
            }
        }
        let outside = Outside::of(template);
        let dump = site.directory.path().join("dump");
        write(&dump, template);
        if let Some(kind) = self.kind {
            kind.plant(&dump, &self.role, &outside);
        }
        let new = site.directory.path().join("new");
        let words = self.command.split(' ').map(|word| match word {
            "D" => format!("dir:{}", dump.display()),
            "N" => format!("dir:{}", new.display()),
            "O" => format!("dir:{}", good.display()),
            "U" => site.url.clone(),
            word => word.to_owned(),
        });
        let words: Vec<String> = words.collect();
        outside.begin();
        let run = if words[0] == "serve" {
            self.served(&site, &dump, &words[2..]).await
        } else {
            let state = site.directory.path().join("state");
            let more = [["--state-dir", state.to_str().unwrap()], ["--low-level-retries", "0"]];
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            finish(start_heard(&site.line(&with_options(&words, &more)), &[])).await
        };
        outside.is_untouched()?;
        self.judge(&run?)?;
        is_without_secrets(&*site.kept).await?;
        let others = [&new, &site.directory.path().join("state"), &dump];
        for (path, text) in others.into_iter().flat_map(|place| files_below(place)) {
            let is_planted = self.kind == Some(Kind::HardLink) && path.ends_with(&self.role);
            if contains(&text, SECRET) && !is_planted {
                return Err(format!("a secret is in {}", path.display()));
            }
        }
        Ok(())
    }

    /// Serves the dump, and copies all of it from the server, or copies images to it.
    async fn served(&self, site: &Site, dump: &Path, more: &[String]) -> Result<Ended, String> {
        let file = |name: &str| site.directory.path().join(name).to_str().unwrap().to_owned();
        let (cert, key) = (file("server.pem"), file("server.key"));
        let place = dump.to_str().unwrap();
        let line = ["serve", place, "--listen", "127.0.0.1:0", "--cert", &cert, "--key", &key];
        let line = line.map(ToString::to_string);
        let mut server = start_heard(&[&line, more].concat(), &[]);
        let Some(url) = first_url(&mut server) else { return finish(server).await };
        let copy = format!("dir:{}", site.directory.path().join("new").display());
        let mut line = ["livecopy", "--no-state", "--low-level-retries", "0", "--queued"].to_vec();
        // `serve` has no projects, so a written image belongs to its caller.
        if more.is_empty() {
            line.extend([&*url, &copy]);
        } else {
            line.extend([&*site.url, &url, "--owner", "caller"]);
        }
        let client = finish(start_heard(&site.line(&line), &[])).await?;
        send(Signal::TERM, &server);
        let ended = finish(server).await?;
        // The server reports refusals to its client.
        let (stdout, stderr) = (client.run.stdout, client.run.stderr);
        let code = client.run.code;
        let run = Run { code, stdout, stderr: ended.run.stderr + &stderr };
        Ok(Ended { run, peak: ended.peak.max(client.peak) })
    }

    fn judge(&self, Ended { run, peak }: &Ended) -> Result<(), String> {
        let wrong = |what: &str| Err(format!("{what}: {run:?}"));
        let said = format!("{}{}", run.stdout, run.stderr);
        if said.contains("panicked at") || contains(said.as_bytes(), SECRET.trim()) {
            return wrong("it panicked or told a secret");
        }
        if *peak > MOST_MEMORY {
            return wrong(&format!("it took {peak} KiB of memory"));
        }
        PEAK.fetch_max(*peak, Ordering::Relaxed);
        let name = Path::new(&self.role).file_name().unwrap().to_str().unwrap();
        match run.code {
            Some(0 | 1) => Ok(()),
            Some(2..=9) if self.kind.is_none() => wrong("a good dump is refused"),
            // `serve` does not tell its clients the reason.
            Some(2) if self.dump == Dump::OldTool && said.contains("dump of the old tool") => {
                Ok(())
            }
            // A record that the digest list does not contain is not read.
            Some(6)
                if self.command.starts_with("verify")
                    && name.get(..36).is_some_and(|id| said.contains(id)) =>
            {
                Ok(())
            }
            Some(2..=9) if said.contains(name) || self.command.starts_with("serve") => Ok(()),
            Some(2..=9) => wrong("what is refused is not named"),
            _ => wrong("it did not end as it should"),
        }
    }
}

/// The result of a process.
struct Ended {
    run: Run,
    /// Peak memory in KiB.
    peak: u64,
}

/// Waits for a process. Fails if the process takes too long.
async fn finish(child: Child) -> Result<Ended, String> {
    tokio::task::spawn_blocking(|| ended(child, LONGEST)).await.unwrap()
}

fn ended(mut child: Child, longest: Duration) -> Result<Ended, String> {
    let (begin, mut peak) = (Instant::now(), 0);
    // Reads the output concurrently, so that the process never blocks on a full pipe.
    let mut heard = [child.stdout.take().map(hear), child.stderr.take().map(hear_other)];
    let status = loop {
        peak = peak.max(memory_of(child.id()).unwrap_or_default());
        match child.try_wait().unwrap() {
            Some(status) => break status,
            None if begin.elapsed() > longest => {
                child.kill().unwrap();
                child.wait().unwrap();
                return Err("it hangs".to_owned());
            }
            None => std::thread::sleep(Duration::from_millis(2)),
        }
    };
    let mut text = |at: usize| heard[at].take().map(|it| it.join().unwrap()).unwrap_or_default();
    let run = Run { code: status.code(), stdout: text(0), stderr: text(1) };
    Ok(Ended { run, peak })
}

type Heard = std::thread::JoinHandle<String>;

fn hear(from: std::process::ChildStdout) -> Heard {
    std::thread::spawn(move || std::io::read_to_string(from).unwrap_or_default())
}

fn hear_other(from: std::process::ChildStderr) -> Heard {
    std::thread::spawn(move || std::io::read_to_string(from).unwrap_or_default())
}

/// Peak memory of a process so far (`VmHWM` of proc(5)), in KiB.
fn memory_of(process: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}

/// The address that a server prints, unless the server ends before.
fn first_url(server: &mut Child) -> Option<String> {
    use std::io::{BufRead, BufReader};
    let mut lines = BufReader::new(server.stdout.take()?);
    let mut line = String::new();
    lines.read_line(&mut line).ok()?;
    line.split_whitespace().find(|word| word.starts_with("https://")).map(str::to_owned)
}

fn write(directory: &Path, files: &[(String, Vec<u8>)]) {
    fs::create_dir_all(directory.join("metadefs")).unwrap();
    for (name, text) in files {
        fs::write(directory.join(name), text).unwrap();
    }
}

fn contains(text: &[u8], secret: &str) -> bool {
    text.windows(secret.len()).any(|part| part == secret.as_bytes())
}

async fn is_without_secrets(store: &dyn ImageStore) -> Result<(), String> {
    let images = store.list(&Selection::everything()).await.unwrap();
    let images: Vec<Image> = images.try_collect().await.unwrap();
    for image in images {
        let mut told = format!("{image:?}").into_bytes();
        if image.status.has_data() {
            let data = store.read(&image.id, ByteRange::ALL).await.unwrap();
            told.extend(data.collect(16 << 20).await.unwrap());
        }
        if contains(&told, SECRET.trim()) {
            return Err(format!("a secret was sent as {}", image.id));
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_outside_of_a_dump_is_read_or_written() {
    let good = tempfile::tempdir().unwrap();
    write(good.path(), &template(Dump::Plain).await);
    let mut number = 0;
    let (mut ran, mut wrong) = (0, Vec::new());
    for dump in [Dump::Plain, Dump::Compressed, Dump::OldTool] {
        let template = Arc::new(template(dump).await);
        let mut cases: Vec<Case> = Vec::new();
        for role in roles(dump) {
            for kind in Kind::ALL.into_iter().filter(|kind| kind.suits(&role)) {
                // Only an existing file can belong to another user.
                if kind == Kind::Foreign && template.iter().all(|(name, _)| *name != role) {
                    continue;
                }
                for (at, command) in COMMANDS.iter().enumerate() {
                    let role = role.clone();
                    if all() || (number + at) % 13 == 0 {
                        cases.push(Case { dump, role, kind: Some(kind), command });
                    }
                }
                number += 1;
            }
        }
        if dump != Dump::OldTool {
            let good =
                |command: &&'static str| Case { dump, role: "none".into(), kind: None, command };
            cases.extend(COMMANDS.iter().map(good));
        }
        ran += cases.len();
        let good = good.path().to_owned();
        let runs = futures_util::stream::iter(cases.into_iter().map(|case| {
            let (template, good) = (Arc::clone(&template), good.clone());
            let run = async move { (case.run(&template, &good).await, case) };
            tokio::spawn(run)
        }));
        let mut runs = runs.buffer_unordered(AT_ONCE);
        while let Some(run) = runs.next().await {
            if let (Err(what), Case { dump, role, kind, command }) = run.unwrap() {
                wrong.push(format!("{dump:?} {role} {kind:?} {command}: {what}"));
            }
        }
    }
    eprintln!("{ran} runs, at most {} KiB of memory", PEAK.load(Ordering::Relaxed));
    assert!(wrong.is_empty(), "{} of {ran}:\n{}", wrong.len(), wrong.join("\n"));
}

static PEAK: AtomicU64 = AtomicU64::new(0);

fn all() -> bool {
    std::env::var_os("HOSTILE_ALL").is_some()
}

/// Number of cases that run concurrently.
const AT_ONCE: usize = 3;

/// Time limit for a command on a small dump, on a busy machine.
const LONGEST: Duration = Duration::from_secs(30);

/// Memory limit for a process in KiB.
const MOST_MEMORY: u64 = 100 << 10;
