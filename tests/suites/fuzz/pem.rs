//! Certificates, keys and revocation lists, in files and from servers.

use std::fs;
use std::sync::LazyLock;

use glance_core::tls::{ClientIdentity, Pin, Summary, authority, bundle, crl, verdict};
use proptest::prelude::*;
use tests::pki::{Authority, Leaf};

use super::{bounded, config, input, memory};

proptest! {
    #![proptest_config(config())]

    #[test]
    fn files(bytes in input::bytes(FILES.clone(), WORDS)) {
        read(&bytes);
    }

    #[test]
    fn der(bytes in input::bytes(ENCODED.clone(), &["0\u{0082}"])) {
        let good = &ENCODED[0];
        bounded(bytes.len() + good.len(), || {
            let _ = Summary::from_der(&bytes).map(|summary| summary.validity());
            let _ = Pin::of(&bytes);
            let _ = verdict::has_weak_key(&bytes);
            let _ = authority::may_sign(&bytes);
            let _ = authority::may_sign_lists(&bytes);
            let _ = authority::may_serve(&bytes);
            let _ = authority::may_sign_for_servers(&bytes);
        });
        read(&bytes);
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

/// Reads it as each kind of file.
fn read(bytes: &[u8]) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file.pem");
    fs::write(&path, bytes).unwrap();
    bounded(bytes.len(), || {
        let _ = bundle::load(&path);
        let _ = bundle::load(directory.path());
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
    [bundle, identity, list, trusted].map(String::into_bytes).into()
});

/// The first certificate of each file.
static ENCODED: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file.pem");
    let certificates = FILES[..2].iter().flat_map(|file| {
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
