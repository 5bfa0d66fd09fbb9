//! Digests by OpenSSL, or by its FIPS provider if that is active.

use glance_core::digest::{Algorithm, Hasher, Hashers};
use glance_core::error::BodyError;
use openssl::error::ErrorStack;
use openssl::md::Md;
use openssl::md_ctx::MdCtx;

/// Returns OpenSSL's digests, which lack MD5 in FIPS mode.
pub fn hashers() -> Hashers {
    Hashers::new(|algorithm| match Digest::begin(algorithm) {
        Ok(digest) => Some(Box::new(digest)),
        Err(_not_offered) => None,
    })
}

struct Digest(MdCtx);

impl Digest {
    fn begin(algorithm: Algorithm) -> Result<Self, ErrorStack> {
        // `Md::fetch` obeys the default properties, such as FIPS mode; the constants of
        // `openssl::hash` do not.
        let digest = Md::fetch(None, algorithm.as_str(), None)?;
        let mut context = MdCtx::new()?;
        context.digest_init(&digest)?;
        Ok(Self(context))
    }
}

impl Hasher for Digest {
    fn update(&mut self, bytes: &[u8]) -> Result<(), BodyError> {
        Ok(self.0.digest_update(bytes)?)
    }

    fn finish(mut self: Box<Self>) -> Result<Vec<u8>, BodyError> {
        let mut digest = vec![0; self.0.size()];
        self.0.digest_final(&mut digest)?;
        Ok(digest)
    }
}
