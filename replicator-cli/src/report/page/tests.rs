use std::io::{Cursor, ErrorKind, sink};

use serde_json::{Value, json};

use super::write_page;

/// Names that would end the element of the data, begin a comment, run a script or hide text.
const HOSTILE: &[&str] = &[
    "</script><script>alert(1)</script>",
    "<!--<script>",
    "]]><img src=x onerror=alert(1)>",
    "a\u{2028}b\u{2029}c",
    "gpj\u{202e}.exe",
    "\u{1b}[2J\0\u{7f}",
    "\" onmouseover=\"alert(1)",
    "' & &lt; \\u003c \\",
    "{{script}}{{report}}",
];

fn page(report: &Value) -> String {
    let mut page = Vec::new();
    write_page(&mut Cursor::new(report.to_string()), &mut page).unwrap();
    String::from_utf8(page).unwrap()
}

/// The text between two marks.
fn between<'a>(page: &'a str, from: &str, to: &str) -> &'a str {
    page.split_once(from).and_then(|(_, rest)| rest.split_once(to)).unwrap().0
}

fn report_of(exit_code: u8, command: &str) -> Value {
    json!({
        "command": command, "exit_code": exit_code, "exit_meaning": "some images failed",
        "source": { "name": "east", "address": "https://east" },
        "targets": [{ "name": "west", "address": null }], "images": [],
    })
}

#[test]
fn hostile_text_stays_data() {
    for text in HOSTILE {
        let report = json!({
            "command": text, "exit_meaning": text, "exit_code": 4, "started": text,
            "tool": { "version": text, "tls": { "library": text, "fips": true } },
            "source": { "name": text, "address": text }, "targets": [{ "name": text }],
            "summary": { text.to_string(): 1 }, "images": [{ "id": text, "name": text }],
            "errors": [{ "message": text, "causes": [text], "hint": text, "request_ids": [text] }],
            "next_command": text, "arguments": [text], "selection": [text], "shard": text,
        });
        let page = page(&report);
        let data = between(&page, "id=\"report\">", "</script>");
        assert_eq!(serde_json::from_str::<Value>(data).unwrap(), report, "{text}");
        let visible = page.replacen(data, "", 1).replacen(super::SCRIPT, "", 1);
        assert_eq!(visible.matches("<script").count(), 2, "{text}");
        assert_eq!(visible.matches("</script>").count(), 2, "{text}");
        let banner = between(&visible, "<body>", "<noscript>");
        for unsafe_text in ["<img", "<!--", "\" on", "\u{2028}", "\u{202e}", "\u{1b}", "\0"] {
            assert!(!banner.contains(unsafe_text), "{text}: {banner}");
        }
    }
}

#[test]
fn text_survives_every_boundary_of_the_reading() {
    let report = json!({ "images": vec![json!({ "name": "<名前>&" }); 5000] });
    let page = page(&report);
    let data = between(&page, "id=\"report\">", "</script>");
    assert!(!data.contains(['<', '>', '&']));
    assert_eq!(serde_json::from_str::<Value>(data).unwrap(), report);
}

#[test]
fn the_page_allows_its_own_script_and_style_and_nothing_else() {
    use base64::Engine;
    use sha2::Digest;

    let page = page(&report_of(3, "livecopy"));
    let policy = between(&page, "Content-Security-Policy\" content=\"", "\"");
    assert!(policy.starts_with("default-src 'none'; "), "{policy}");
    for (from, to) in [("<style>", "</style>"), ("<script type=\"module\">", "</script>")] {
        let hash = sha2::Sha256::digest(between(&page, from, to));
        let hash = base64::engine::general_purpose::STANDARD.encode(hash);
        assert!(policy.contains(&format!("'sha256-{hash}'")), "{policy}");
    }
    // No address of another resource. The name of SVG's elements is not fetched.
    let addresses = page.replace("http://www.w3.org/2000/svg", "").replace("https://east", "");
    for outside in ["http://", "https://", "url(", "src=", "@import", "unsafe-"] {
        assert!(!addresses.contains(outside), "{outside}");
    }
}

