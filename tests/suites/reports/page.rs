//! The HTML page of a report. `cargo xtask page` opens pages in a browser.

use std::fs;

use http::Method;

use super::{Place, Site, json, run};
use crate::support::common::replicator_with;
use crate::support::fault::Fault;

#[tokio::test(flavor = "multi_thread")]
async fn a_page_has_the_verdict_and_the_document() {
    let place = Place::new();
    let (a, b) = (Site::with([1, 2, 3]).await, Site::open().await);
    b.faulty.inject(Method::PUT, |path| path.ends_with("03/file"), usize::MAX, Fault::Status(400));
    let [page, whole] = ["r.html", "r.json"].map(|name| place.path(name));
    let line = ["livecopy", &a.url, &b.url, "--report", &page, "--report", &whole];
    run(&line, &place.path("state")).await.exits(3);
    let page = fs::read_to_string(page).unwrap();

    let (verdict, rest) = page.split_once("<noscript>").unwrap();
    for part in [
        "Some images failed <span class=\"code\">exit code 3</span>",
        &format!("<b>{}</b>", a.url),
        "<li class=\"bad\"><b>1</b> failed</li>\n<li class=\"good\"><b>2</b> copied</li>",
        "<code>glance-replicator livecopy http://127.0.0.1:",
    ] {
        assert!(verdict.contains(part), "{part:?} is not in\n{verdict}");
    }
    let (_, data) = rest.split_once("id=\"report\">").unwrap();
    let (data, _) = data.split_once("</script>").unwrap();
    assert!(!data.contains('<') && data.contains("\\u003cb\\u003e"), "{data}");
    let [mut embedded, mut whole] = [json(data), json(&fs::read_to_string(whole).unwrap())];
    // Each file has its own time of completion.
    for document in [&mut embedded, &mut whole] {
        let document = document.as_object_mut().unwrap();
        assert!(document.remove("ended").is_some() && document.remove("seconds").is_some());
    }
    assert_eq!(embedded, whole);
}

#[test]
fn a_command_that_fails_before_it_starts_has_a_page() {
    let place = Place::new();
    let [empty, absent, page] = ["empty", "absent", "r.html"].map(|name| place.path(name));
    fs::create_dir(&empty).unwrap();
    let line = ["compare", &empty, &absent, "--report", &page];
    let run = replicator_with(&line, &[]);
    assert_ne!(run.code, Some(0), "{}", run.stderr);
    let page = fs::read_to_string(page).unwrap();
    assert!(page.contains("<h2 id=\"errors-title\">Errors</h2>"), "{page}");
}
