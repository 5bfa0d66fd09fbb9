//! The first line of an error says what happened, and the hint fits the cause.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use glance_core::store::memory::MemoryStore;
use glance_server::GlanceApi;
use serde_json::json;

use super::doctor::certified::Certified;
use crate::support::common::{Run, replicator_with};
use crate::support::stack::STACKS;

fn glance() -> Arc<GlanceApi> {
    Arc::new(GlanceApi::new(Arc::new(MemoryStore::new("kept"))))
}

/// The first line of an error, and its hint.
fn error_of(run: &Run) -> (&str, &str) {
    let first = run.stderr.lines().find_map(|line| line.strip_prefix("error: "));
    let hint = run.stderr.lines().find_map(|line| line.strip_prefix("  hint: "));
    (first.unwrap_or_default(), hint.unwrap_or_default())
}

/// The headline of each bad certificate, and words of the hint.
const CERTIFICATES: &[(&str, &str, &str)] = &[
    ("expired", "certificate expired", "renew the certificate"),
    ("early", "certificate not valid yet", "check this machine's clock"),
    ("wrong host", "host name does not match the certificate", "use a name from the certificate"),
    ("self-signed", "certificate not trusted (self-signed)", "pass this certificate with --cacert"),
    ("unknown CA", "certificate not trusted", "pass the certificate of CN=Other with --cacert"),
    (
        "unknown CA, with chain",
        "certificate not trusted",
        "pass the certificate of CN=Other with --cacert",
    ),
];

#[test]
fn the_first_line_says_what_is_wrong_with_a_certificate() {
    let place = Certified::new();
    let ca = place.path("ca.pem");
    for stack in STACKS {
        for (name, headline, advice) in CERTIFICATES {
            let url = place.serve(stack, &place.issued(name), glance());
            let run = replicator_with(&["size", &url, "--cacert", &ca, "--tls", stack], &[]);
            let run = run.exits(4);
            let (first, hint) = error_of(&run);
            let expected = format!("{url}: cannot list the images: {headline}");
            assert_eq!(first, expected, "{stack} {name}: {}", run.stderr);
            assert!(hint.contains(advice), "{stack} {name}: {}", run.stderr);

            let file = place.path("clouds.json");
            let auth = json!({"auth_url": url, "user_id": "u", "password": "p"});
            let clouds = json!({"clouds": {"a": {"cacert": ca, "auth": auth}}});
            fs::write(&file, clouds.to_string()).unwrap();
            let variables = [("OS_CLIENT_CONFIG_FILE", file.as_str())];
            let run = replicator_with(&["size", "a", "--tls", stack], &variables).exits(4);
            let (first, hint) = error_of(&run);
            assert_eq!(first, format!("Keystone at {url}/v3/auth/tokens: {headline}"));
            assert!(hint.contains(advice), "{stack} {name}: {}", run.stderr);
            if advice.contains("--cacert") {
                let entry = format!(", or as cacert of the cloud a in {file}, if ");
                let shown = "; `glance-replicator doctor a` shows the certificates";
                assert!(hint.contains(&entry) && hint.ends_with(shown), "{stack} {name}: {hint}");
            }
        }
    }
}

/// `--cacert` would replace the trust of the other side, too.
#[test]
fn the_hint_names_an_option_for_one_side() {
    let place = Certified::new();
    let url = place.serve(STACKS[0], &place.issued("self-signed"), glance());
    let (file, ca) = (place.path("clouds.json"), place.path("ca.pem"));
    let auth = json!({"auth_url": url, "user_id": "u", "password": "p"});
    let clouds = json!({"clouds": {"a": {"cacert": ca, "auth": auth}, "b": {"auth": auth}}});
    fs::write(&file, clouds.to_string()).unwrap();
    for (line, advice) in [
        (&["compare", &url, "b"][..], "pass this certificate with --target-cacert FILE, or as"),
        (&["compare", "b", &url], "pass this certificate with --cacert FILE, or as"),
        (&["size", "a", "--cacert", &ca], "--cacert replaces the cacert of the cloud a: give"),
    ] {
        let run = replicator_with(line, &[("OS_CLIENT_CONFIG_FILE", &file)]).exits(4);
        assert!(error_of(&run).1.contains(advice), "{line:?}: {}", run.stderr);
    }
}

