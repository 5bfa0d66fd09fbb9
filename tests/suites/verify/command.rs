//! The command `verify`: single dumps and pairs, reports and exit codes.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use format_dump::{DumpStore, Encoding};
use glance_core::ImageStore;
use glance_core::store::memory::MemoryStore;
use glance_server::GlanceApi;
use http::Method;
use serde_json::Value;
use tempfile::TempDir;
use tokio::net::TcpListener;

use super::{id, put};
use crate::support::common::{Run, replicator_with};
use crate::support::fault::{Fault, Faulty};

const DATA: &[u8] = b"the data of an image";

/// Creates a dump of images 1 to 3, the last one compressed.
async fn dump() -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    let store = DumpStore::create(directory.path()).unwrap();
    put(&store, 1, DATA).await;
    put(&store, 2, b"another image").await;
    let store = store.encoding_as(Encoding::Zstd);
    put(&store, 3, DATA).await;
    store.finish().await.unwrap();
    directory
}

async fn run(line: &[&str]) -> Run {
    let line: Vec<String> = line.iter().map(ToString::to_string).collect();
    let run = tokio::task::spawn_blocking(move || {
        let line: Vec<&str> = line.iter().map(String::as_str).collect();
        replicator_with(&line, &[])
    });
    run.await.unwrap()
}

async fn report(line: &[&str], exit: i32) -> Value {
    let run = run(&[&["verify", "--output", "json"], line].concat()).await.exits(exit);
    let report: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(report["exit_code"], exit);
    report
}

fn verdict(report: &Value, number: u8) -> &str {
    let images = report["images"].as_array().unwrap();
    let image = images.iter().find(|image| image["id"] == id(number).as_str());
    image.unwrap_or_else(|| panic!("{report}"))["verdict"].as_str().unwrap()
}

fn path(directory: &TempDir) -> &str {
    directory.path().to_str().unwrap()
}

