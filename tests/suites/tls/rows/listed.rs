//! Rows about servers whose own certificate is listed in the bundle.

use rcgen::{CertificateParams, IsCa, Issuer, KeyPair, KeyUsagePurpose, SerialNumber};

use crate::suites::tls::forge::{
    Authority, HOST, Identity, PLAIN, Tool, Tweak, self_signed, self_signed_by,
};
use crate::suites::tls::row::{Row, accepted, check, refused};
use crate::suites::tls::rows::names::{critical, early, old};

use rcgen::BasicConstraints::Unconstrained;
use rcgen::ExtendedKeyUsagePurpose::{Any, ClientAuth, ServerAuth};
use rcgen::KeyUsagePurpose::{DigitalSignature, KeyCertSign, KeyEncipherment};

#[tokio::test(flavor = "multi_thread")]
async fn servers_for_themselves() {
    let yes = |name, tweak: Tweak<'_>| own(name, &[HOST], tweak, None);
    let no = |name, tweak: Tweak<'_>, words: &[&str]| own(name, &[HOST], tweak, Some(words));
    let purpose = &["is not valid for servers"][..];
    let for_ip = |params: &mut CertificateParams| params.is_ca = IsCa::Ca(Unconstrained);
    check(vec![
        yes("ss_ca_true", &|p| p.is_ca = IsCa::Ca(Unconstrained)),
        yes("ss_ca_false", &|p| p.is_ca = IsCa::ExplicitNoCa),
        yes("ss_no_bc", &|p| p.is_ca = IsCa::NoCa),
        own("ss_ip", &["127.0.0.1"], &for_ip, None).at("127.0.0.1"),
        yes("ss_ku_ds", &|p| usages(p, &[DigitalSignature])),
        yes("ss_ku_keyenc", &|p| usages(p, &[KeyEncipherment])),
        yes("ss_ku_both", &|p| usages(p, &[DigitalSignature, KeyCertSign])),
        no("ss_ku_certsign_only", &|p| usages(p, &[KeyCertSign]), purpose),
        yes("ss_eku_server", &|p| p.extended_key_usages = vec![ServerAuth]),
        no("ss_eku_client", &|p| p.extended_key_usages = vec![ClientAuth], purpose),
        no("ss_eku_any_only", &|p| p.extended_key_usages = vec![Any], purpose),
        own("ss_wrong_host", &["other.test"], PLAIN, Some(&["for other.test, not for", HOST])),
        no("ss_expired", &old, &["CN=the server", "expired on 2002-02-03"]),
        no("ss_not_yet", &early, &["not valid before 2190-01-02"]),
        own("ss_cn_only", &[], PLAIN, Some(&["has no subjectAltName"])),
        no("ss_crit", &critical, &["critical extension"]),
    ])
    .await;
}

/// A self-signed server whose certificate is listed.
fn own(name: &'static str, names: &[&str], tweak: Tweak<'_>, words: Option<&[&str]>) -> Row {
    let identity = self_signed(names, tweak);
    match words {
        None => accepted(name, &identity, &[&identity.pem]),
        Some(words) => refused(name, &identity, &[&identity.pem], words),
    }
}

