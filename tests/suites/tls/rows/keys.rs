//! Rows about keys and signatures.

use rcgen::KeyPair;

use crate::suites::tls::forge::{Authority, HOST, Identity, PLAIN, Tool};
use crate::suites::tls::row::{accepted, check, refused};

#[tokio::test(flavor = "multi_thread")]
async fn kinds() {
    let ca = &Authority::root("the CA");
    let with = |name, key: KeyPair| {
        let pem = ca.issue_for(&key, &[HOST], PLAIN);
        let identity = Identity { pem, above: String::new(), key: key.serialize_pem() };
        accepted(name, &identity, &[&ca.pem])
    };
    let yes = |name, algorithm| with(name, KeyPair::generate_for(algorithm).unwrap());
    let ed25519 = Tool::new().run("genpkey -algorithm ED25519");
    check(vec![
        yes("leaf_p256", &rcgen::PKCS_ECDSA_P256_SHA256),
        yes("leaf_p384", &rcgen::PKCS_ECDSA_P384_SHA384),
        yes("leaf_p521", &rcgen::PKCS_ECDSA_P521_SHA512),
        with("leaf_ed", KeyPair::from_pem(&ed25519).unwrap()),
        yes("leaf_rsa2048", &rcgen::PKCS_RSA_SHA256),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lengths_and_signatures() {
    let tool = Tool::new();
    tool.rsa(2048, "good");
    tool.rsa(1024, "short");
    let under = |ca_key: &str, ca_more: &str, key: &str, more: &str| {
        tool.write("ca.key", &tool.read(ca_key));
        let ca = tool.root(ca_key, "CA", &format!("-addext {IS_CA} {ca_more}"));
        tool.write("ca", &ca);
        let pem = tool.issue(key, more);
        (Identity { pem, above: String::new(), key: tool.read(key) }, ca)
    };
    let no = |name, (server, ca): (Identity, String), words: &[&str]| {
        refused(name, &server, &[&ca], words)
    };
    let (fine, old_ca) = under("good", "-sha1", "good", "");
    let leaf = "the server's certificate (CN=server, issued by CN=CA)";
    let authority = "the CA certificate CN=CA";
    let (short, forged) =
        ("has an RSA key of 1024 bits, which is too short", ", which can be forged");
    check(vec![
        no("leaf_rsa1024", under("good", "", "short", ""), &[leaf, short]),
        no("root_rsa1024", under("short", "", "good", ""), &[authority, short]),
        accepted("root_selfsig_sha1", &fine, &[&old_ca]),
        no("leaf_sig_sha1", under("good", "", "good", "-sha1"), &[leaf, "SHA-1", forged]),
        no("leaf_sig_md5", under("good", "", "good", "-md5"), &[leaf, "MD5", forged]),
    ])
    .await;
}

/// Keys that are too weak for an authority.
#[tokio::test(flavor = "multi_thread")]
async fn of_authorities() {
    let tool = Tool::new();
    tool.run("ecparam -name prime256v1 -genkey -noout -out good");
    tool.run("dsaparam -genkey -noout -out dsa 2048");
    tool.run("ecparam -name prime256v1 -param_enc explicit -genkey -noout -out explicit");
    tool.run("ecparam -name prime192v1 -genkey -noout -out p192");
    tool.write("ca.key", &tool.read("good"));
    let root = tool.root("good", "root", &format!("-addext {IS_CA}"));
    let under = |key: &str| {
        tool.write("ca", &root);
        tool.write("ca.key", &tool.read("good"));
        let middle = format!("-addext {IS_CA} -CA ca -CAkey ca.key");
        let middle = tool.root(key, "middle", &middle);
        tool.write("ca", &middle);
        tool.write("ca.key", &tool.read(key));
        let pem = tool.issue("good", "");
        Identity { pem, above: middle, key: tool.read("good") }
    };
    let (dsa, explicit, p192) = (under("dsa"), under("explicit"), under("p192"));
    let no = |name, server: &Identity, trusted: &str, what: &str| {
        refused(name, server, &[trusted], &["the CA certificate CN=middle", what])
    };
    let (own, short) = ("a custom curve", "P-192, which is too short");
    check(vec![
        no("inter_dsa", &dsa, &root, "has a DSA key"),
        no("root_dsa", &dsa, &dsa.above, "has a DSA key"),
        no("inter_explicit_curve", &explicit, &root, own),
        no("root_explicit_curve", &explicit, &explicit.above, own),
        no("inter_p192", &p192, &root, short),
        no("root_p192", &p192, &p192.above, short),
    ])
    .await;
}

const IS_CA: &str = "basicConstraints=critical,CA:TRUE";
