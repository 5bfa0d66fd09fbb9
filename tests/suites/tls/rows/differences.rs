//! Rows that only one TLS stack accepts. docs/tls.md lists them.

use rcgen::{BasicConstraints, CertificateParams, CustomExtension, IsCa, KeyPair, SanType};

use crate::suites::tls::forge::{Authority, HOST, Identity, PLAIN, Tool};
use crate::suites::tls::row::{Row, STACKS, accepted, check, refused};
use crate::support::common::replicator_with;

/// Keys of authorities that OpenSSL can verify and webpki with aws-lc cannot.
#[tokio::test(flavor = "multi_thread")]
async fn keys() {
    let tool = Tool::new();
    tool.run("ecparam -name prime256v1 -genkey -noout -out key");
    let only_native = |name: &'static str, kind: &str| {
        tool.run(&format!("genpkey -quiet -algorithm {kind} -out ca.key"));
        let ca = tool.root("ca.key", "CA", "-addext basicConstraints=critical,CA:TRUE");
        tool.write("ca", &ca);
        let pem = tool.issue("key", "");
        let server = Identity { pem, above: String::new(), key: tool.read("key") };
        refused(name, &server, &[&ca], &["unsupported by this TLS library"])
            .but_accepted_by("native")
    };
    check(vec![
        only_native("ca_ed448", "ED448"),
        only_native("ca_rsa_pss", "RSA-PSS -pkeyopt rsa_keygen_bits:2048"),
        only_native("ca_p224", "EC -pkeyopt ec_paramgen_curve:P-224"),
        only_native("ca_brainpool", "EC -pkeyopt ec_paramgen_curve:brainpoolP256r1"),
    ])
    .await;
}

/// rustls warns about such a CA at the start.
#[test]
fn keys_in_a_bundle() {
    let tool = Tool::new();
    tool.run("genpkey -quiet -algorithm ED448 -out ca.key");
    let odd = tool.root("ca.key", "CA", "-addext basicConstraints=critical,CA:TRUE");
    let good = Authority::root("good").pem;
    tool.write("bundle.pem", &format!("{good}{odd}"));
    let bundle = tool.path().join("bundle.pem").to_str().unwrap().to_owned();
    let place = format!("{bundle}, line {}: ", good.lines().count() + 1);
    let words = format!("{place}rustls cannot verify signatures by this CA; use --tls native\n");
    for stack in STACKS {
        let [from, to] = ["https://127.0.0.1:1", "https://127.0.0.1:2"];
        let line = ["compare", from, to, "--cacert", &bundle, "--tls", stack.name];
        let run = replicator_with(&line, &[]).exits(4);
        let said = run.stderr.matches(&words).count();
        assert_eq!(said, usize::from(stack.name == "rustls"), "{}", run.stderr);
    }
}

/// Name constraints of other types, which exclude none of these servers.
#[tokio::test(flavor = "multi_thread")]
async fn constraints_of_other_kinds() {
    let excluding = |subtree: &[u8]| {
        Authority::root_with("bounded", &|params| {
            let length = u8::try_from(subtree.len()).unwrap();
            let head = [0x30, length + 4, 0xa1, length + 2, 0x30, length];
            let excluded = [&head[..], subtree].concat();
            params.custom_extensions =
                vec![CustomExtension::from_oid_content(&[2, 5, 29, 30], excluded)];
        })
    };
    // [4], and in it the name CN=no; [1] else.test
    let directory = excluding(b"\xa4\x0f\x30\x0d\x31\x0b\x30\x09\x06\x03\x55\x04\x03\x0c\x02no");
    let mail = excluding(b"\x81\x09else.test");
    let with_mail = |params: &mut CertificateParams| {
        let address = SanType::Rfc822Name("root@cloud.test".try_into().unwrap());
        params.subject_alt_names.push(address);
    };
    let only_native = |name, server: Identity, root: &Authority| {
        refused(name, &server, &[&root.pem], &["CN=bounded", "name constraints"])
            .but_accepted_by("native")
    };
    check(vec![
        only_native("nc_directory", directory.issue(&[HOST], PLAIN), &directory),
        only_native("nc_mail", mail.issue(&[HOST], &with_mail), &mail),
        accepted("nc_mail_without", &mail.issue(&[HOST], PLAIN), &[&mail.pem]),
    ])
    .await;
}

/// An authority that certified a new key under its own name (RFC 5280, 6.1.4).
#[tokio::test(flavor = "multi_thread")]
async fn renewed_by_themselves() {
    let no_path = |params: &mut CertificateParams| {
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    };
    let root = Authority::root("the root");
    let old = root.below("the middle", &no_path);
    let new = Authority::with_key("the middle", &no_path, KeyPair::generate().unwrap(), Some(&old));
    let server = new.issue(&[HOST], PLAIN).sending(&[&new.pem, &old.pem]);
    let row: Row = refused("self_issued_pathlen", &server, &[&root.pem], &[]);
    check(vec![row.but_accepted_by("native").with_intermediate()]).await;
}