fn usages(params: &mut CertificateParams, usages: &[KeyUsagePurpose]) {
    params.key_usages = usages.to_vec();
    params.is_ca = if usages.contains(&KeyCertSign) { IsCa::Ca(Unconstrained) } else { IsCa::NoCa };
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_that_others_list() {
    let not_listed = &["CN=the server", "self-signed", "not in the trust store"][..];
    let as_ca: Tweak<'_> = &|params| usages(params, &[DigitalSignature, KeyCertSign]);
    let (known, stranger) = (self_signed(&[HOST], PLAIN), self_signed(&[HOST], PLAIN));
    let renewed = |tweak: Tweak<'_>| {
        let key = KeyPair::generate().unwrap();
        let old = self_signed_by(&key, &[HOST], tweak);
        let new = self_signed_by(&key, &[HOST], &|params| {
            tweak(params);
            params.serial_number = Some(SerialNumber::from(8_u64));
        });
        (old.pem, new)
    };
    let (old, new) = renewed(as_ca);
    let key = KeyPair::generate().unwrap();
    let (listed_ca, as_leaf) =
        (self_signed_by(&key, &[HOST], as_ca), self_signed_by(&key, &[HOST], PLAIN));
    let (old_no_ca, new_no_ca) = renewed(PLAIN);
    let listed = Authority::root("the CA").issue(&[HOST], PLAIN);
    check(vec![
        accepted("leaf_anchor", &listed, &[&listed.pem]).without_root(),
        accepted("ss_bundle_multi", &known, &[&stranger.pem, &known.pem, &listed.pem])
            .without_root(),
        refused("ss_impostor", &stranger, &[&known.pem], not_listed),
        refused("ss_renewed_same_key", &new, &[&old], not_listed),
        refused("ss_renewed_as_leaf", &as_leaf, &[&listed_ca.pem], not_listed),
        refused("ss_renewed_same_key_caf", &new_no_ca, &[&old_no_ca], not_listed),
    ])
    .await;
}

/// The stolen key of a listed server cannot be used to forge certificates of others.
#[tokio::test(flavor = "multi_thread")]
async fn servers_as_authorities() {
    let issuer = |tweak: Tweak<'_>| {
        let key = KeyPair::generate().unwrap();
        let server = self_signed_by(&key, &["other.test"], tweak);
        let mut params = CertificateParams::default();
        tweak(&mut params);
        params.distinguished_name = named("the server");
        (server, Issuer::new(params, key))
    };
    let forged = |by: &Issuer<'static, KeyPair>| {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new([HOST.to_owned()]).unwrap();
        params.distinguished_name = named("forged");
        let pem = params.signed_by(&key, by).unwrap().pem();
        Identity { pem, above: String::new(), key: key.serialize_pem() }
    };
    let (plain, by_plain) = issuer(PLAIN);
    let (as_ca, by_ca) = issuer(&|params| params.is_ca = IsCa::Ca(Unconstrained));
    let as_ca_usage = |params: &mut CertificateParams| usages(params, &[KeyCertSign]);
    let (with_usage, by_usage) = issuer(&as_ca_usage);
    let not_trusted = &["CN=forged", "CN=the server", "not trusted"][..];
    let may_not =
        &["CN=forged", "through CN=the server, which is not allowed to sign certificates"][..];
    let both = forged(&by_plain).sending(&[&plain.pem]);
    check(vec![
        refused("ss_caf_used_as_issuer", &forged(&by_plain), &[&plain.pem], not_trusted),
        refused("ss_caf_used_as_issuer_chain", &both, &[&plain.pem], may_not),
        accepted("ss_cat_used_as_issuer", &forged(&by_usage), &[&with_usage.pem]),
        refused("ss_cat_without_certsign", &forged(&by_ca), &[&as_ca.pem], not_trusted),
    ])
    .await;
}

fn named(name: &str) -> rcgen::DistinguishedName {
    let mut found = rcgen::DistinguishedName::new();
    found.push(rcgen::DnType::CommonName, name);
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn odd_keys() {
    let tool = Tool::new();
    let identity = |key: &str, more: &str| Identity {
        pem: tool.root(
            key,
            "server",
            &format!("-addext {} {more}", crate::suites::tls::forge::SAN),
        ),
        above: String::new(),
        key: tool.read(key),
    };
    tool.rsa(2048, "rsa");
    tool.rsa(1024, "weak");
    let (rsa, weak, sha1) = (identity("rsa", ""), identity("weak", ""), identity("rsa", "-sha1"));
    check(vec![
        accepted("ss_rsa", &rsa, &[&rsa.pem]),
        accepted("ss_sha1", &sha1, &[&sha1.pem]),
        refused("ss_rsa1024", &weak, &[&weak.pem], &["CN=server", "RSA key of 1024 bits"]),
    ])
    .await;
}
