//! The stack over reqwest, which refuses what it cannot do.

use crate::support::common::{Run, replicator_with};
use crate::support::stage::Stage;

const PIN: &str = "sha256//47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
const SERVER: &str = "https://127.0.0.1:1";

fn replicator(line: &[&str]) -> Run {
    replicator_with(line, &[])
}

#[test]
fn the_version_says_what_it_cannot_do() {
    let version = replicator(&["--version"]).exits(0).stdout;
    let last = version.lines().last().unwrap();
    assert!(last.starts_with("TLS: reqwest 0.13."), "{version}");
    let lacks = ": client only; no pinned keys, no revocation lists, no trusted certificates other than \
                 CAs, no encrypted client keys, no proxies, no FIPS mode";
    assert!(last.ends_with(lacks), "{version}");
}

#[test]
fn what_it_cannot_do_is_refused() {
    let reqwest =
        |line: &[&str]| replicator(&[line, &["--tls", "reqwest"]].concat()).exits(2).stderr;
    let said = reqwest(&["size", SERVER, "--source-pin", PIN]);
    assert!(said.contains("reqwest cannot compare the server's key with a pin"), "{said}");
    let said = reqwest(&["size", SERVER, "--require-fips"]);
    assert!(said.contains("the reqwest stack has no FIPS mode"), "{said}");
    let line = ["size", SERVER, "--tls", "reqwest"];
    let run = replicator_with(&line, &[("HTTPS_PROXY", "http://127.0.0.1:1")]).exits(2);
    assert!(run.stderr.contains("the reqwest stack uses no proxy"), "{}", run.stderr);
}

#[test]
fn it_is_a_client_only() {
    let stage = Stage::new();
    let serve = "glance-replicator serve . --cert cert.pem --key key.pem --tls reqwest";
    let run = stage.run(serve, 2);
    assert!(run.stderr.contains(" is a client only\n  hint: use --tls rustls"), "{}", run.stderr);
    let run = stage.run("glance-replicator doctor paris --read-only --tls reqwest", 0);
    for said in ["TLS library        reqwest 0.13.", ": verified TLS\n", "certificate "] {
        assert!(run.stdout.contains(said), "{said}: {}", run.stdout);
    }
    stage.run("glance-replicator livecopy paris lyon --owner caller --tls reqwest", 0);
    stage.run("glance-replicator compare paris lyon", 0);
}
