//! Digests by AWS-LC, or its FIPS module if that is compiled in.

use aws_lc_rs::digest::{self, Context};
use glance_core::digest::{Algorithm, Hasher, Hashers};
use glance_core::error::BodyError;

use crate::fips;

/// Returns AWS-LC's digests. Outside FIPS mode, portable code adds MD5.
pub fn hashers() -> Hashers {
    Hashers::new(|algorithm| {
        let algorithm = match algorithm {
            Algorithm::Sha1 => &digest::SHA1_FOR_LEGACY_USE_ONLY,
            Algorithm::Sha224 => &digest::SHA224,
            Algorithm::Sha256 => &digest::SHA256,
            Algorithm::Sha384 => &digest::SHA384,
            Algorithm::Sha512 => &digest::SHA512,
            _ if fips::is_active() => return None,
            other => return Hashers::default().begin(other),
        };
        Some(Box::new(Digest(Context::new(algorithm))))
    })
}

struct Digest(Context);

impl Hasher for Digest {
    fn update(&mut self, bytes: &[u8]) -> Result<(), BodyError> {
        self.0.update(bytes);
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<Vec<u8>, BodyError> {
        Ok(self.0.finish().as_ref().to_vec())
    }
}
