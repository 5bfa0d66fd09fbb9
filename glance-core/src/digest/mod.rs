//! Digests of image data, computed on worker threads next to the stream.
//!
//! Hashing costs more than TLS on current processors (SHA-512: 1.2 to 1.8 s of CPU time per GiB).
//! Each algorithm therefore runs on its own thread, and the stream waits only if it is a few MiB
//! ahead of a thread.
//!
//! The library that computes digests is chosen by a value, [`Hashers`]. Each transport offers the
//! digests of its TLS library, so that the same cryptographic module hashes and encrypts the
//! images.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use crate::digest::worker::ChunkWorker;
use crate::error::BodyError;

#[cfg(feature = "digests")]
mod portable;
pub mod worker;

/// A digest algorithm that Glance sites use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Algorithm {
    /// MD5, for Glance's `checksum` field only: it detects accidental damage, not attacks.
    Md5,
    /// SHA-1, for sites that chose it for `os_hash_algo`.
    Sha1,
    /// SHA-224.
    Sha224,
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512, Glance's default.
    Sha512,
}

impl Algorithm {
    /// The algorithm's name in Python's hashlib, as `os_hash_algo` spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Md5 => "md5",
            Self::Sha1 => "sha1",
            Self::Sha224 => "sha224",
            Self::Sha256 => "sha256",
            Self::Sha384 => "sha384",
            Self::Sha512 => "sha512",
        }
    }

    /// The length of a digest in bits.
    pub fn bits(self) -> usize {
        match self {
            Self::Md5 => 128,
            Self::Sha1 => 160,
            Self::Sha224 => 224,
            Self::Sha256 => 256,
            Self::Sha384 => 384,
            Self::Sha512 => 512,
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Algorithm {
    type Err = UnknownAlgorithm;

    fn from_str(name: &str) -> Result<Self, UnknownAlgorithm> {
        [Self::Md5, Self::Sha1, Self::Sha224, Self::Sha256, Self::Sha384, Self::Sha512]
            .into_iter()
            .find(|algorithm| algorithm.as_str() == name)
            .ok_or_else(|| UnknownAlgorithm(name.to_owned()))
    }
}

/// A digest algorithm that this crate does not compute.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown digest algorithm {0:?}")]
pub struct UnknownAlgorithm(String);

/// Digests in lower-case hexadecimal.
pub type Digests = BTreeMap<Algorithm, String>;

/// The state of one digest computation.
pub trait Hasher: Send {
    /// Takes the next bytes.
    ///
    /// # Errors
    /// When the cryptographic library fails.
    fn update(&mut self, bytes: &[u8]) -> Result<(), BodyError>;

    /// The digest of all bytes.
    ///
    /// # Errors
    /// When the cryptographic library fails.
    fn finish(self: Box<Self>) -> Result<Vec<u8>, BodyError>;
}

/// A library that computes digests. The default is portable Rust code that offers every
/// [`Algorithm`] (Cargo feature `digests`).
#[derive(Debug, Clone, Copy)]
pub struct Hashers(fn(Algorithm) -> Option<Box<dyn Hasher>>);

impl Hashers {
    /// Wraps the library that `begin` belongs to. `begin` returns `None` for an algorithm that the
    /// library does not offer, such as one that is not approved in FIPS mode.
    pub const fn new(begin: fn(Algorithm) -> Option<Box<dyn Hasher>>) -> Self {
        Self(begin)
    }

    /// Starts a digest computation; `None` if the library does not offer the algorithm.
    pub fn begin(self, algorithm: Algorithm) -> Option<Box<dyn Hasher>> {
        (self.0)(algorithm)
    }

    /// Whether the library offers `algorithm`.
    pub fn offers(self, algorithm: Algorithm) -> bool {
        self.begin(algorithm).is_some()
    }

    /// Starts one thread for each algorithm that the library offers. The [`Digests`] will lack the
    /// other algorithms.
    pub fn start(self, algorithms: impl IntoIterator<Item = Algorithm>) -> Hashing {
        let lane = |algorithm| Some((algorithm, digesting(self.begin(algorithm)?)));
        Hashing(algorithms.into_iter().filter_map(lane).collect())
    }
}

/// Digests of all bytes of a [`Body`](crate::Body), computed by the body's creator. The digests are
/// available once all bytes have streamed.
#[derive(Debug, Clone, Default)]
pub struct Awaited {
    algorithms: BTreeSet<Algorithm>,
    digests: Arc<OnceLock<Digests>>,
}

impl Awaited {
    /// Digests of these algorithms, not available yet.
    pub fn of(algorithms: impl IntoIterator<Item = Algorithm>) -> Self {
        Self { algorithms: algorithms.into_iter().collect(), digests: Arc::default() }
    }

    /// The algorithms of the digests.
    pub fn algorithms(&self) -> &BTreeSet<Algorithm> {
        &self.algorithms
    }

    /// The digests; `None` before the end of the body and for a body that failed.
    pub fn get(&self) -> Option<&Digests> {
        self.digests.get()
    }

    /// Sets the digests, which must happen before the body yields its last bytes. Later calls have
    /// no effect.
    pub fn set(&self, digests: Digests) {
        let _ = self.digests.set(digests);
    }
}

/// Digests that worker threads are computing.
///
/// Must be created inside a tokio runtime. Dropping the value closes the queues of the threads,
/// which then end.
#[derive(Debug)]
pub struct Hashing(Vec<(Algorithm, ChunkWorker<Digest>)>);

/// The result of a thread.
type Digest = Result<Vec<u8>, BodyError>;

impl Hashing {
    /// The algorithms of the digests.
    pub fn algorithms(&self) -> impl Iterator<Item = Algorithm> {
        self.0.iter().map(|(algorithm, _)| *algorithm)
    }

    /// Passes a chunk to all threads; waits while a thread is too far behind.
    pub async fn update(&mut self, chunk: &Bytes) {
        for (_, lane) in &mut self.0 {
            // A thread that ended early has failed; `finish` returns its error.
            lane.send(chunk.clone()).await;
        }
    }

    /// Returns the digests of all chunks.
    ///
    /// # Errors
    /// When the cryptographic library failed, or a thread was aborted.
    pub async fn finish(self) -> Result<Digests, BodyError> {
        let mut digests = Digests::new();
        for (algorithm, lane) in self.0 {
            digests.insert(algorithm, hex(&lane.finish().await??));
        }
        Ok(digests)
    }
}

fn digesting(mut hasher: Box<dyn Hasher>) -> ChunkWorker<Digest> {
    ChunkWorker::start(|chunks| {
        for chunk in chunks {
            hasher.update(&chunk)?;
        }
        hasher.finish()
    })
}

/// Formats bytes as lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    use fmt::Write as _;

    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_algorithm_that_is_not_offered_is_left_out() {
        let without_md5 = Hashers::new(|algorithm| match algorithm {
            Algorithm::Md5 => None,
            other => Hashers::default().begin(other),
        });
        let mut hashing = without_md5.start([Algorithm::Md5, Algorithm::Sha256]);
        hashing.update(&Bytes::from_static(b"a")).await;
        hashing.update(&Bytes::from_static(b"bc")).await;
        let digests = hashing.finish().await.unwrap();
        let sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(digests, Digests::from([(Algorithm::Sha256, sha256.to_owned())]));
    }

    #[tokio::test]
    async fn a_failing_library_gives_no_digest() {
        struct Failing;
        impl Hasher for Failing {
            fn update(&mut self, _: &[u8]) -> Result<(), BodyError> {
                Err("self-test failed".into())
            }
            fn finish(self: Box<Self>) -> Result<Vec<u8>, BodyError> {
                Ok(Vec::new())
            }
        }
        let mut hashing = Hashers::new(|_| Some(Box::new(Failing))).start([Algorithm::Sha512]);
        hashing.update(&Bytes::from_static(b"abc")).await;
        assert_eq!(hashing.finish().await.unwrap_err().to_string(), "self-test failed");
    }
}
