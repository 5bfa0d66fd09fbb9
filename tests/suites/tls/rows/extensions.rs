//! Rows about certificate contents that are not understood, or that not every TLS library can read.

use rcgen::{CertificateParams, CustomExtension, DnType, IsCa, SerialNumber};

use crate::suites::tls::forge::{Authority, HOST, Identity, PLAIN, Tweak};
use crate::suites::tls::row::{Row, accepted, check, refused};

#[tokio::test(flavor = "multi_thread")]
async fn critical() {
    let with = |oid: &'static [u64], content: &'static [u8]| {
        move |params: &mut CertificateParams| {
            // rcgen would add the same extension a second time.
            params.use_authority_key_identifier_extension = false;
            params.custom_extensions = vec![extension(oid, content, true)];
        }
    };
    let unknown = with(&[1, 2, 3, 4], &[5, 0]);
    let issuer_key = with(&[2, 5, 29, 35], &[0x30, 3, 0x80, 1, 7]);
    let mut rows =
        everywhere(["leaf_critical", "inter_critical", "root_critical"], &unknown, |who| {
            vec![who, "critical extension (1.2.3.4)"]
        });
    rows.extend(everywhere(["leaf_aki", "inter_aki", "root_aki"], &issuer_key, |who| {
        vec![who, "critical extension (2.5.29.35)"]
    }));
    // rcgen would add the same extension to an authority a second time.
    let own_key = |params: &mut CertificateParams| {
        let is_server = params.is_ca == IsCa::ExplicitNoCa;
        params.is_ca = IsCa::NoCa;
        params.custom_extensions = vec![extension(&[2, 5, 29, 14], &[4, 1, 7], true)];
        if !is_server {
            let ca = extension(&[2, 5, 29, 19], &[0x30, 3, 1, 1, 0xff], true);
            params.custom_extensions.push(ca);
        }
    };
    rows.extend(everywhere(["leaf_ski", "inter_ski", "root_ski"], &own_key, |who| {
        vec![who, "critical extension (2.5.29.14)"]
    }));
    check(rows).await;
}

/// Certificate policies: OpenSSL understands them, webpki does not, and ignores them in a root.
#[tokio::test(flavor = "multi_thread")]
async fn policies() {
    let any: &[u8] = &[0x30, 8, 0x30, 6, 6, 4, 0x55, 0x1d, 0x20, 0];
    let policies = |params: &mut CertificateParams| {
        params.custom_extensions = vec![extension(&[2, 5, 29, 32], any, true)];
    };
    let [leaf, middle, root] = servers(&policies);
    let words = &["critical extension (2.5.29.32)"];
    check(vec![
        refused("leaf_policies", &leaf.0, &[&leaf.1], words)
            .but_accepted_by("native")
            .with_intermediate(),
        refused("inter_policies", &middle.0, &[&middle.1], words)
            .but_accepted_by("native")
            .with_intermediate(),
        accepted("root_policies", &root.0, &[&root.1]).with_intermediate(),
    ])
    .await;
}

/// Violations of DER or RFC 5280.
#[tokio::test(flavor = "multi_thread")]
async fn malformed() {
    let twice = |params: &mut CertificateParams| {
        let one = || extension(&[1, 2, 3, 4], &[5, 0], false);
        params.custom_extensions = vec![one(), one()];
    };
    let long_number = |params: &mut CertificateParams| {
        params.serial_number = Some(SerialNumber::from_slice(&[0x55; 22]));
    };
    let words = |what: &'static str| move |who| vec![who, what];
    let mut rows = everywhere(
        ["leaf_twice", "inter_twice", "root_twice"],
        &twice,
        words("has the extension 1.2.3.4 twice"),
    );
    // A root with this serial number is refused when it is loaded.
    let [leaf, middle, _] = servers(&long_number);
    let octets = "cannot be read: the serial number has 22 octets (limit 20)";
    rows.push(refused("leaf_number", &leaf.0, &[&leaf.1], &["the server's certificate", octets]));
    rows.push(refused("inter_number", &middle.0, &[&middle.1], &["in the server's chain", octets]));
    let [leaf, ..] = servers(&|params| {
        params.subject_alt_names.clear();
        params.custom_extensions = vec![extension(&[2, 5, 29, 17], HOST.as_bytes(), false)];
    });
    let words = &["the server's certificate (CN=the server", "unreadable subjectAltName"];
    rows.push(refused("leaf_names", &leaf.0, &[&leaf.1], words));
    check(rows).await;
}

