//! Dumps with very many files.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use glance_core::ImageStore;
use glance_core::image::{Attributes, Image, ImageId};

use super::{
    Dump, MOST_MEMORY, SIZE, attributes, data, ended, id, start_heard, template, with_options,
    write,
};
use crate::suites::dump_faults::source::Site;

/// Adds `entries` files to a small dump: records without data, leftovers of runs, and unrelated
/// files.
fn fill(dump: &Path, entries: usize) {
    let record = Image::queued(id(9), Attributes::default());
    let record = serde_json::json!({ "image": record.to_json(), "members": [] }).to_string();
    for number in 0..entries {
        let of = |suffix: &str| format!("10000000-0000-4000-8000-{number:012}{suffix}");
        let (name, text) = match number % 10 {
            0 => {
                let named: ImageId = of("").parse().unwrap();
                (of(".json"), record.replace(id(9).as_str(), named.as_str()))
            }
            1 => (of(".img.partial"), String::new()),
            2 => (of(".img"), String::new()),
            3 => (format!(".x.{number:032}.new"), String::new()),
            4 => (format!("metadefs/{number}"), String::new()),
            _ => (format!("foreign {number}"), String::new()),
        };
        fs::write(dump.join(name), text).unwrap();
    }
}

/// `HOSTILE_ENTRIES` sets the number of files; the default suits CI.
#[tokio::test(flavor = "multi_thread")]
async fn a_directory_of_very_many_files_takes_little_memory() {
    let entries = std::env::var("HOSTILE_ENTRIES").map_or(20_000, |text| text.parse().unwrap());
    let longest = Duration::from_millis(60_000 + entries as u64 * 4);
    let site = Site::open(super::super::STACK).await;
    for number in [1, 3] {
        site.kept.create(&Image::queued(id(number), attributes(number))).await.unwrap();
        site.kept.upload(&id(number), bytes::Bytes::from(data(number)).into()).await.unwrap();
    }
    assert_eq!(data(1).len(), SIZE);
    let path = |name: &str| site.directory.path().join(name).to_str().unwrap().to_owned();
    let (dump, url) = (path("dump"), site.url.clone());
    write(Path::new(&dump), &template(Dump::Plain).await);
    fill(Path::new(&dump), entries);
    let lines: [&[&str]; 8] = [
        &["size", &format!("dir:{dump}")],
        &["verify", &dump],
        &["load", &dump, &path("new")],
        &["compare", &format!("dir:{dump}"), &url],
        &["dump", &url, &dump],
        &["sync", &url, &dump],
        &["metadefs", &dump, &path("new")],
        &["repair", &url, &dump, "--dry-run"],
    ];
    for line in lines {
        let begin = Instant::now();
        let state = path("state");
        let words = with_options(line, &[["--state-dir", &state]]);
        let child = start_heard(&site.line(&words), &[]);
        let run = tokio::task::spawn_blocking(move || ended(child, longest));
        let ended = run.await.unwrap().unwrap_or_else(|what| panic!("{line:?}: {what}"));
        let took = begin.elapsed();
        eprintln!("{entries} entries, {}: {} KiB, {took:.1?}", line[0], ended.peak);
        let code = ended.run.code;
        let stderr: String = ended.run.stderr.chars().take(2000).collect();
        assert!(code.is_some_and(|code| code <= 6), "{line:?}: {code:?} {stderr}");
        assert!(ended.peak <= MOST_MEMORY, "{line:?}: {} KiB", ended.peak);
    }
}