fn flip(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(path, bytes).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_good_dump_is_verified_by_reading_it() {
    let dump = dump().await;
    let run = run(&["verify", path(&dump)]).await.exits(0);
    assert_eq!(run.stdout, "3 images: 3 verified (3 by reading 53 B)\n");
    let report = report(&[path(&dump), "--subset", "1/1"], 0).await;
    assert_eq!((report["images"].as_array().unwrap().len(), verdict(&report, 3)), (3, "verified"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_bad_in_a_dump_is_said_and_exits_6() {
    for (file, change, said) in [
        ("01.img", flip as fn(&Path), "bad: 00000000-0000-4000-8000-000000000001"),
        ("02.img", |path| fs::write(path, b"anothe").unwrap(), "has 6 of 13 bytes"),
        ("03.img.zst", flip, "bad: 00000000-0000-4000-8000-000000000003"),
        ("02.json", |path| fs::remove_file(path).unwrap(), "missing: file"),
        ("02.json", flip, "bad: 00000000-0000-4000-8000-000000000002"),
    ] {
        let dump = dump().await;
        change(&dump.path().join(format!("00000000-0000-4000-8000-0000000000{file}")));
        let run = run(&["verify", path(&dump)]).await.exits(6);
        assert!(run.stdout.contains(said), "{file}: {}", run.stdout);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_findings_about_files_need_a_temporary_file() {
    let dump = dump().await;
    let verify = |more: &[&str]| {
        let line = [&["verify", "--output", "json", path(&dump)], more].concat();
        replicator_with(&line, &[("TMPDIR", "/nonexistent")])
    };
    let run = verify(&[]).exits(0);
    let report: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!((&report["files"], run.stderr.as_str()), (&serde_json::json!([]), ""));

    fs::write(dump.path().join("foreign"), "").unwrap();
    let run = verify(&[]).exits(8);
    let report: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(report.get("files"), Some(&Value::Null), "{report}");
    assert_eq!(report["images"].as_array().unwrap().len(), 3);
    let said = "error: cannot write a temporary file in /nonexistent\n";
    assert!(run.stderr.contains(said), "{}", run.stderr);
    let hint = "hint: free space there, or set TMPDIR to another directory\n";
    assert!(run.stderr.contains(hint), "{}", run.stderr);
    assert!(!run.stderr.contains("standard output"), "{}", run.stderr);

    let file = tempfile::tempdir().unwrap();
    let file = file.path().join("report.json");
    verify(&["--report", file.to_str().unwrap()]).exits(8);
    let report: Value = serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap();
    assert_eq!(report["exit_code"], 8);
    let said = report["errors"][0]["message"].as_str();
    assert_eq!(said, Some("cannot write a temporary file in /nonexistent"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dump_that_was_not_finished_exits_1() {
    let directory = tempfile::tempdir().unwrap();
    put(&DumpStore::create(directory.path()).unwrap(), 1, DATA).await;
    let run = run(&["verify", path(&directory)]).await.exits(1);
    assert!(run.stdout.contains("incomplete: "), "{}", run.stdout);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_dumps_are_verified_by_their_records_and_deep_by_their_data() {
    let (one, other) = (dump().await, dump().await);
    let both = [path(&one), path(&other)];
    let said = run(&[&["verify"], &both[..]].concat()).await.exits(0).stdout;
    assert_eq!(said, "3 images: 3 verified\n");
    let deep = [&["--deep"], &both[..]].concat();
    let said = run(&[&["verify"], &deep[..]].concat()).await.exits(0).stdout;
    assert_eq!(said, "3 images: 3 verified (3 by reading 106 B)\n");

    flip(&other.path().join(format!("{}.img", id(1))));
    flip(&other.path().join(format!("{}.img.zst", id(3))));
    report(&both, 0).await;
    let found = report(&deep, 6).await;
    assert_eq!([1, 2, 3].map(|number| verdict(&found, number)), ["bad", "verified", "bad"]);
    let detail = found["images"].to_string();
    assert!(detail.contains(&format!("dir:{}", path(&other))), "{detail}");
    assert!(!detail.contains(&format!("dir:{}", path(&one))), "{detail}");
    // Only selected images are read.
    report(&[&deep[..], &["--name", "image 2"]].concat(), 0).await;
    report(&[path(&other), "--name", "image 2"], 0).await;
    report(&[path(&other), "--name", "image 3"], 6).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn verify_reports_the_same_states_as_compare() {
    let (one, other) = (dump().await, dump().await);
    let (source, target) =
        (DumpStore::create(one.path()).unwrap(), DumpStore::create(other.path()).unwrap());
    put(&source, 4, b"missing").await;
    put(&target, 5, b"extra").await;
    put(&source, 6, b"one").await;
    put(&target, 6, b"two").await;
    let both = [path(&one), path(&other)];
    let found = report(&both, 6).await;
    let words = [3, 4, 5, 6].map(|number| verdict(&found, number));
    assert_eq!(words, ["verified", "missing", "extra", "content"]);
    report(&[&both[..], &["--name", "image [45]"]].concat(), 1).await;
    report(&[&both[..], &["--name", "image 5", "--one-way"]].concat(), 0).await;
    // Differences in metadata do not matter.
    let image = target.get(&id(1)).await.unwrap();
    let mut wanted = image.attributes.clone();
    wanted.min_ram = 7;
    target.update(&image, &wanted).await.unwrap();
    let found = report(&[&both[..], &["--name", "image 1"]].concat(), 0).await;
    assert_eq!(found["images"][0]["state"], "metadata");
}

/// Serves a Glance over plain HTTP that shows no digests.
async fn hashless() -> (String, Arc<MemoryStore>) {
    let kept = Arc::new(MemoryStore::new("kept"));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let api = Faulty::new(Arc::new(GlanceApi::new(Arc::clone(&kept) as Arc<dyn ImageStore>)));
    api.inject(Method::GET, |path| !path.ends_with("/file"), usize::MAX, Fault::NoDigest);
    tokio::spawn(glance_server::serve(listener, None, Arc::new(api), std::future::pending()));
    (url, kept)
}

#[tokio::test(flavor = "multi_thread")]
async fn digests_are_remembered_from_run_to_run() {
    let (url, kept) = hashless().await;
    put(&*kept, 1, DATA).await;
    let dump = dump().await;
    let state = tempfile::tempdir().unwrap();
    let file = state.path().join("below/digests.ndjson");
    let directory = state.path().join("below");
    // The owners of the Glance's images do not matter.
    let with_state = ["-t", "none", "-D", "owner", "--state-dir", directory.to_str().unwrap()];
    let both = [&url, path(&dump), "--name", "image 1"];
    let compare = [&["compare"], &both[..], &with_state].concat();
    let said = run(&compare).await.exits(1).stdout;
    assert!(said.contains("unverifiable"), "{said}");

    let line = [&both[..], &["-t", "none", "--no-state"]].concat();
    assert_eq!(report(&line, 0).await["summary"]["read"], 1);
    assert!(!file.exists());
    run(&compare).await.exits(1);
    let line = [&both[..], &with_state].concat();
    assert_eq!(report(&line, 0).await["summary"]["read"], 1);
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    run(&compare).await.exits(0);
    assert_eq!(report(&line, 0).await["summary"]["read"], 0);
    // A damaged line causes a warning and loses only its own content.
    fs::write(&file, [b"{\"store\"\n", &fs::read(&file).unwrap()[..]].concat()).unwrap();
    let said = run(&compare).await.exits(0).stderr;
    assert!(said.contains("line 1 of ") && said.contains("is damaged"), "{said}");
    // Another size, date or store means another image.
    let good = fs::read_to_string(&file).unwrap();
    for (from, to) in [("\"size\":20", "\"size\":21"), ("_at\":\"2", "_at\":\"1"), (&*url, "x")] {
        let other = good.replace(from, to);
        assert_ne!(other, good);
        fs::write(&file, other).unwrap();
        run(&compare).await.exits(1);
    }
    fs::write(&file, good).unwrap();
    run(&compare).await.exits(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_without_digests_is_proven_from_the_second_time_on() {
    let (url, kept) = hashless().await;
    put(&*kept, 1, DATA).await;
    let state = tempfile::tempdir().unwrap();
    let line = [&url, "-t", "none", "--state-dir", state.path().to_str().unwrap()];
    assert_eq!(verdict(&report(&line, 1).await, 1), "unproven");
    assert_eq!(verdict(&report(&line, 0).await, 1), "verified");
    // If the state cannot be written, the tool warns.
    let nowhere = [&url, "-t", "none", "--state-dir", "/proc/none"];
    let run = run(&[&["verify"], &nowhere[..]].concat()).await.exits(1);
    assert!(run.stderr.contains("cannot write /proc/none/digests.ndjson"), "{}", run.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_on_the_speed_holds_for_dumps_too() {
    let (one, other) = (dump().await, dump().await);
    // Every chunk but the last waits for the bandwidth limit.
    for (line, milliseconds) in [
        (&["verify", path(&one), "--bwlimit", "100"][..], 330),
        (&["verify", path(&one), "--bwlimit", "100", "--name", "image *"], 330),
        (&["verify", path(&one), path(&other), "--deep", "--bwlimit", "off:100"], 330),
    ] {
        let begin = std::time::Instant::now();
        run(line).await.exits(0);
        let passed = begin.elapsed().as_millis();
        assert!(passed >= milliseconds, "{line:?}: {passed} ms");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_clock_of_a_timetable_is_that_of_the_place() {
    let dump = dump().await;
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let hour = since.as_secs() / 3600;
    // A limit for three hours around now, in the local time of each zone.
    for (zone, ahead) in [("UTC0", 0), ("XXX-5", 5), ("YYY+7", 17)] {
        let (from, until) = ((hour + ahead + 23) % 24, (hour + ahead + 2) % 24);
        let table = format!("{from:02}:00,100 {until:02}:00,off");
        let path = path(&dump).to_owned();
        let begin = std::time::Instant::now();
        let run = tokio::task::spawn_blocking(move || {
            replicator_with(&["verify", &path, "--bwlimit", &table], &[("TZ", zone)])
        });
        run.await.unwrap().exits(0);
        assert!(begin.elapsed().as_millis() >= 330, "{zone}");
    }
}
