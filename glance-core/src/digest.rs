//! Digests of data, computed beside the data's way and not in it.
//!
//! Hashing costs more than TLS on current processors (SHA-512: 1.2 to 1.8 s of CPU per GiB), so
//! each algorithm runs on a thread of its own and the stream waits only when it is a fixed number
//! of chunks ahead.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use bytes::Bytes;
use sha2::digest::DynDigest;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// A digest algorithm that Glance sites use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Algorithm {
    /// MD5, for Glance's `checksum` field only: it finds accidents, not attacks.
    Md5,
    /// SHA-1, on sites that chose it for `os_hash_algo`.
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

    fn hasher(self) -> Box<dyn DynDigest + Send> {
        match self {
            Self::Md5 => Box::<md5::Md5>::default(),
            Self::Sha1 => Box::<sha1::Sha1>::default(),
            Self::Sha224 => Box::<sha2::Sha224>::default(),
            Self::Sha256 => Box::<sha2::Sha256>::default(),
            Self::Sha384 => Box::<sha2::Sha384>::default(),
            Self::Sha512 => Box::<sha2::Sha512>::default(),
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
#[error("the digest algorithm {0:?} is not known")]
pub struct UnknownAlgorithm(String);

/// Digests in lower-case hexadecimal.
pub type Digests = BTreeMap<Algorithm, String>;

/// Digests being computed on threads of their own.
///
/// Must be made inside a tokio runtime. Dropping it stops the threads.
#[derive(Debug)]
pub struct Hashing(Vec<Lane>);

#[derive(Debug)]
struct Lane {
    algorithm: Algorithm,
    chunks: mpsc::Sender<Bytes>,
    digest: JoinHandle<String>,
}

impl Hashing {
    /// Starts one thread for each algorithm.
    pub fn start(algorithms: impl IntoIterator<Item = Algorithm>) -> Self {
        Self(algorithms.into_iter().map(Lane::start).collect())
    }

    /// Hands on a chunk; waits while the threads are too far behind.
    pub async fn update(&mut self, chunk: &Bytes) {
        for lane in &self.0 {
            // A closed lane has panicked; `finish` says so.
            let _ = lane.chunks.send(chunk.clone()).await;
        }
    }

    /// The digests of all chunks.
    ///
    /// # Errors
    /// When a thread was ended from outside.
    pub async fn finish(self) -> Result<Digests, tokio::task::JoinError> {
        let mut digests = Digests::new();
        for Lane { algorithm, chunks, digest } in self.0 {
            drop(chunks);
            digests.insert(algorithm, digest.await?);
        }
        Ok(digests)
    }
}

impl Lane {
    fn start(algorithm: Algorithm) -> Self {
        let (chunks, mut queue) = mpsc::channel::<Bytes>(CHUNKS_AHEAD);
        let digest = tokio::task::spawn_blocking(move || {
            let mut hasher = algorithm.hasher();
            while let Some(chunk) = queue.blocking_recv() {
                hasher.update(&chunk);
            }
            hex(&hasher.finalize())
        });
        Self { algorithm, chunks, digest }
    }
}

/// Bytes in lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    use fmt::Write as _;

    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// Chunks of up to 256 KiB that may wait for a hashing thread.
const CHUNKS_AHEAD: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn digests_are_those_of_the_standards() {
        let mut hashing = Hashing::start([Algorithm::Md5, Algorithm::Sha256]);
        hashing.update(&Bytes::from_static(b"a")).await;
        hashing.update(&Bytes::from_static(b"bc")).await;
        let digests = hashing.finish().await.unwrap();
        assert_eq!(digests[&Algorithm::Md5], "900150983cd24fb0d6963f7d28e17f72");
        let sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(digests[&Algorithm::Sha256], sha256);
    }
}
