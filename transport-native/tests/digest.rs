//! The digests of the TLS library.

#![expect(clippy::unwrap_used, reason = "a test may panic; helpers of tests are not seen as such")]

use bytes::Bytes;
use glance_core::digest::{Algorithm, Digests, Hashers};
use transport_native as tls;

/// All algorithms but MD5, which FIPS mode rules out.
const APPROVED: [Algorithm; 5] =
    [Algorithm::Sha1, Algorithm::Sha224, Algorithm::Sha256, Algorithm::Sha384, Algorithm::Sha512];

async fn digests(hashers: Hashers, algorithms: &[Algorithm]) -> Digests {
    let mut hashing = hashers.start(algorithms.iter().copied());
    for chunk in ["machine", "", " images"] {
        hashing.update(&Bytes::from_static(chunk.as_bytes())).await;
    }
    hashing.finish().await.unwrap()
}

#[tokio::test]
async fn they_are_those_of_the_portable_code() {
    let found = digests(tls::hashers(), &APPROVED).await;
    assert_eq!(found.len(), APPROVED.len());
    assert_eq!(found, digests(Hashers::default(), &APPROVED).await);
}

#[tokio::test]
async fn md5_is_offered_outside_fips_mode_only() {
    assert_eq!(tls::hashers().offers(Algorithm::Md5), tls::fips().is_err());
    if tls::fips().is_err() {
        let md5 = [Algorithm::Md5];
        assert_eq!(digests(tls::hashers(), &md5).await, digests(Hashers::default(), &md5).await);
    }
}
