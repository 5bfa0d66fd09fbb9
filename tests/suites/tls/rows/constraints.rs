//! Rows about name constraints, with malformed names and wildcards.

use rcgen::{CertificateParams, CidrSubnet, GeneralSubtree, NameConstraints, SanType};

use crate::suites::tls::forge::{Authority, HOST, Identity, PLAIN};
use crate::suites::tls::row::{Row, accepted, check, refused};

#[tokio::test(flavor = "multi_thread")]
async fn wildcards() {
    check(vec![
        no("nc_wildcard_excluded", &[], &[HOST], &["*.cloud.test"]),
        no("nc_wildcard_excluded_sibling", &[], &["other.cloud.test"], &[HOST, "*.cloud.test"]),
        no("nc_wildcard_excluded_above", &[], &["cloud.test"], &["*.cloud.test"]),
        no("nc_wildcard_excluded_dot", &[], &[".other.cloud.test"], &["*.cloud.test"]),
        yes("nc_wildcard_excluded_deeper", &[], &["a.other.cloud.test"], &["*.cloud.test"]),
        no("nc_wildcard_permitted", &[HOST], &[], &["*.cloud.test"]),
        yes("nc_wildcard_permitted_above", &["cloud.test"], &[], &["*.cloud.test"]),
        yes("nc_wildcard_permitted_dot", &[".cloud.test"], &[], &["*.cloud.test"]),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_names() {
    let root = Authority::root("the root");
    let unconstrained = named(&root, &["a..b", HOST]);
    check(vec![
        no("nc_malformed_name", &["cloud.test"], &[], &[".cloud.test", HOST]),
        no("nc_malformed_name_excluded", &[], &["else.test"], &["a..test", HOST]),
        no("nc_malformed_permitted", &["*.cloud.test"], &[], &[HOST]),
        no("nc_malformed_excluded", &[], &["*.else.test"], &[HOST]),
        no("nc_malformed_excluded_other", &["cloud.test"], &["a..b"], &[HOST]),
        yes("nc_leading_dot", &[".cloud.test"], &[], &[HOST]),
        yes("nc_any", &[""], &[], &[HOST]),
        no("nc_none", &[], &[""], &[HOST]),
        accepted("malformed_name_unconstrained", &unconstrained, &[&root.pem]),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_listed_authorities() {
    let tweak = |params: &mut CertificateParams| {
        params.name_constraints = Some(constraints(Vec::new(), dns(&[HOST])));
    };
    let root = Authority::root_with("bounded", &tweak);
    let above = Authority::root("the root");
    let middle = above.below("bounded", &tweak);
    let words = &["CN=bounded", "name constraints"];
    let below_middle = named(&middle, &["*.cloud.test"]).sending(&[&middle.pem]);
    check(vec![
        refused("inter_nc_listed", &below_middle, &[&middle.pem, &above.pem], words),
        refused("root_nc_wildcard", &named(&root, &["*.cloud.test"]), &[&root.pem], words),
        accepted("root_nc_address", &root.issue(&["127.0.0.1"], PLAIN), &[&root.pem])
            .at("127.0.0.1"),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn addresses() {
    let subnet = |mask| vec![GeneralSubtree::IpAddress(CidrSubnet::V4([127, 0, 0, 0], mask))];
    let row = |name, mask, is_within| {
        let permitted = constraints(subnet(mask), Vec::new());
        row(name, &permitted, &["127.0.0.1"], is_within).at("127.0.0.1")
    };
    check(vec![
        row("nc_ip_within", [255, 0, 0, 0], true),
        row("nc_ip_outside", [255, 255, 255, 255], false),
        row("nc_ip_odd_mask", [255, 0, 255, 0], false),
    ])
    .await;
}

fn yes(name: &'static str, permitted: &[&str], excluded: &[&str], names: &[&str]) -> Row {
    row(name, &constraints(dns(permitted), dns(excluded)), names, true)
}

fn no(name: &'static str, permitted: &[&str], excluded: &[&str], names: &[&str]) -> Row {
    row(name, &constraints(dns(permitted), dns(excluded)), names, false)
}

/// A server below an intermediate with name constraints.
fn row(name: &'static str, bounds: &NameConstraints, names: &[&str], is_within: bool) -> Row {
    let root = Authority::root("the root");
    let tweak = |params: &mut CertificateParams| params.name_constraints = Some(bounds.clone());
    let middle = root.below("the middle", &tweak);
    let server = named(&middle, names).sending(&[&middle.pem]);
    match is_within {
        true => accepted(name, &server, &[&root.pem]).with_intermediate(),
        false => refused(name, &server, &[&root.pem], &["CN=the middle", "name constraints"]),
    }
}

/// A server certificate with names of any form.
fn named(by: &Authority, names: &[&str]) -> Identity {
    by.issue(&[], &|params| {
        let name = |name: &&str| match name.parse() {
            Ok(ip) => SanType::IpAddress(ip),
            Err(_) => SanType::DnsName((*name).try_into().unwrap()),
        };
        params.subject_alt_names = names.iter().map(name).collect();
    })
}

fn constraints(permitted: Vec<GeneralSubtree>, excluded: Vec<GeneralSubtree>) -> NameConstraints {
    NameConstraints { permitted_subtrees: permitted, excluded_subtrees: excluded }
}

fn dns(names: &[&str]) -> Vec<GeneralSubtree> {
    names.iter().map(|name| GeneralSubtree::DnsName((*name).to_owned())).collect()
}
