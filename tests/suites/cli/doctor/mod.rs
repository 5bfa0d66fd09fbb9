//! `doctor` judges certificates, credentials and permissions, as text and as JSON.

use std::fs;
use std::sync::Arc;

use glance_core::store::memory::MemoryStore;
use glance_server::GlanceApi;
use serde_json::{Value, json};

use crate::support::common::{Run, replicator_with};
use crate::support::stack::STACKS;
use certified::Certified;
use policed::Policed;

pub(super) mod certified;
mod policed;

/// The judgements and topics of the text report, without those that are `ok`.
fn judged(run: &Run) -> Vec<String> {
    let words = ["ok", "note", "WARN", "FAIL"];
    let line = |line: &str| {
        let (word, rest) = line.strip_prefix("  ")?.split_at_checked(5)?;
        let topic = rest.get(..19)?.trim();
        let is_judged = words.contains(&word.trim()) && word.trim() != "ok";
        is_judged.then(|| format!("{} {topic}", word.trim()))
    };
    run.stdout.lines().filter_map(line).collect()
}

/// The findings of the only store in a JSON report that are not `ok`.
fn findings(run: &Run) -> (Value, Vec<Value>) {
    let report: Value = serde_json::from_str(&run.stdout).unwrap();
    let stores = report["stores"].as_array().unwrap();
    assert_eq!(stores.len(), 1, "{report}");
    let all = stores[0]["findings"].as_array().unwrap();
    let bad = all.iter().filter(|finding| finding["verdict"] != "ok").cloned().collect();
    (report, bad)
}

#[test]
fn a_bad_certificate_fails_on_its_own_line() {
    let place = Certified::new();
    let ca = place.path("ca.pem");
    for stack in STACKS {
        for (name, bad, headline, exit) in [
            ("good", "", "", 0),
            ("soon", "WARN certificate", "expires in ", 0),
            ("expired", "FAIL certificate", "certificate expired", 4),
            ("early", "FAIL certificate", "certificate not valid yet", 4),
            ("wrong host", "FAIL certificate", "host name does not match the certificate", 4),
            ("self-signed", "FAIL certificate", "certificate not trusted (self-signed)", 4),
            ("unknown CA", "FAIL certificate", "certificate not trusted", 4),
            ("unknown CA, with chain", "FAIL issuer", "certificate not trusted", 4),
        ] {
            let api = Arc::new(GlanceApi::new(Arc::new(MemoryStore::new("kept"))));
            let url = place.serve(stack, &place.issued(name), api);
            let line = ["doctor", &url, "--cacert", &ca, "--tls", stack];
            let run = replicator_with(&line, &[]).exits(exit);
            assert_eq!(judged(&run).join(","), bad, "{stack} {name}: {}", run.stdout);
            assert_eq!(run.stderr, "", "{stack} {name}");
            let last = run.stdout.lines().last().unwrap();
            let meaning = match exit {
                0 => "success",
                _ => "no connection, or a server that is not trusted",
            };
            assert!(last.ends_with(&format!("; exit code {exit} ({meaning})")), "{last}");
            let topic = bad.split_once(' ').map_or("", |(_, topic)| topic);
            let expected = match bad.split_once(' ') {
                None => "verdict: the store can be used; ".to_owned(),
                Some(("WARN", _)) => "verdict: the store can be used, with 1 warning; ".to_owned(),
                Some(_) => format!("verdict: {url} failed the check {topic:?}; "),
            };
            assert!(last.starts_with(&expected), "{stack} {name}: {last}");
            assert_eq!(run.stdout.matches("hint: ").count(), usize::from(!bad.is_empty()));

            let run = replicator_with(&[&line[..], &["--output", "json"]].concat(), &[]);
            let (report, found) = findings(&run.exits(exit));
            assert_eq!(report["exit_code"], exit, "{report}");
            assert_eq!(report["exit_meaning"], meaning, "{report}");
            let verdict = bad.split(' ').next().unwrap().to_lowercase();
            let verdict = if verdict.is_empty() { "ok" } else { &verdict };
            assert_eq!(report["stores"][0]["verdict"], verdict, "{report}");
            assert_eq!(found.len(), usize::from(!bad.is_empty()), "{report}");
            if let Some(found) = found.first() {
                assert_eq!((&found["topic"], &found["verdict"]), (&json!(topic), &json!(verdict)));
                assert!(found["found"][0].as_str().unwrap().starts_with(headline), "{found}");
                assert!(found["hint"].is_string(), "{found}");
            }
            assert_days(name, &report);
        }
    }
}

/// The days that the server's certificate is still valid.
fn assert_days(name: &str, report: &Value) {
    let findings = report["stores"][0]["findings"].as_array().unwrap();
    let own = findings.iter().find(|finding| finding["topic"] == "certificate").unwrap();
    let days = own["certificate"]["days_left"].as_i64().unwrap();
    let expected = match name {
        "soon" => 9..=10,
        "expired" => -31..=-30,
        "early" => 364..=365,
        _ => 729..=730,
    };
    assert!(expected.contains(&days), "{name}: {days}");
}