#[test]
fn the_verdict_needs_no_javascript() {
    let report = json!({
        "command": "livecopy", "tool": { "version": "0.1.0", "tls": { "library": "rustls 0.23" } },
        "arguments": ["livecopy", "east", "west", "--name", "a b"], "shard": "1/4",
        "selection": ["name a b"], "global_request_id": "req-0",
        "started": "2026-11-30T00:00:00.000Z", "seconds": 754.3,
        "source": { "name": "east", "address": "https://east.example" },
        "targets": [{ "name": "west", "address": "https://west.example" }, { "name": "north" }],
        "images": [{ "name": "not in the verdict" }],
        "summary": { "copied": 12_345, "in_place": 3, "failed": 3, "skipped": 0, "bytes": 3_145_728,
            "exit_code": 3, "proofs": { "verified": 40 } },
        "errors": [{ "message": "cannot list", "causes": ["503"], "hint": "wait",
            "request_ids": ["req-1"] }],
        "exit_code": 3, "exit_meaning": "some images failed",
        "next_command": "glance-replicator livecopy east west --name 'a<b'",
    });
    let page = page(&report);
    let (verdict, rest) = page.split_once("<noscript>").unwrap();
    for shown in [
        "<title>livecopy east → west → north: some images failed</title>",
        "<header class=\"verdict bad\">",
        "Some images failed <span class=\"code\">exit code 3</span>",
        "<b>east</b> <span class=\"muted\">https://east.example</span> → <b>west</b>",
        ">2026-11-30 00:00:00 UTC</time>, took 12 min 34 s",
        "glance-replicator 0.1.0 livecopy, TLS by rustls 0.23<",
        "<li class=\"bad\"><b>3</b> failed</li>\n<li class=\"good\"><b>12,345</b> copied</li>\n\
         <li class=\"good\"><b>3</b> in place</li>\n<li><b>3.0 MiB</b> of data</li>\n</ul>",
        "Command: <code>glance-replicator livecopy east west --name &#39;a b&#39;</code>",
        "Selection: <code>name a b<",
        "Shard: <code>1/4<",
        "Global request id: <code>req-0<",
        "<li>cannot list<br>caused by: 503<br>request ids: req-1",
        "Hint: wait",
        "<code>glance-replicator livecopy east west --name &#39;a&lt;b&#39;</code>",
    ] {
        assert!(verdict.contains(shown), "{shown} is not in {verdict}");
    }
    assert!(!verdict.contains("not in the verdict") && rest.contains("not in the verdict"));
}

#[test]
fn states_and_verdicts_are_counted() {
    for (key, word) in [("states", "missing"), ("verdicts", "unproven")] {
        let summary = json!({ key: { word: 2, "failed": 0 }, "compared": 9, "exit_code": 1 });
        let page = page(&json!({ "summary": summary, "exit_code": 1 }));
        assert!(page.contains(&format!("<li class=\"warn\"><b>2</b> {word}</li>")));
        assert!(page.contains("<li class=\"plain\"><b>0</b> failed</li>"));
        assert!(!page.contains("compared</li>"));
    }
}

#[test]
fn a_report_without_any_field_has_a_page() {
    let page = page(&json!({}));
    assert!(page.contains("<header class=\"verdict plain\">") && page.ends_with("</html>\n"));
}

#[test]
fn a_document_that_is_not_a_report_is_refused() {
    for (text, kind) in [
        ("", ErrorKind::UnexpectedEof),
        ("{\"images\": [", ErrorKind::UnexpectedEof),
        ("[1]x", ErrorKind::InvalidData),
        ("{} {}", ErrorKind::InvalidData),
    ] {
        let error = write_page(&mut Cursor::new(text), &mut sink()).unwrap_err();
        assert_eq!(error.kind(), kind, "{text}");
    }
}
