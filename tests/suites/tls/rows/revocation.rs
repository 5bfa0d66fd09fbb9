//! Rows about revocation lists and pinned keys. Server certificates have the serial number 7.

use rcgen::{CertificateParams, KeyUsagePurpose, SerialNumber};

use crate::suites::tls::forge::{Authority, HOST, PLAIN, self_signed};
use crate::suites::tls::row::{accepted, check, refused};

#[tokio::test(flavor = "multi_thread")]
async fn lists() {
    let numbered = |params: &mut CertificateParams| {
        params.serial_number = Some(SerialNumber::from(9_u64));
    };
    let root = Authority::root("the root");
    let middle = root.below("the middle", &numbered);
    let whole = middle.issue(&[HOST], PLAIN).sending(&[&middle.pem]);
    let direct = root.issue(&[HOST], PLAIN);
    let (forger, other) = (Authority::root("the root"), Authority::root("another"));
    let (clean, listing) = (root.list(&[]), root.list(&[7]));
    let no = |name, words: &[&str]| refused(name, &direct, &[&root.pem], words);
    let not_covered = &["no current, valid list of ", "CN=the server", "CN=the root"][..];
    let revoked = &["the server's certificate (CN=the server", "CN=the root", "revoked"][..];
    check(vec![
        accepted("crl_clean", &direct, &[&root.pem]).with_lists(&[&clean]),
        accepted("crl_others_revoked", &direct, &[&root.pem]).with_lists(&[&root.list(&[1, 2])]),
        no("crl_leaf_revoked", revoked).with_lists(&[&listing]),
        no("crl_leaf_revoked_tls12", revoked).with_lists(&[&listing]).served_with("-tls1_2"),
        no("crl_of_another", not_covered).with_lists(&[&other.list(&[])]),
        no("crl_forged", not_covered).with_lists(&[&forger.list(&[])]),
        accepted("crl_forged_and_genuine", &direct, &[&root.pem])
            .with_lists(&[&forger.list(&[7]), &clean]),
        accepted("crl_chain_clean", &whole, &[&root.pem]).with_lists(&[&clean, &middle.list(&[])]),
        refused(
            "crl_inter_revoked",
            &whole,
            &[&root.pem],
            &["CA certificate CN=the middle", "revoked"],
        )
        .with_lists(&[&root.list(&[9]), &middle.list(&[])]),
        refused("crl_inter_not_covered", &whole, &[&root.pem], &["CN=the middle", "CN=the root"])
            .with_lists(&[&middle.list(&[])]),
        refused("crl_leaf_not_covered", &whole, &[&root.pem], &["CN=the server", "CN=the middle"])
            .with_lists(&[&clean]),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_and_listed_servers() {
    let root = Authority::root("the root");
    let listed = root.issue(&[HOST], PLAIN);
    let own = self_signed(&[HOST], PLAIN);
    let no_lists = |params: &mut CertificateParams| {
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    };
    let quiet = Authority::root_with("quiet", &no_lists);
    let loud = Authority::with_key("quiet", PLAIN, quiet.key(), None);
    check(vec![
        refused("listed_revoked", &listed, &[&listed.pem], &["CN=the server", "revoked"])
            .with_lists(&[&root.list(&[7])]),
        accepted("listed_not_revoked", &listed, &[&listed.pem]).with_lists(&[&root.list(&[8])]),
        accepted("ss_with_lists", &own, &[&own.pem]).with_lists(&[&root.list(&[7])]),
        refused(
            "crl_by_root_without_crlsign",
            &quiet.issue(&[HOST], PLAIN),
            &[&quiet.pem],
            &["no current, valid list of ", "CN=quiet"],
        )
        .with_lists(&[&loud.list(&[])]),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pins() {
    let root = Authority::root("the root");
    let (server, other) = (root.issue(&[HOST], PLAIN), root.issue(&[HOST], PLAIN));
    let own = self_signed(&[HOST], PLAIN);
    let not_pinned = &["the server's key does not match any given pin", "sha256//"][..];
    check(vec![
        accepted("pin_right", &server, &[&root.pem]).pinning(&server.pem),
        accepted("pin_one_of_two", &server, &[&root.pem])
            .pinning(&[&*other.pem, &*server.pem].concat()),
        refused("pin_wrong", &server, &[&root.pem], not_pinned).pinning(&other.pem),
        refused("pin_of_the_root", &server, &[&root.pem], not_pinned).pinning(&root.pem),
        refused("pin_wrong_listed", &own, &[&own.pem], not_pinned).pinning(&other.pem),
        refused("pin_is_no_trust", &own, &[&root.pem], &["self-signed"]).pinning(&own.pem),
    ])
    .await;
}