#[test]
fn a_connection_that_fails_is_judged() {
    let place = Certified::new();
    let unused = place.listen();
    let closed = format!("https://{}", unused.local_addr().unwrap());
    drop(unused);
    let run = replicator_with(&["doctor", &closed], &[]).exits(4);
    assert_eq!(judged(&run), ["FAIL connection"], "{}", run.stdout);
    let last = run.stdout.lines().last().unwrap();
    assert!(last.starts_with(&format!("verdict: {closed} failed the check \"connection\"; ")));
    // Of several stores, the verdict names those that failed.
    let api = || Arc::new(GlanceApi::new(Arc::new(MemoryStore::new("kept"))));
    let plain = format!("http://{}", place.serve_plain(api()));
    let run = replicator_with(&["doctor", &plain, &closed, &plain], &[]).exits(4);
    let warned = ["WARN connection", "FAIL connection", "WARN connection"];
    assert_eq!(judged(&run), warned, "{}", run.stdout);
    let last = run.stdout.lines().last().unwrap();
    assert!(last.starts_with(&format!(
        "verdict: {closed} failed the check \"connection\", with 2 warnings; "
    )));
    let not_tls = plain.replace("http:", "https:");
    let run = replicator_with(&["doctor", &not_tls], &[]).exits(4);
    assert!(run.stdout.contains("FAIL  connection         the server does not speak TLS\n"));
}

#[test]
fn a_missing_or_wrong_token_is_named() {
    let place = Certified::new();
    let (ca, token) = (place.path("ca.pem"), "a-token-that-stays-secret");
    let api = GlanceApi::new(Arc::new(MemoryStore::new("kept"))).with_token(token);
    let url = place.serve(STACKS[0], &place.issued("good"), Arc::new(api));
    let line = ["doctor", &url, "--cacert", &ca];
    let run = replicator_with(&[&line[..], &["-t", token]].concat(), &[]).exits(0);
    assert!(judged(&run).is_empty(), "{}", run.stdout);
    for (more, said) in [
        (&[][..], "hint: pass a token with --token-file FILE or OS_TOKEN"),
        (&["-t", "another-token"], "hint: get a new token"),
    ] {
        let line = [&line[..], more].concat();
        let run = replicator_with(&line, &[]).exits(5);
        assert_eq!(judged(&run), ["FAIL list"], "{}", run.stdout);
        assert!(run.stdout.contains(said), "{}", run.stdout);
        let last = run.stdout.lines().last().unwrap();
        assert!(
            last.ends_with("; exit code 5 (authentication failed, or a policy denied the request)")
        );
        let run = replicator_with(&[&line[..], &["--output", "json"]].concat(), &[]).exits(5);
        let (report, found) = findings(&run);
        assert_eq!((found.len(), &found[0]["verdict"]), (1, &json!("fail")), "{report}");
    }
}

#[test]
fn a_missing_permission_names_its_rule_its_role_and_the_project() {
    let place = Certified::new();
    for (rule, bad, what, role, exit) in [
        ("get_images", &["FAIL list"][..], "cannot list the images", "reader", 5),
        (
            "add_image",
            &["note set owner", "note create"],
            "missing permission: create records",
            "member",
            0,
        ),
        (
            "publicize_image",
            &["note publicize"],
            "missing permission: make images public",
            "admin",
            0,
        ),
    ] {
        let cloud = Arc::new(Policed::denying(rule));
        let url = place.serve(STACKS[0], &place.issued("good"), cloud.clone());
        cloud.url.set(url.clone()).unwrap();
        let file = place.path("clouds.json");
        let clouds = json!({"clouds": {"a": {"cacert": place.path("ca.pem"), "auth": {
            "auth_url": format!("{url}/v3"), "username": "alice", "password": "not-to-be-seen",
            "project_name": "demo", "user_domain_name": "D", "project_domain_name": "D",
        }}}});
        fs::write(&file, clouds.to_string()).unwrap();
        let variables = [("OS_CLIENT_CONFIG_FILE", file.as_str())];
        let run = replicator_with(&["doctor", "a"], &variables).exits(exit);
        assert_eq!(judged(&run), bad, "{}", run.stdout);
        let signed_in =
            "the credentials are valid: user alice, project demo (77), roles member, reader\n";
        let hint = format!("ask for the role {role} in project demo (77)");
        let denied =
            format!("the policy rule {rule} denies this (user alice, roles member, reader)");
        for said in [signed_in, what, &hint, &denied] {
            assert!(run.stdout.contains(said), "{said:?} is not in {}", run.stdout);
        }
        let run = replicator_with(&["doctor", "a", "--output", "json"], &variables).exits(exit);
        let (report, found) = findings(&run);
        assert_eq!(found.len(), bad.len(), "{report}");
        assert!(found[0]["hint"].as_str().unwrap().contains(&hint), "{report}");
        // Nothing was left behind.
        let run = replicator_with(&["doctor", "a", "--read-only"], &variables).exits(exit);
        assert!(exit != 0 || run.stdout.contains("there are none"), "{}", run.stdout);
    }
}

#[test]
fn a_directory_is_judged_and_stays_as_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().to_str().unwrap();
    let manifest = directory.path().join("manifest.json");
    let run = replicator_with(&["doctor", path], &[]).exits(2);
    assert_eq!(judged(&run), ["FAIL directory"], "{}", run.stdout);
    assert!(run.stdout.contains("hint: name a directory that `dump` has written\n"));
    let last = run.stdout.lines().last().unwrap();
    let expected = format!("verdict: {path} failed the check \"directory\"; exit code 2 ");
    assert!(last.starts_with(&expected), "{last}");

    fs::write(&manifest, r#"{"format": "glance-dump", "version": 2, "complete": true}"#).unwrap();
    let before = fs::read(&manifest).unwrap();
    let run = replicator_with(&["doctor", path], &[]).exits(0);
    assert_eq!(
        run.stdout.lines().last(),
        Some("verdict: the store can be used; exit code 0 (success)")
    );
    assert_eq!(fs::read(&manifest).unwrap(), before);
}
