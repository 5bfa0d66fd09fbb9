//! Rows about authorities: roots, intermediates, and the limits of their authority.

use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, GeneralSubtree, IsCa, KeyPair,
    KeyUsagePurpose, NameConstraints,
};

use crate::suites::tls::forge::{Authority, HOST, Identity, PLAIN, Tool, Tweak};
use crate::suites::tls::row::{accepted, check, refused};
use crate::suites::tls::rows::names::old;

#[tokio::test(flavor = "multi_thread")]
async fn chains() {
    let (root, stranger) = (Authority::root("the root"), Authority::root("a stranger"));
    let middle = root.below("the middle", PLAIN);
    let leaf = middle.issue(&[HOST], PLAIN);
    let whole = leaf.clone().sending(&[&middle.pem]);
    let same_name = Authority::root("the root");
    let unordered = root.below("lower", PLAIN);
    let low = unordered.below("lowest", PLAIN);
    let deep = low.issue(&[HOST], PLAIN).sending(&[&unordered.pem, &stranger.pem, &low.pem]);
    check(vec![
        accepted("chain_ok", &whole, &[&root.pem]).with_intermediate(),
        accepted("chain_listed", &whole, &[&root.pem, &middle.pem]),
        accepted("chain_with_root", &whole.clone().sending(&[&root.pem]), &[&root.pem])
            .with_intermediate(),
        accepted("chain_out_of_order", &deep, &[&root.pem]).with_intermediate(),
        refused(
            "missing_inter",
            &leaf,
            &[&root.pem],
            &["CN=the server", "CN=the middle", "not trusted", "sent no intermediate"],
        ),
        accepted("inter_anchor_sent", &whole, &[&middle.pem]).without_root(),
        accepted("inter_anchor_unsent", &leaf, &[&middle.pem]).without_root(),
        refused("untrusted", &whole, &[&stranger.pem], &["CN=the root, which is not trusted"]),
        refused(
            "untrusted_with_root",
            &whole.clone().sending(&[&root.pem]),
            &[&stranger.pem],
            &["CN=the root, which is not trusted"],
        ),
        refused(
            "same_name_other_key",
            &whole,
            &[&same_name.pem],
            &[
                "CN=the root, which is not trusted: ",
                " has a certificate named CN=the root, but its key did not sign ",
                "new key",
            ],
        ),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn authorities_that_may_not() {
    let root = &Authority::root("the root");
    let under = |tweak: Tweak<'_>| {
        let middle = root.below("the middle", tweak);
        let leaf = middle.issue(&[HOST], PLAIN);
        leaf.sending(&[&middle.pem])
    };
    let no =
        |name, tweak: Tweak<'_>, words: &[&str]| refused(name, &under(tweak), &[&root.pem], words);
    let no_path = |params: &mut CertificateParams| {
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    };
    let short = root.below("the short", &no_path);
    let below = short.below("too low", PLAIN);
    let too_long = below.issue(&[HOST], PLAIN).sending(&[&below.pem, &short.pem]);
    let only_clients = |params: &mut CertificateParams| {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    };
    let client_root = Authority::root_with("client root", &only_clients);
    let not_ca = |params: &mut CertificateParams| {
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    };
    let no_cert_sign = |params: &mut CertificateParams| {
        params.key_usages = vec![KeyUsagePurpose::CrlSign];
    };
    let no_cert_sign_root = Authority::root_with("listing root", &no_cert_sign);
    let purpose = "must not issue certificates for servers";
    let may_not_sign = &["CN=the middle", "not allowed to sign"][..];
    check(vec![
        no("inter_nc_violation", &elsewhere, &["CN=the middle", "name constraints"]),
        no("inter_expired", &old, &["CA certificate CN=the middle", "expired on 2002-02-03"]),
        no("inter_no_ca", &not_ca, may_not_sign),
        no("inter_ku_no_certsign", &no_cert_sign, may_not_sign),
        no("inter_eku_client", &only_clients, &["CN=the middle", purpose]),
        refused(
            "inter_pathlen",
            &too_long,
            &[&root.pem],
            &["more intermediate CAs", "CN=the short"],
        ),
        accepted(
            "inter_pathlen_kept",
            &short.issue(&[HOST], PLAIN).sending(&[&short.pem]),
            &[&root.pem],
        )
        .with_intermediate(),
        refused(
            "root_eku_client",
            &client_root.issue(&[HOST], PLAIN),
            &[&client_root.pem],
            &["CN=client root", purpose],
        ),
        refused(
            "root_ku_no_certsign",
            &no_cert_sign_root.issue(&[HOST], PLAIN),
            &[&no_cert_sign_root.pem],
            &["CN=listing root", "not trusted: ", "must not sign certificates (key usage)"],
        ),
    ])
    .await;
}

fn elsewhere(params: &mut CertificateParams) {
    let elsewhere = GeneralSubtree::DnsName("elsewhere.test".to_owned());
    let excluded_subtrees = Vec::new();
    params.name_constraints =
        Some(NameConstraints { permitted_subtrees: vec![elsewhere], excluded_subtrees });
}

#[tokio::test(flavor = "multi_thread")]
async fn roots() {
    let bounded = Authority::root_with("bounded", &elsewhere);
    let expired = Authority::root_with("old root", &old);
    let early = Authority::root_with("new root", &crate::suites::tls::rows::names::early);
    let fine = Authority::root("the root");
    let no_bc = Authority::root_with("no basics", &|params| params.is_ca = IsCa::NoCa);
    let no = |name, ca: &Authority, words: &[&str]| {
        refused(name, &ca.issue(&[HOST], PLAIN), &[&ca.pem], words)
    };
    check(vec![
        no("root_nc_violation", &bounded, &["CN=bounded", "name constraints"]),
        no("root_expired", &expired, &["CA certificate CN=old root", "expired on 2002-02-03"]),
        no("root_not_yet", &early, &["CA certificate CN=new root", "not valid before 2190-01-02"]),
        no("root_no_bc", &no_bc, &["CN=no basics", "not trusted: ", "no basicConstraints"]),
        accepted(
            "root_expired_and_another",
            &fine.issue(&[HOST], PLAIN),
            &[&expired.pem, &fine.pem],
        ),
        old_form(),
    ])
    .await;
}

/// A root of X.509 version 1, which cannot state that it is an authority.
fn old_form() -> crate::suites::tls::row::Row {
    let tool = Tool::new();
    tool.rsa(2048, "ca.key");
    tool.run("req -new -config cnf -key ca.key -subj /CN=CA -out request");
    let ca = tool.run("x509 -req -in request -signkey ca.key -days 30");
    tool.write("ca", &ca);
    let pem = tool.issue("ca.key", "");
    let identity = Identity { pem, above: String::new(), key: tool.read("ca.key") };
    accepted("root_v1", &identity, &[&ca])
}

/// A server listed next to its CA.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_and_its_authority_are_both_listed() {
    let (root, another) = (Authority::root("the root"), Authority::root("another"));
    let (server, expired) = (root.issue(&[HOST], PLAIN), Authority::root_with("old root", &old));
    let middle = root.below("the middle", &old);
    let bad_chain = middle.issue(&[HOST], PLAIN).sending(&[&middle.pem]);
    let of_expired = expired.issue(&[HOST], PLAIN);
    check(vec![
        accepted("leaf_and_root", &server, &[&server.pem, &root.pem]),
        accepted("leaf_and_root_not_covered", &server, &[&server.pem, &root.pem])
            .with_lists(&[&another.list(&[])]),
        refused("leaf_and_root_revoked", &server, &[&server.pem, &root.pem], &["revoked"])
            .with_lists(&[&root.list(&[7])]),
        accepted("leaf_with_a_bad_chain", &bad_chain, &[&bad_chain.pem]).without_root(),
        accepted("leaf_and_expired_root", &of_expired, &[&of_expired.pem, &expired.pem])
            .without_root(),
    ])
    .await;
}

/// One intermediate certified by two roots.
#[tokio::test(flavor = "multi_thread")]
async fn cross_signed() {
    let (one, two) = (Authority::root("one"), Authority::root("two"));
    let key = KeyPair::generate().unwrap();
    let copy = || KeyPair::from_pem(&key.serialize_pem()).unwrap();
    let by_one = Authority::with_key("crossed", PLAIN, copy(), Some(&one));
    let by_one_old = Authority::with_key("crossed", &old, copy(), Some(&one));
    let by_two = Authority::with_key("crossed", PLAIN, copy(), Some(&two));
    let leaf = by_one.issue(&[HOST], PLAIN);
    let sent = |above: &[&str]| leaf.clone().sending(above);
    check(vec![
        accepted("cross_signed", &sent(&[&by_two.pem, &by_one.pem]), &[&two.pem])
            .with_intermediate(),
        accepted("cross_signed_expired", &sent(&[&by_one_old.pem, &by_two.pem]), &[&two.pem])
            .with_intermediate(),
        accepted(
            "cross_signed_both",
            &sent(&[&by_one_old.pem, &by_two.pem]),
            &[&one.pem, &two.pem],
        )
        .with_intermediate(),
        // OpenSSL follows the first matching issuer and does not backtrack.
        refused(
            "cross_signed_second",
            &sent(&[&by_one.pem, &by_two.pem]),
            &[&two.pem],
            &["CN=one, which is not trusted"],
        )
        .but_accepted_by("rustls"),
    ])
    .await;
}
