//! Rows about TLS versions and ciphers, and about servers that do not speak TLS.

use tls_policy::{Roots, TlsVersion};

use crate::suites::tls::forge::{Authority, HOST, PLAIN};
use crate::suites::tls::row::{accepted, certificates, check, refused};
use crate::suites::tls::server::Server;

#[tokio::test(flavor = "multi_thread")]
async fn versions_and_ciphers() {
    let root = Authority::root("the root");
    let server = root.issue(&[HOST], PLAIN);
    let (yes, no) = (
        |name| accepted(name, &server, &[&root.pem]),
        |name, words: &[&str]| refused(name, &server, &[&root.pem], words),
    );
    let nothing = &["offers no secure TLS version or cipher"][..];
    check(vec![
        yes("tls13").served_with("-tls1_3"),
        yes("tls12").served_with("-tls1_2"),
        no("tls11", nothing).served_with("-tls1_1"),
        no("tls12_but_min_13", &["does not offer TLS 1.3"])
            .served_with("-tls1_2")
            .under(|policy| policy.min_version = TlsVersion::V1_3),
        yes("tls13_and_min_13").under(|policy| policy.min_version = TlsVersion::V1_3),
        no("cipher_null", nothing).served_with("-tls1_2 -cipher ECDHE-ECDSA-NULL-SHA:@SECLEVEL=0"),
        no("cipher_anonymous", nothing).served_with("-tls1_2 -cipher AECDH-AES128-SHA:@SECLEVEL=0"),
        // OpenSSL's ciphers follow the system's policy, and Debian's allows CBC; rustls never does.
        no("cipher_cbc", nothing)
            .served_with("-tls1_2 -cipher ECDHE-ECDSA-AES128-SHA")
            .but_accepted_by("native"),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_tls_at_all() {
    let root = Authority::root("the root");
    let server = root.issue(&[HOST], PLAIN);
    let no = |name, words: &[&str]| refused(name, &server, &[&root.pem], words);
    check(vec![
        no("plain_http", &["does not speak TLS", "plain http"]).served_by(Server::Plain),
        no("hangs_up", &["TLS handshake not completed"]).served_by(Server::HangsUp),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_system_s_roots() {
    let root = Authority::root("the root");
    let server = root.issue(&[HOST], PLAIN);
    let both = Roots::SystemAnd(certificates(&root.pem));
    check(vec![
        accepted("system_and_bundle", &server, &[&root.pem]).under(|policy| policy.roots = both),
        refused("system_alone", &server, &[&root.pem], &["CN=the root, which is not trusted"])
            .under(|policy| policy.roots = Roots::System),
    ])
    .await;
}
