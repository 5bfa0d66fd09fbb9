//! Texts that operators type or keep in small files.

use std::fs;

use glance_core::digest::Algorithm;
use glance_core::image::{ImageId, Status};
use glance_core::rate_limit::Bandwidth;
use glance_core::selection::{Condition, Latest, Rule, Shard, Subset};
use glance_core::units::byte_count;
use proptest::prelude::*;
use replicator_engine::mapping::{PropertyRule, Table};
use replicator_engine::{DigestCache, ErrorLimit, JournalContents, Template};
use tls_policy::pin;

use super::{bounded, config, input};

proptest! {
    #![proptest_config(config())]

    #[test]
    fn values_of_options(text in input::text(OPTIONS, &["=", "/", "%", ",", "-", "(", "{999}", ":"])) {
        bounded(text.len() + PATTERN, || {
            let _ = text.parse::<ImageId>();
            let _ = text.parse::<Status>();
            let _ = text.parse::<Algorithm>();
            let _ = text.parse::<Condition>().map(|it| it.to_string());
            let _ = text.parse::<Rule>().map(|it| it.to_string());
            let _ = text.parse::<Latest>().map(|it| it.to_string());
            let _ = text.parse::<Subset>();
            let _ = text.parse::<Shard>();
            let _ = text.parse::<ErrorLimit>();
            let _ = text.parse::<Template>();
            let _ = text.parse::<PropertyRule>();
            let _ = text.parse::<Table>();
            let _ = text.parse::<Bandwidth>();
            let _ = byte_count(&text);
            let _ = pin::parse(&text);
        });
    }

    #[test]
    fn files_of_state(text in input::bytes(state(), &["\n", "{", "\"store\":"])) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("digests.ndjson");
        fs::write(&path, &text).unwrap();
        bounded(text.len(), || {
            let _ = DigestCache::open(&path).map(|file| file.of("https://a"));
            let _ = JournalContents::read(&path);
        });
    }
}

#[test]
fn a_regular_expression_that_compiles_to_much_is_refused() {
    // A digit of any script compiles to some kilobytes.
    let text = format!("/{}/", r"\d{8}$".repeat(200));
    bounded(text.len() + PATTERN, || {
        let error = text.parse::<Latest>().unwrap_err().to_string();
        assert!(error.contains("size limit"), "{error}");
    });
}

fn state() -> Vec<Vec<u8>> {
    let digest = "{\"store\":\"https://a\",\"image\":\"6d55dd55-053a-4765-b7bc-b30df0ea3861\",\
        \"size\":3,\"created_at\":\"2026-01-31T12:00:00Z\",\"algorithm\":\"sha512\",\
        \"value\":\"ddaf35a1\",\"when\":\"2026-02-01T00:00:00Z\"}\n";
    vec![digest.repeat(3).into_bytes()]
}

/// Memory for an operator's pattern, which compiles to some MiB up to the library's limit.
const PATTERN: usize = (32 << 20) / super::MOST_FOR_A_BYTE;

const OPTIONS: &[&str] = &[
    "6d55dd55-053a-4765-b7bc-b30df0ea3861",
    "name=debian-*[a-z]?",
    "name-regex=^(a|b){2,5}$",
    "updated-within=7d12h",
    "created-after=2026-01-31T12:00:00+01:00",
    "+ where=os_distro=debian",
    "/^(debian-\\d+)-\\d{8}$/=2",
    "2/5",
    "10%",
    "5G",
    "08:00,512k 19:00,10M 23:00,off",
    "https://mirror.example/{id}/{name}.img",
    "set:a=b",
    "drop:a*",
    "a b\nc d\n",
    "sha256//47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",
];