/// CA:TRUE with TRUE encoded as 01, as BER allows: OpenSSL accepts it, webpki does not.
#[tokio::test(flavor = "multi_thread")]
async fn ber() {
    let ber = |params: &mut CertificateParams| {
        params.is_ca = IsCa::NoCa;
        params.custom_extensions = vec![extension(&[2, 5, 29, 19], &[0x30, 3, 1, 1, 1], true)];
    };
    let [leaf, middle, root] = servers(&ber);
    let not_der = "has basicConstraints that are not DER";
    check(vec![
        refused(
            "leaf_ber",
            &leaf.0,
            &[&leaf.1],
            &["the server's certificate (CN=the server", not_der],
        ),
        refused("inter_ber", &middle.0, &[&middle.1], &["CA certificate CN=the middle", not_der]),
        refused("root_ber", &root.0, &[&root.1], &["CA certificate CN=the root", not_der]),
    ])
    .await;
}

/// Servers whose certificate has properties of an authority.
#[tokio::test(flavor = "multi_thread")]
async fn authorities_as_servers() {
    let root = Authority::root("the root");
    let as_ca = root.issue(&[HOST], &|params| {
        params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    });
    let namesake = root.issue(&[HOST], &|params| {
        params.distinguished_name.push(DnType::CommonName, "the root");
    });
    let words = &[
        "the server's certificate (CN=the server",
        "a CA certificate (CA:TRUE) and not in the trust store",
    ];
    let stranger = Authority::root("a stranger");
    check(vec![
        refused("leaf_ca_true", &as_ca, &[&root.pem], words),
        refused("leaf_ca_true_elsewhere", &as_ca, &[&root.pem], words).at("else.cloud.test"),
        refused("leaf_ca_true_untrusted", &as_ca, &[&stranger.pem], &["which is not trusted"]),
        accepted("leaf_ca_true_listed", &as_ca, &[&as_ca.pem]).without_root(),
        accepted("leaf_ca_true_and_root_listed", &as_ca, &[&as_ca.pem, &root.pem]),
        refused(
            "leaf_named_as_its_ca",
            &namesake,
            &[&root.pem],
            &["CN=the root", "not in the trust store"],
        ),
    ])
    .await;
}

/// The same change in the certificate of the server, of the intermediate, and of the root.
fn everywhere(
    names: [&'static str; 3],
    tweak: Tweak<'_>,
    words: impl Fn(&'static str) -> Vec<&'static str>,
) -> Vec<Row> {
    let who = [
        "the server's certificate (CN=the server",
        "CA certificate CN=the middle",
        "CA certificate CN=the root",
    ];
    let all = names.into_iter().zip(who).zip(servers(tweak));
    all.map(|((name, who), (server, root))| refused(name, &server, &[&root], &words(who))).collect()
}

/// Three servers with their roots. In each, another certificate is changed: the server's, the
/// intermediate's, the root's.
fn servers(tweak: Tweak<'_>) -> [(Identity, String); 3] {
    [0, 1, 2].map(|changed| {
        let tweak = |place: usize| if place == changed { tweak } else { PLAIN };
        let root = Authority::root_with("the root", tweak(2));
        let middle = root.below("the middle", tweak(1));
        (middle.issue(&[HOST], tweak(0)).sending(&[&middle.pem]), root.pem)
    })
}

fn extension(oid: &[u64], content: &[u8], is_critical: bool) -> CustomExtension {
    let mut extension = CustomExtension::from_oid_content(oid, content.to_vec());
    extension.set_criticality(is_critical);
    extension
}
