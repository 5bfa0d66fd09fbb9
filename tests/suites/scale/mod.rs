//! One replication split over several machines: the shards together copy every image exactly once,
//! and their reports merge into one.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::num::NonZeroU32;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use bytes::Bytes;
use format_dump::DumpStore;
use futures_util::TryStreamExt;
use glance_core::image::provenance;
use glance_core::image::{Attributes, Image, ImageId};
use glance_core::selection::{Selection, Shard};
use glance_core::store::memory::MemoryStore;
use glance_core::{Body, ImageStore};
use glance_server::GlanceApi;
use serde_json::Value;
use tokio::net::TcpListener;

use crate::support::common::{Run, cleared, replicator_with, with_options};

mod members;
mod memory;

fn id(number: u32) -> ImageId {
    format!("00000000-0000-4000-8000-{number:012}").parse().unwrap()
}

fn shard(number: u64, of: u32) -> Shard {
    Shard::new(number, NonZeroU32::new(of).unwrap()).unwrap()
}

/// The shard, out of `of`, that contains an image.
fn shard_of(image: &ImageId, of: u32) -> u64 {
    (1..=of.into()).find(|number| shard(*number, of).contains(image)).unwrap()
}

/// A Glance over plain HTTP.
struct Site {
    url: String,
    kept: Arc<MemoryStore>,
}

impl Site {
    async fn open() -> Self {
        let kept = Arc::new(MemoryStore::new("kept"));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let api = Arc::new(GlanceApi::new(Arc::clone(&kept) as Arc<dyn ImageStore>));
        tokio::spawn(glance_server::serve(listener, None, api, std::future::pending()));
        Self { url, kept }
    }

    /// A site with images of these numbers; the size of each is its number in bytes.
    async fn with(numbers: impl IntoIterator<Item = u32>) -> Self {
        let site = Self::open().await;
        for number in numbers {
            site.put(number, &[]).await;
        }
        site
    }

    async fn put(&self, number: u32, properties: &[(&str, &str)]) {
        let own = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        let attributes = Attributes {
            name: Some(format!("image-{}", number % 10)),
            disk_format: Some("raw".to_owned()),
            container_format: Some("bare".to_owned()),
            properties: properties.iter().map(own).collect(),
            ..Attributes::default()
        };
        let created_at = Some(format!("2026-01-01T00:00:{:02}Z", number % 60));
        let image = Image { created_at, ..Image::queued(id(number), attributes) };
        self.kept.create(&image).await.unwrap();
        let data = Bytes::from(vec![b'x'; number as usize]);
        self.kept.upload(&image.id, Body::from(data)).await.unwrap();
    }

    async fn ids(&self) -> BTreeSet<ImageId> {
        let images = self.kept.list(&Selection::everything()).await.unwrap();
        images.map_ok(|image| image.id).try_collect().await.unwrap()
    }
}

