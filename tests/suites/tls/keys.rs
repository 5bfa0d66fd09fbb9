//! Rows about keys and signatures.

use rcgen::KeyPair;

use crate::forge::{Authority, HOST, Identity, PLAIN, Tool};
use crate::row::{accepted, check, refused};

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
    let leaf = "its certificate (CN=server, by CN=CA)";
    let authority = "the certificate of its authority CN=CA";
    let (short, forged) = ("has an RSA key of 1024 bits, too short", ", which can be forged");
    check(vec![
        no("leaf_rsa1024", under("good", "", "short", ""), &[leaf, short]),
        no("root_rsa1024", under("short", "", "good", ""), &[authority, short]),
        accepted("root_selfsig_sha1", &fine, &[&old_ca]),
        no("leaf_sig_sha1", under("good", "", "good", "-sha1"), &[leaf, "SHA-1", forged]),
        no("leaf_sig_md5", under("good", "", "good", "-md5"), &[leaf, "MD5", forged]),
    ])
    .await;
}

const IS_CA: &str = "basicConstraints=critical,CA:TRUE";
