//! Report files: JSON, Markdown and XML.

use std::fs;
use std::path::Path;

use http::Method;

use super::schema::check_document;
use super::{Place, Site, dump, id, json, run};
use crate::support::common::{replicator_with, start_into};
use crate::support::fault::Fault;

/// Copies three images, one of which fails, and writes the reports.
async fn reported(place: &Place) -> [String; 3] {
    let (a, b) = (Site::with([1, 2, 3]).await, Site::open().await);
    b.faulty.inject(Method::PUT, |path| path.ends_with("03/file"), usize::MAX, Fault::Status(400));
    let reports = ["r.json", "r.md", "r.xml"].map(|name| place.path(name));
    let line = ["livecopy", &a.url, &b.url, "--output", "csv", "--transfers", "1"];
    let options: Vec<&str> =
        reports.iter().flat_map(|report| ["--report", report.as_str()]).collect();
    run(&[&line[..], &options].concat(), &place.path("state")).await.exits(3);
    reports.map(|report| fs::read_to_string(report).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn one_run_writes_several_reports() {
    let place = Place::new();
    let [whole, ticket, junit] = reported(&place).await;
    let whole = json(&whole);
    check_document(&whole);
    assert_eq!(whole["summary"]["copied"], 2);

    assert!(ticket.starts_with("# livecopy http://127.0.0.1:"), "{ticket}");
    for part in [
        "\n**Some images failed** (exit code 3)\n",
        "\n| global request id | req-",
        "\n200 B, 2 copied, 1 failed, 2 verified\n",
        "\n## Failed or different\n\n- image 3, \"\\<b\\>\" \\| \\*x\\* (",
        ": failed\n  - cannot store the data at the target\n  - ",
        "\n## Next command\n\n```\nglance-replicator livecopy http",
    ] {
        assert!(ticket.contains(part), "{part:?} is not in\n{ticket}");
    }

    let suite =
        "name=\"glance-replicator livecopy\" tests=\"3\" failures=\"1\" errors=\"0\" skipped=\"0\"";
    assert_eq!(junit.matches(suite).count(), 2, "{junit}");
    let case = format!("name=\"image 2, &quot;&lt;b&gt;&quot; | *x* ({})\"/>", id(2));
    assert!(junit.contains(&case), "{junit}");
    assert_eq!((junit.matches("<testcase ").count(), junit.matches("<failure ").count()), (3, 1));
    let failure = "<failure message=\"cannot store the data at the target\" type=\"failed\">";
    assert!(junit.contains(failure) && junit.ends_with("</testsuites>\n"), "{junit}");
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_of_the_whole_run_are_in_every_report() {
    let place = Place::new();
    let reports = ["r.json", "r.md", "r.xml", "r.txt"].map(|name| place.path(name));
    let options: Vec<&str> =
        reports.iter().flat_map(|report| ["--report", report.as_str()]).collect();
    let line = [&["compare", "http://127.0.0.1:9", "http://127.0.0.1:7"][..], &options].concat();
    let on_screen = run(&line, &place.path("state")).await.exits(4);
    let mut lines = on_screen.stderr.lines();
    let error = lines.find_map(|line| line.strip_prefix("error: ")).unwrap();
    let [whole, ticket, junit, text] = reports.map(|report| fs::read_to_string(report).unwrap());
    let whole = json(&whole);
    check_document(&whole);
    assert_eq!(whole["errors"][0]["message"], error);
    assert!(ticket.contains("\n## Errors\n\n- "), "{ticket}");
    assert!(junit.contains("tests=\"1\" failures=\"0\" errors=\"1\""), "{junit}");
    assert!(
        text.starts_with(&format!("error: {error}")) && text.contains("exit code 4: "),
        "{text}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn differences_and_findings_are_cases() {
    let place = Place::new();
    let (one, other) = (place.path("one"), place.path("other"));
    dump(Path::new(&one), [1, 2]).await;
    dump(Path::new(&other), [1]).await;
    let (ticket, junit) = (place.path("r.md"), place.path("r.xml"));
    let line = ["compare", &one, &other, "--no-state", "--report", &ticket, "--report", &junit];
    replicator_with(&line, &[]).exits(1);
    let [ticket, junit] = [ticket, junit].map(|report| fs::read_to_string(report).unwrap());
    let next = format!("\n```\nglance-replicator plan {one} {other}\n```\n");
    assert!(ticket.contains(": missing\n") && ticket.contains(&next), "{ticket}");
    assert!(junit.contains("type=\"missing\">"), "{junit}");

    fs::write(format!("{one}/{}.img", id(1)), [7; 100]).unwrap();
    let junit = place.path("r.xml");
    replicator_with(&["verify", &one, "--no-state", "--report", &junit], &[]).exits(6);
    let junit = fs::read_to_string(junit).unwrap();
    assert_eq!(
        (junit.matches("<testcase ").count(), junit.matches("type=\"bad\"").count()),
        (2, 1)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_that_cannot_be_written_is_never_exit_0() {
    let place = Place::new();
    let empty = place.path("empty");
    dump(Path::new(&empty), []).await;
    for report in ["/dev/null/r.json", "/dev/null/r.html", "/dev/null/r.md", "/dev/null/r.xml"] {
        let run = replicator_with(&["size", &empty, "--report", report], &[]).exits(2);
        assert!(run.stderr.contains("cannot write the report"), "{}", run.stderr);
    }
    // A device that is full.
    let full_device = |name: &str| {
        let path = place.path(name);
        std::os::unix::fs::symlink("/dev/full", &path).unwrap();
        path
    };
    for name in ["full.json", "full.html", "full.md", "full.xml"] {
        let run = replicator_with(&["size", &empty, "--report", &full_device(name)], &[]).exits(8);
        assert!(run.stderr.contains("error: cannot write the report"), "{name}: {}", run.stderr);
    }
    // Reports that are made from the document need a temporary file.
    let ticket = place.path("r.md");
    let line = ["size", &empty, "--report", &ticket];
    let run = replicator_with(&line, &[("TMPDIR", "/nonexistent")]).exits(8);
    assert!(run.stderr.contains("cannot write a temporary file in /nonexistent"), "{}", run.stderr);
    assert!(!Path::new(&ticket).exists());
    // A JSON report needs none.
    let whole = place.path("r.json");
    let line = ["size", &empty, "--report", &whole];
    replicator_with(&line, &[("TMPDIR", "/nonexistent")]).exits(0);
    check_document(&json(&fs::read_to_string(whole).unwrap()));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_name_decides_the_format() {
    let place = Place::new();
    let empty = place.path("empty");
    dump(Path::new(&empty), []).await;
    for name in ["r.html", "R.HTM"] {
        let page = place.path(name);
        replicator_with(&["size", &empty, "--report", &page], &[]).exits(0);
        assert!(fs::read_to_string(page).unwrap().starts_with("<!doctype html>"));
    }
    let (upper, other) = (place.path("R.JSON"), place.path("report"));
    let line = ["size", &empty, "--report", &upper, "--report", &other, "--output", "csv"];
    let run = replicator_with(&line, &[]).exits(0);
    assert_eq!(run.stdout, "images,bytes\n0,0\n");
    assert_eq!(fs::read_to_string(other).unwrap(), run.stdout);
    check_document(&json(&fs::read_to_string(upper).unwrap()));
    // A name that promises another format is refused before anything is done.
    for name in ["r.pdf", "r.tsv", "r.yaml"] {
        let path = place.path(name);
        let run = replicator_with(&["size", &empty, "--report", &path], &[]).exits(2);
        for words in ["the name of a report ends in", ".html", ".md", ".txt", name] {
            assert!(run.stderr.contains(words), "no {words:?} in {}", run.stderr);
        }
        assert!(!Path::new(&path).exists());
    }
    for name in ["r.txt", "r.log", "R.TXT"] {
        let path = place.path(name);
        let run = replicator_with(&["size", &empty, "--report", &path], &[]).exits(0);
        assert!(fs::read_to_string(path).unwrap().starts_with(&run.stdout));
    }
    let path = place.path("r.csv");
    replicator_with(&["size", &empty, "--report", &path], &[]).exits(0);
    assert_eq!(fs::read_to_string(path).unwrap(), "images,bytes\n0,0\n");
    // A pipe has no name that could decide.
    let (reader, writer) = rustix::pipe::pipe().unwrap();
    start_into(&["size", &empty, "--report", "/dev/stdout", "--output", "json"], writer).exits(0);
    let text = std::io::read_to_string(fs::File::from(reader)).unwrap();
    assert_eq!(text.matches("\"schema_version\"").count(), 2, "{text}");
}