/// Runs the tool with a token that these servers ignore.
async fn run(line: &[&str]) -> Run {
    let line: Vec<String> = line.iter().map(ToString::to_string).collect();
    let run = tokio::task::spawn_blocking(move || {
        let line: Vec<&str> = line.iter().map(String::as_str).collect();
        replicator_with(&with_options(&line, &[["-t", "none"], ["--owner", "caller"]]), &[])
    });
    run.await.unwrap()
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn ids_of(report: &Value) -> Vec<ImageId> {
    let images = report["images"].as_array().unwrap().iter();
    images.map(|image| image["id"].as_str().unwrap().parse().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn shards_copy_each_image_once_and_all_of_them_everything() {
    let (a, b) = (Site::with(1..=60).await, Site::open().await);
    // An extra image, which exactly one shard must report.
    b.put(99, &[]).await;
    let mut copied = Vec::new();
    for number in 1..=5 {
        let part = format!("{number}/5");
        let line = ["livecopy", &a.url, &b.url, "--shard", &part, "--output", "json"];
        let ids = ids_of(&json(&run(&line).await.exits(0).stdout));
        assert!(!ids.is_empty() && ids.iter().all(|id| shard(number, 5).contains(id)), "{ids:?}");
        copied.extend(ids);
        let line = ["compare", &a.url, &b.url, "--shard", &part, "--output", "json"];
        let compared = run(&line).await;
        let extra = ids_of(&json(&compared.stdout));
        match shard(number, 5).contains(&id(99)) {
            true => assert_eq!((compared.code, extra), (Some(1), vec![id(99)])),
            false => assert_eq!((compared.code, extra), (Some(0), vec![])),
        }
    }
    let once: BTreeSet<ImageId> = copied.iter().cloned().collect();
    assert_eq!((copied.len(), &once), (60, &a.ids().await));
    run(&["compare", &a.url, &b.url, "--one-way"]).await.exits(0);
    // Another number of shards agrees.
    run(&["compare", &a.url, &b.url, "--one-way", "--shard", "2/7"]).await.exits(0);
    run(&["size", &a.url, "--shard", "8/7"]).await.exits(2);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rest_of_the_selection_is_that_of_all_shards() {
    let a = Site::with(1..=40).await;
    let bytes = async |options: &[&str]| -> u64 {
        let line = [&["size", &a.url, "--output", "json"], options].concat();
        json(&run(&line).await.exits(0).stdout)["size"]["bytes"].as_u64().unwrap()
    };
    let all: Vec<String> = (1..=40).map(|number| id(number).to_string()).collect();
    let named: Vec<&str> = all.iter().take(20).flat_map(|id| ["--id", id.as_str()]).collect();
    // The newest image of each of ten names, images 31 to 40; by size, images of at least 30 bytes;
    // by id, images 1 to 20.
    for options in [&["--latest-per", "name"][..], &["--min-size", "30"], &named] {
        let mut sum = 0;
        for number in 1..=3 {
            sum += bytes(&[options, &["--shard", &format!("{number}/3")]].concat()).await;
        }
        assert_eq!(sum, bytes(options).await, "{options:?}");
    }
    let line = ["size", &a.url, "--dump-filters", "--tag", "x", "--shard", "2/3"];
    let said = run(&line).await.exits(0).stdout;
    assert!(said.contains("of these, one shard\n  shard 2/3\n"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_in_another_shard_is_not_removed() {
    let (a, b) = (Site::with(1..=20).await, Site::open().await);
    let sync = async |options: &[&str]| {
        run(&[&["sync", &a.url, &b.url, "--max-delete", "50"], options].concat()).await
    };
    sync(&[]).await.exits(0);
    let gone: Vec<ImageId> = [3, 4, 5, 6, 7, 8].map(id).into();
    for id in &gone {
        a.kept.delete(id).await.unwrap();
    }
    let mine: BTreeSet<ImageId> =
        gone.iter().filter(|id| shard(2, 3).contains(id)).cloned().collect();
    assert!(!mine.is_empty() && mine.len() < gone.len(), "{mine:?}");
    sync(&["--shard", "2/3", "--delete", "delete"]).await.exits(0);
    let before: BTreeSet<ImageId> = (1..=20).map(id).collect();
    assert_eq!(b.ids().await, &before - &mine);
    sync(&["--delete", "delete"]).await.exits(0);
    assert_eq!(b.ids().await, a.ids().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kernel_of_another_shard_is_named_as_it_is_or_by_the_next_run() {
    let (a, b) = (Site::with([1, 2]).await, Site::open().await);
    let kernel = id(1);
    let elsewhere = |number: &u32| shard_of(&id(*number), 2) != shard_of(&kernel, 2);
    let dependent = (3..99).find(elsewhere).unwrap();
    a.put(dependent, &[("kernel_id", kernel.as_str())]).await;
    // The kernel's id is already used up at the target.
    b.put(1, &[]).await;
    b.kept.delete(&kernel).await.unwrap();
    let sync = async |number: u64| {
        let part = format!("{number}/2");
        let options = ["--on-burned-id", "new", "--shard", &part];
        run(&[&["sync", &a.url, &b.url], &options[..]].concat()).await.exits(0)
    };
    let named = async || {
        let properties = b.kept.get(&id(dependent)).await.unwrap().attributes.properties;
        properties["kernel_id"].clone()
    };
    let (first, second) = (shard_of(&id(dependent), 2), shard_of(&kernel, 2));
    sync(first).await;
    assert_eq!(named().await, kernel.as_str());
    sync(second).await;
    let images = b.kept.list(&Selection::everything()).await.unwrap();
    let images: Vec<Image> = images.try_collect().await.unwrap();
    let is_new = |image: &&Image| image.attributes.properties.contains_key(provenance::NEW_ID);
    let new = images.iter().find(is_new).unwrap();
    assert_eq!(named().await, kernel.as_str());
    sync(first).await;
    assert_eq!(named().await, new.id.as_str());
}

/// Runs the script of a job array for one of its tasks; `array` has the first and last task number.
fn task(work: &Path, array: [u32; 2], task: u32, line: &[&str]) -> Run {
    let bin = work.join("bin");
    fs::create_dir_all(&bin).unwrap();
    let tool = bin.join("glance-replicator");
    let _ = std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_glance-replicator-under-test"), tool);
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let [first, last] = array;
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../packaging/slurm/array.sh");
    let mut command = cleared(Command::new("bash"));
    command.arg(script).args(line).args(["-t", "none", "--owner", "caller"]);
    command.env("PATH", path).env("WORK", work).env("SLURM_ARRAY_JOB_ID", "77");
    command.env("SLURM_ARRAY_TASK_ID", task.to_string());
    command.env("SLURM_ARRAY_TASK_MIN", first.to_string());
    command.env("SLURM_ARRAY_TASK_MAX", last.to_string());
    command.env("SLURM_ARRAY_TASK_COUNT", (last - first + 1).to_string());
    Run::of(command.output().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_array_of_slurm_does_everything_and_one_report_says_so() {
    let (a, b) = (Site::with(1..=50).await, Site::open().await);
    let work = tempfile::tempdir().unwrap();
    let array = async |tasks: [u32; 2], chosen: Vec<u32>| {
        let started = chosen.into_iter().map(|number| {
            let (work, a, b) = (work.path().to_owned(), a.url.clone(), b.url.clone());
            tokio::task::spawn_blocking(move || task(&work, tasks, number, &[&a, &b]))
        });
        // All tasks run concurrently, as in a job array.
        let started: Vec<_> = started.collect();
        let mut runs = Vec::new();
        for run in started {
            runs.push(run.await.unwrap());
        }
        runs
    };
    // One task is still missing.
    for run in array([1, 8], vec![1, 2, 3, 4, 6, 7, 8]).await {
        run.exits(0);
    }
    let reports = work.path().join("77");
    let reports = reports.to_str().unwrap();
    let merge = ["report", "merge", reports];
    let said = run(&merge).await.exits(3).stdout;
    let sides = format!("sync {} {}", a.url, b.url);
    assert!(said.contains(&format!("{sides}: 7 of 8 shards, without 5\n")), "{said}");
    let tasks = array([1, 8], vec![5]).await;
    assert!(tasks.into_iter().all(|run| run.code == Some(0)));
    assert_eq!(b.ids().await, a.ids().await);

    let said = run(&merge).await.exits(0).stdout;
    assert_eq!(said, format!("{sides}: all 8 shards\n1275 bytes, 50 copied, 50 verified\n"));
    let merged = json(&run(&[&merge[..], &["--output", "json"]].concat()).await.exits(0).stdout);
    let ids = ids_of(&merged);
    assert_eq!((ids.len(), ids.into_iter().collect()), (50, a.ids().await));
    assert_eq!(merged["summary"]["copied"], 50);
    assert_eq!(merged["merged"]["missing"], serde_json::json!([]));

    // The array is submitted again with other task numbers; a single task alone does not know its
    // shard.
    for run in array([0, 7], (0..8).collect()).await {
        run.exits(0);
    }
    let tasks = array([3, 3], vec![3]).await;
    assert!(tasks[0].stderr.contains("does not have 8 consecutive tasks"), "{}", tasks[0].stderr);
    assert_eq!(tasks[0].code, Some(2));
}

#[test]
fn the_script_of_an_array_says_that_slurm_runs_it() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../packaging/slurm/array.sh");
    let run = Run::of(cleared(Command::new("bash")).arg(script).output().unwrap());
    assert!(run.stderr.contains("submit this script with sbatch"), "{}", run.stderr);
    run.exits(1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_of_kubernetes_names_its_pods_by_what_the_tool_reads() {
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/../packaging/kubernetes/indexed-job.yaml");
    let manifest = fs::read_to_string(manifest).unwrap();
    let arguments = manifest.lines().skip_while(|line| line.trim() != "args:").skip(1);
    let arguments = arguments.map_while(|line| line.trim().strip_prefix("- "));
    let work = tempfile::tempdir().unwrap();
    let (a, b) = (Site::with(1..=20).await, Site::open().await);
    let line = arguments.map(|argument| {
        let argument = argument.split(" #").next().unwrap().trim();
        let argument = argument.replace("$(JOB_COMPLETION_INDEX)", "3").replace("$(JOB)", "job-x");
        let argument =
            argument.replace("/var/lib/glance-replicator", work.path().to_str().unwrap());
        match argument.as_str() {
            "a" => a.url.clone(),
            "b" => b.url.clone(),
            _ => argument,
        }
    });
    let line: Vec<String> =
        line.chain(["--token=none", "--owner=caller"].map(str::to_owned)).collect();
    assert!(line.contains(&"--shard=auto/8".to_owned()), "{line:?}");
    let variables = [("JOB_COMPLETION_INDEX", "3")];
    let run = tokio::task::spawn_blocking(move || {
        replicator_with(&line.iter().map(String::as_str).collect::<Vec<_>>(), &variables)
    });
    run.await.unwrap().exits(0);
    let report = fs::read_to_string(work.path().join("reports/job-x/3.json")).unwrap();
    assert_eq!(json(&report)["shard"], "4/8");
    let mine = a.ids().await.into_iter().filter(|id| shard(4, 8).contains(id));
    assert_eq!(b.ids().await, mine.collect());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_in_a_file_is_whole_and_knows_how_the_run_ended() {
    let (a, b) = (Site::with(1..=4).await, Site::open().await);
    let work = tempfile::tempdir().unwrap();
    let path = work.path().join("made/report.json");
    let report = path.to_str().unwrap();
    let read = || json(&fs::read_to_string(&path).unwrap());
    let options = ["--report", report];
    let sync =
        async |more: &[&str]| run(&[&["sync", &a.url, &b.url], &options[..], more].concat()).await;
    assert!(sync(&[]).await.exits(0).stdout.contains("4 copied"));
    assert_eq!((&read()["exit_code"], &read()["summary"]["copied"]), (&0.into(), &4.into()));
    // Errors that occur after the report's body are in the report too.
    for number in 1..=3 {
        a.kept.delete(&id(number)).await.unwrap();
    }
    let refused = sync(&["--delete", "delete", "--max-delete", "2"]).await.exits(8);
    assert!(refused.stderr.contains("3 images would be removed"), "{}", refused.stderr);
    let whole = read();
    assert_eq!(whole["exit_code"], 8);
    let said = whole["errors"][0]["message"].as_str().unwrap();
    assert!(said.contains("3 images would be removed"), "{whole}");
    // A command line that is not understood does not touch the report of an earlier run.
    sync(&["--min-size", "x"]).await.exits(2);
    assert_eq!(read(), whole);
    // A failure before the run has a report too.
    sync(&["--shard", "auto/2"]).await.exits(2);
    assert_eq!((&read()["exit_code"], read()["errors"].as_array().unwrap().len()), (&2.into(), 1));
    assert!(!work.path().join("made/report.json.partial").exists());
    let line = [&["compare", &a.url, &b.url], &options[..]].concat();
    run(&line).await.exits(1);
    assert_eq!((&read()["command"], &read()["exit_code"]), (&"compare".into(), &1.into()));
    let line = ["compare", &a.url, "http://127.0.0.1:9", "--report", report];
    run(&line).await.exits(4);
    assert_eq!((&read()["exit_code"], &read()["source"]["address"]), (&4.into(), &(*a.url).into()));
    // A file with another name has the format of --output.
    let text = work.path().join("report.txt");
    let line = ["compare", &a.url, &b.url, "--report", text.to_str().unwrap()];
    let on_screen = run(&line).await.exits(1).stdout;
    let in_file = fs::read_to_string(&text).unwrap();
    assert!(on_screen.contains("4 images compared"), "{on_screen}");
    assert_eq!(in_file, format!("{on_screen}exit code 1: differences\n"));
    let line = ["clouds", "--report", "/dev/null/report"];
    assert!(run(&line).await.exits(2).stderr.contains("cannot write the report"));
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_belongs_together_is_merged() {
    let (a, b) = (Site::with(1..=12).await, Site::open().await);
    // One image fails at the target, which has used up the id.
    b.put(5, &[]).await;
    b.kept.delete(&id(5)).await.unwrap();
    let work = tempfile::tempdir().unwrap();
    let path = |name: &str| work.path().join(name).to_str().unwrap().to_owned();
    let mut wanted: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    wanted.insert("1.json", vec!["livecopy", &a.url, &b.url, "--shard", "1/2"]);
    wanted.insert("2.json", vec!["livecopy", &a.url, &b.url, "--shard", "2/2"]);
    wanted.insert("three", vec!["livecopy", &a.url, &b.url, "--shard", "2/3"]);
    wanted.insert("whole", vec!["livecopy", &a.url, &b.url]);
    wanted.insert("other", vec!["livecopy", &b.url, &a.url, "--shard", "2/2"]);
    wanted.insert("tagged", vec!["livecopy", &a.url, &b.url, "--shard", "2/2", "--tag", "x"]);
    wanted.insert("verb", vec!["compare", &a.url, &b.url, "--shard", "2/2"]);
    for (name, line) in &wanted {
        let report = path(name);
        run(&[&line[..], &["--output", "json", "--report", &report]].concat()).await;
    }
    let merged = run(&["report", "merge", work.path().to_str().unwrap()]).await.exits(3).stdout;
    assert!(merged.contains(&format!("failed: {} \"image-5\": ", id(5))), "{merged}");
    assert!(
        merged.contains("all 2 shards\n") && merged.contains("11 copied, 1 failed"),
        "{merged}"
    );

    fs::write(path("cut"), "{ \"images\": [").unwrap();
    fs::write(path("not"), "[]").unwrap();
    for (name, reason) in [
        ("1.json", "both are of shard 1/2"),
        ("three", "the first report is one of 2 shards, the second one of 3"),
        ("whole", "is the report of a run without --shard"),
        ("other", "source is "),
        ("tagged", "selection is [] in the first, [\\\"tag=x\\\"] in the second"),
        ("verb", "command is \\\"livecopy\\\" in the first, \\\"compare\\\" in the second"),
        ("cut", "is not a JSON report"),
        ("not", "is not a report"),
        ("absent", "cannot read"),
    ] {
        let said = run(&["report", "merge", &path("1.json"), &path(name)]).await.exits(2);
        assert!(said.stderr.contains(&reason.replace('\\', "")), "{name}: {}", said.stderr);
        assert_eq!(said.stdout, "");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn reports_of_several_targets_are_merged_target_by_target() {
    let work = tempfile::tempdir().unwrap();
    for number in 1..=2 {
        let image = serde_json::json!({
            "target": "b", "id": "i", "name": "n", "result": "failed", "errors": ["why", "because"],
        });
        let store = |name: &str| serde_json::json!({ "name": name, "address": null });
        let error = serde_json::json!({ "message": "stopped", "causes": ["early"] });
        let totals = |copied: u32| serde_json::json!({ "copied": copied, "exit_code": 0 });
        let report = serde_json::json!({
            "schema_version": 1, "command": "sync", "source": store("a"),
            "targets": [store("b"), store("c")], "selection": [], "shard": format!("{number}/2"),
            "images": [image], "summary": { "copied": number + 10 },
            "by_target": { "b": totals(number), "c": totals(10) },
            "errors": [error], "exit_code": 3,
        });
        fs::write(work.path().join(format!("{number}.json")), report.to_string()).unwrap();
    }
    let said = run(&["report", "merge", work.path().to_str().unwrap()]).await.exits(3).stdout;
    insta::assert_snapshot!(said, @r#"
    b: failed: i "n": why: because
    b: failed: i "n": why: because
    shard 1/2: stopped: early
    shard 2/2: stopped: early
    sync a b c: all 2 shards
    b: 3 copied
    c: 20 copied
    "#);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_shard_of_a_dump_has_a_directory() {
    let (a, b) = (Site::with(1..=30).await, Site::open().await);
    let work = tempfile::tempdir().unwrap();
    for number in 1..=2 {
        let [dump, report] = ["dump", "report"]
            .map(|name| work.path().join(format!("{name}-{number}")).to_str().unwrap().to_owned());
        let part = format!("{number}/2");
        let options = ["--shard", &part, "--output", "json", "--report", &report];
        run(&[&["dump", &a.url, &dump], &options[..]].concat()).await.exits(0);
        run(&["verify", &dump]).await.exits(0);
        run(&["load", &dump, &b.url]).await.exits(0);
    }
    let reports = ["report-1", "report-2"].map(|name| work.path().join(name));
    let [one, two] = reports.each_ref().map(|path| path.to_str().unwrap());
    let said = run(&["report", "merge", one, two]).await.exits(0).stdout;
    assert!(said.contains("(2 directories): all 2 shards\n465 bytes, 30 copied"), "{said}");
    assert_eq!(b.ids().await, a.ids().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn namespaces_are_those_of_the_first_shard() {
    let work = tempfile::tempdir().unwrap();
    let [from, first, second] =
        ["from", "first", "second"].map(|name| work.path().join(name).to_str().unwrap().to_owned());
    let source = DumpStore::create(&from).unwrap();
    source.write_metadef(&serde_json::json!({ "namespace": "OS::Test" })).await.unwrap();
    source.finish().await.unwrap();
    for (to, part) in [(&first, "1/2"), (&second, "2/2")] {
        run(&["livecopy", &from, to, "--metadefs", "all", "--shard", part]).await.exits(0);
    }
    let copied = async |path: &str| DumpStore::open(path).unwrap().metadefs().await.unwrap().len();
    assert_eq!((copied(&first).await, copied(&second).await), (1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_report_of_a_run_needs_no_temporary_file() {
    let work = tempfile::tempdir().unwrap();
    let [from, one, two] =
        ["from", "one", "two"].map(|name| work.path().join(name).to_str().unwrap().to_owned());
    let source = DumpStore::create(&from).unwrap();
    source.write_metadef(&serde_json::json!({ "namespace": "OS::Test" })).await.unwrap();
    source.finish().await.unwrap();
    let line = ["livecopy", "--output", "json", &from, &one, &two, "--metadefs", "all"];
    let report = json(&replicator_with(&line, &[("TMPDIR", "/nonexistent")]).exits(0).stdout);
    let namespaces = report["metadefs"]["namespaces"].as_array().unwrap();
    let targets: Vec<&Value> = namespaces.iter().map(|namespace| &namespace["target"]).collect();
    assert_eq!(targets, [&*one, &*two]);
    assert_eq!(report["metadefs"]["summary"]["made"], 2);
    let mut named: Vec<&String> = report["by_target"].as_object().unwrap().keys().collect();
    named.sort();
    assert_eq!((named, &report["images"]), (vec![&one, &two], &serde_json::json!([])));
}
