//! Certificates, keys and revocation lists, in files and from servers.

use std::fs;
use std::sync::LazyLock;

use proptest::prelude::*;
use rcgen::{
    BasicConstraints, CertificateParams, CidrSubnet, GeneralSubtree, IsCa, KeyPair, NameConstraints,
};
use tests::pki::{Authority, Leaf};
use tls_policy::fault::Fault;
use tls_policy::files::crl;
use tls_policy::judge::checks::Checks;
use tls_policy::verdict;
use tls_policy::x509::authority;
use tls_policy::{self, ClientIdentity, Pin, Roots, Summary, TlsPolicy, bundle};

use super::{bounded, config, input, memory};

proptest! {
    #![proptest_config(config())]

    #[test]
    fn files(bytes in input::bytes(FILES.clone(), WORDS)) {
        read(&bytes);
    }

    #[test]
    fn der(bytes in input::bytes(ENCODED.clone(), &["0\u{0082}"])) {
        let (good, above) = (&ENCODED[0], &ENCODED[4]);
        bounded(bytes.len() + good.len() + above.len(), || {
            let _ = Summary::from_der(&bytes).map(|summary| summary.validity());
            let _ = Pin::of(&bytes);
            judge(&[bytes.clone(), good.clone()]);
            judge(&[good.clone(), bytes.clone()]);
            judge(&[good.clone(), above.clone(), bytes.clone()]);
            let _ = authority::may_sign(&bytes);
            let _ = authority::may_sign_lists(&bytes);
            let _ = authority::may_serve(&bytes);
            let _ = authority::may_sign_for_servers(&bytes);
        });
        read(&bytes);
    }
}

/// Verifies these certificates as a path, and explains them as a refused server's.
fn judge(path: &[Vec<u8>]) {
    let checks = Checks::of(&TlsPolicy::new(Roots::System));
    let _ = checks.objection(path, &|_, _| true);
    for fault in [Fault::UnknownIssuer, Fault::Other("it".to_owned())] {
        let fault = checks.explained(fault, path, &path[1..], false);
        let _ = verdict::refusal(&fault, "glance.test", "https://glance.test", path, &path[1..]);
    }
}

#[test]
fn lengths_that_are_not_there_take_no_memory() {
    memory::alone();
    for head in
        [&b"\x30\x84\xff\xff\xff\xff"[..], b"\x30\x82\xff\xff", b"\x30\x88\xff", b"\x30\x80"]
    {
        read(head);
        read(&[head, &vec![0x30; 100_000]].concat());
    }
    read(&b"-----BEGIN CERTIFICATE-----\n".repeat(10_000));
    read(&[&b"-----BEGIN CERTIFICATE-----\n"[..], &b"A".repeat(1_000_000)].concat());
    read(&b"-----BEGIN X-----\n-----END X-----\n".repeat(10_000));
}

/// Reads the bytes as each kind of file.
fn read(bytes: &[u8]) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file.pem");
    fs::write(&path, bytes).unwrap();
    bounded(bytes.len(), || {
        let _ = bundle::load(&path);
        let _ = bundle::load(directory.path());
        let _ = tls_policy::resolve(&[("the test", Some(path.clone()))], &|_| None);
        if let Ok(lists) = crl::load(&path) {
            for list in lists {
                let _ = (list.covers(bytes), list.revokes(bytes));
            }
        }
        let passphrase = |_: &std::path::Path| Ok("passphrase".into());
        let _ = ClientIdentity::load(&path, None, &passphrase);
    });
}

static FILES: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let root = Authority::root("root").unwrap();
    let above = root.intermediate("above").unwrap();
    let issued = above.issue(&Leaf::new("glance", &["glance.test"])).unwrap();
    let bundle = format!("# both\n{}{}", root.pem(), above.pem());
    let identity = format!("{}{}", issued.chain_pem, issued.key_pem);
    let list = root.pem().replace("CERTIFICATE", "X509 CRL");
    let trusted = root.pem().replace("CERTIFICATE", "TRUSTED CERTIFICATE");
    let one_line = root.pem().replace('\n', " ");
    let escaped = root.pem().replace('\n', "\\n");
    let utf16 = root.pem().encode_utf16().flat_map(u16::to_le_bytes).collect();
    let mut files = [identity, bundle, constrained(), list, trusted, one_line, escaped]
        .map(String::into_bytes)
        .to_vec();
    files.push(utf16);
    files.extend(OTHER_FORMS.map(<[u8]>::to_vec));
    files
});

/// The beginnings of PKCS #12, PKCS #7, a key, a request, a Java key store, and PEM in base64.
const OTHER_FORMS: [&[u8]; 6] = [
    b"\x30\x82\x01\x00\x02\x01\x03\x30\x82\x00\xf7",
    b"\x30\x82\x01\x00\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x02\xa0",
    b"\x30\x77\x02\x01\x01\x04\x20",
    b"\x30\x82\x01\x00\x30\x81\xf7\x02\x01\x00\x30",
    b"\xfe\xed\xfe\xed",
    b"LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCk1J",
];

/// An authority with name constraints.
fn constrained() -> String {
    let subtrees = |names: &[&str]| {
        let names = names.iter().map(|name| GeneralSubtree::DnsName((*name).to_owned()));
        names
            .chain([GeneralSubtree::IpAddress(CidrSubnet::V4([10, 0, 0, 0], [255, 0, 0, 0]))])
            .collect()
    };
    let mut params = CertificateParams::new(["*.glance.test".to_owned()]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.name_constraints = Some(NameConstraints {
        permitted_subtrees: subtrees(&["test", ".glance.test", ""]),
        excluded_subtrees: subtrees(&["*.glance.test", "a.glance.test"]),
    });
    params.self_signed(&KeyPair::generate().unwrap()).unwrap().pem()
}

/// A server's certificate, its intermediate, and authorities.
static ENCODED: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file.pem");
    let certificates = FILES[..3].iter().flat_map(|file| {
        fs::write(&path, file).unwrap();
        bundle::load(&path).unwrap()
    });
    certificates.map(|certificate| certificate.der).collect()
});

const WORDS: &[&str] = &[
    "-----BEGIN CERTIFICATE-----\n",
    "-----END CERTIFICATE-----\n",
    "-----BEGIN X509 CRL-----\n",
    "-----BEGIN ENCRYPTED PRIVATE KEY-----\n",
    "-----",
    "=",
    "MIIB",
    "Proc-Type: 4,ENCRYPTED\n",
];
