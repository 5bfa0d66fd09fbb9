//! Rows about the names, the validity period and the purpose of a certificate.

use rcgen::{
    CertificateParams, CustomExtension, DnType, ExtendedKeyUsagePurpose, KeyUsagePurpose, SanType,
    date_time_ymd,
};

use crate::suites::tls::forge::{Authority, HOST, PLAIN, Tweak};
use crate::suites::tls::row::{accepted, check, refused};

#[tokio::test(flavor = "multi_thread")]
async fn hosts() {
    let ca = &Authority::root("the CA");
    let issued = |names: &[&str]| ca.issue(names, PLAIN);
    let yes = |name, names: &[&str]| accepted(name, &issued(names), &[&ca.pem]);
    let no =
        |name, names: &[&str], words: &[&str]| refused(name, &issued(names), &[&ca.pem], words);
    let tweaked = |tweak: Tweak<'_>| ca.issue(&[], tweak);
    let ip_as_dns = tweaked(&|params| {
        params.subject_alt_names = vec![SanType::DnsName("127.0.0.1".try_into().unwrap())];
    });
    let cn_only = tweaked(&|params| {
        params.distinguished_name.push(DnType::CommonName, HOST);
    });
    check(vec![
        yes("ca_dns", &[HOST]),
        yes("ca_ip", &["127.0.0.1"]).at("127.0.0.1"),
        yes("ca_ip6", &["::1"]).at("[::1]"),
        refused("ip_as_dns_san", &ip_as_dns, &[&ca.pem], &["for 127.0.0.1", "not for 127.0.0.1"])
            .at("127.0.0.1"),
        no("ip_mismatch", &["127.0.0.2"], &["is valid for 127.0.0.2, not for 127.0.0.1"])
            .at("127.0.0.1"),
        no("ip6_mismatch", &["::2"], &["is valid for ::2, not for ::1"]).at("[::1]"),
        no("dns_for_ip", &[HOST], &[HOST, "not for 127.0.0.1"]).at("127.0.0.1"),
        refused("cn_only", &cn_only, &[&ca.pem], &["has no subjectAltName", HOST]),
        no("wrong_host", &["other.test"], &["is valid for other.test, not for glance.cloud.test"]),
        yes("wildcard_ok", &["*.cloud.test"]),
        no("wildcard_deep", &["*.test"], &["is valid for *.test, not for"]),
        no("wildcard_base", &["*.glance.cloud.test"], &["not for glance.cloud.test"]),
        no("wildcard_partial", &["gl*.cloud.test"], &["not for glance.cloud.test"]),
        yes("san_uppercase", &["GLANCE.cloud.TEST"]),
        yes("many_names", &["a.test", "b.test", HOST, "10.0.0.1"]),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dates_and_purposes() {
    let ca = &Authority::root("the CA");
    let with = |tweak: Tweak<'_>| ca.issue(&[HOST], tweak);
    let no =
        |name, tweak: Tweak<'_>, words: &[&str]| refused(name, &with(tweak), &[&ca.pem], words);
    let yes = |name, tweak: Tweak<'_>| accepted(name, &with(tweak), &[&ca.pem]);
    let purpose = "is not valid for servers";
    check(vec![
        no("expired", &old, &["CN=the server", "CN=the CA", "expired on 2002-02-03"]),
        no("expired_elsewhere", &old, &["is valid for", "not for else.cloud.test"])
            .at("else.cloud.test"),
        refused(
            "expired_untrusted",
            &with(&old),
            &[&Authority::root("else").pem],
            &["not trusted"],
        ),
        no("not_yet", &early, &["CN=the server", "not valid before 2190-01-02"]),
        no("eku_client", &|p| purposes(p, &[ClientAuth]), &[purpose]),
        no("eku_any_only", &|p| purposes(p, &[Any]), &[purpose]),
        no("eku_server_gated_crypto", &|p| purposes(p, &[server_gated()]), &[purpose]),
        yes("eku_several", &|p| purposes(p, &[ClientAuth, ServerAuth])),
        yes("no_eku", &|p| purposes(p, &[])),
        yes("leaf_ku_keyenc", &|p| p.key_usages = vec![KeyUsagePurpose::KeyEncipherment]),
        no("leaf_ku_certsign", &|p| p.key_usages = vec![KeyUsagePurpose::KeyCertSign], &[purpose]),
        no("unknown_critical", &critical, &["critical extension"]),
        yes("unknown_not_critical", &|p| p.custom_extensions = vec![unknown()]),
    ])
    .await;
}

use ExtendedKeyUsagePurpose::{Any, ClientAuth, ServerAuth};

fn purposes(params: &mut CertificateParams, purposes: &[ExtendedKeyUsagePurpose]) {
    params.extended_key_usages = purposes.to_vec();
}

/// Microsoft's Server Gated Crypto, from the time of export ciphers.
fn server_gated() -> ExtendedKeyUsagePurpose {
    ExtendedKeyUsagePurpose::Other(vec![1, 3, 6, 1, 4, 1, 311, 10, 3, 3])
}

pub(crate) fn old(params: &mut CertificateParams) {
    params.not_before = date_time_ymd(2001, 1, 1);
    params.not_after = date_time_ymd(2002, 2, 3);
}

pub(crate) fn early(params: &mut CertificateParams) {
    params.not_before = date_time_ymd(2190, 1, 2);
    params.not_after = date_time_ymd(2191, 1, 1);
}

pub(crate) fn critical(params: &mut CertificateParams) {
    let mut unknown = unknown();
    unknown.set_criticality(true);
    params.custom_extensions = vec![unknown];
}

fn unknown() -> CustomExtension {
    CustomExtension::from_oid_content(&[1, 2, 3, 4], vec![5, 0])
}
