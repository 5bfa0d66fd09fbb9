//! Digests computed by portable Rust code, independent of any TLS library.

use sha2::digest::DynDigest;

use super::{Algorithm, Hasher, Hashers};
use crate::error::BodyError;

impl Default for Hashers {
    fn default() -> Self {
        Self::new(|algorithm| Some(begin(algorithm)))
    }
}

/// Starts a digest computation; every algorithm is available.
fn begin(algorithm: Algorithm) -> Box<dyn Hasher> {
    let digest: Box<dyn DynDigest + Send> = match algorithm {
        Algorithm::Md5 => Box::<md5::Md5>::default(),
        Algorithm::Sha1 => Box::<sha1::Sha1>::default(),
        Algorithm::Sha224 => Box::<sha2::Sha224>::default(),
        Algorithm::Sha256 => Box::<sha2::Sha256>::default(),
        Algorithm::Sha384 => Box::<sha2::Sha384>::default(),
        Algorithm::Sha512 => Box::<sha2::Sha512>::default(),
    };
    Box::new(Portable(digest))
}

struct Portable(Box<dyn DynDigest + Send>);

impl Hasher for Portable {
    fn update(&mut self, bytes: &[u8]) -> Result<(), BodyError> {
        self.0.update(bytes);
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<Vec<u8>, BodyError> {
        Ok(self.0.finalize().into_vec())
    }
}