#[test]
fn the_first_line_says_why_there_is_no_connection() {
    let place = Certified::new();
    let silent = place.listen();
    let silent = format!("https://{}", silent.local_addr().unwrap());
    let unused = place.listen();
    let closed = format!("https://{}", unused.local_addr().unwrap());
    drop(unused);
    let not_tls = format!("https://{}", place.serve_plain(glance()));
    let not_http = format!("http://{}", answering_with_an_alert());
    let once = ["--low-level-retries", "0", "--connect-timeout", "1s"];
    for (url, headline, advice) in [
        (&closed, "connection refused", "the server is running"),
        (&silent, "no connection within 1 s", "no firewall drops the packets"),
        (&not_tls, "the server does not speak TLS", "enable https"),
        (&not_http, "the response is not HTTP", "check the scheme"),
    ] {
        let run = replicator_with(&[&["size", url][..], &once].concat(), &[]).exits(4);
        let (first, hint) = error_of(&run);
        assert_eq!(first, format!("{url}: cannot list the images: {headline}"), "{}", run.stderr);
        assert!(hint.contains(advice), "{}", run.stderr);
    }
}

/// A server that answers plain HTTP with a TLS alert, as servers of https do. A real one may close the
/// connection so fast that the client sees only that.
fn answering_with_an_alert() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 4096]);
            // A fatal alert: decode error.
            let _ = stream.write_all(&[0x15, 3, 3, 0, 2, 2, 50]);
        }
    });
    address
}

#[test]
fn a_proxy_and_a_trust_store_are_named_in_the_first_line() {
    let place = Certified::new();
    let url = place.serve(STACKS[0], &place.issued("good"), glance());
    let unused = place.listen();
    let proxy = format!("http://{}", unused.local_addr().unwrap());
    drop(unused);
    let line = ["size", &url, "--low-level-retries", "0"];
    let run = replicator_with(&line, &[("https_proxy", &proxy)]).exits(4);
    let (first, hint) = error_of(&run);
    let said = format!("the proxy {proxy} (https_proxy): connection refused");
    assert_eq!(first, format!("{url}: cannot list the images: {said}"), "{}", run.stderr);
    assert!(hint.contains("check that the proxy is up"), "{}", run.stderr);

    let missing = place.path("missing.pem");
    let run = replicator_with(&line, &[("OS_CACERT", &missing)]).exits(2);
    assert_eq!(error_of(&run).0, "cannot use the CA bundle (OS_CACERT)", "{}", run.stderr);
    assert!(error_of(&run).1.contains("a directory of CA certificates"), "{}", run.stderr);
    let run = replicator_with(&[&line[..], &["--cacert", &missing]].concat(), &[]).exits(2);
    assert_eq!(error_of(&run).0, "cannot use the CA bundle (--cacert)", "{}", run.stderr);
}

#[test]
fn serve_says_why_it_cannot_listen() {
    let place = Certified::new();
    let (issued, other) = (place.issued("good"), place.issued("good"));
    for (name, text) in [
        ("cert.pem", &issued.chain_pem),
        ("key.pem", &issued.key_pem),
        ("other.pem", &other.key_pem),
    ] {
        fs::write(place.path(name), text).unwrap();
    }
    let dump = place.path("dump");
    fs::create_dir(&dump).unwrap();
    let taken = place.listen();
    let taken = taken.local_addr().unwrap().to_string();
    let (cert, key, other) =
        (place.path("cert.pem"), place.path("key.pem"), place.path("other.pem"));
    for (key, listen, headline, advice) in [
        (&key, &*taken, &*format!("cannot listen on {taken}"), "choose another port"),
        (&key, "192.0.2.1:1", "cannot listen on 192.0.2.1:1", "an address of this machine"),
        (&other, "127.0.0.1:0", "cannot set up TLS", "its key with --key"),
    ] {
        let line = ["serve", &dump, "--cert", &cert, "--key", key, "--listen", listen];
        let run =
            replicator_with(&[&line[..], &["--open-to-everyone", "--writable"]].concat(), &[]);
        let run = run.exits(2);
        assert_eq!(error_of(&run).0, headline, "{}", run.stderr);
        assert!(error_of(&run).1.contains(advice), "{}", run.stderr);
    }
}

#[test]
fn the_hint_of_a_refusal_fits_the_credentials() {
    let place = Certified::new();
    let (ca, token) = (place.path("ca.pem"), "a-token-that-stays-secret");
    let api = GlanceApi::new(Arc::new(MemoryStore::new("kept"))).with_token(token);
    let url = place.serve(STACKS[0], &place.issued("good"), Arc::new(api));
    for (more, advice) in [
        (&[][..], "pass a token with --token-file FILE or OS_TOKEN"),
        (&["-t", "another-token"], "get a new token"),
    ] {
        let run = replicator_with(&[&["size", &url, "--cacert", &ca], more].concat(), &[]).exits(5);
        assert!(error_of(&run).1.contains(advice), "{}", run.stderr);
    }
}
