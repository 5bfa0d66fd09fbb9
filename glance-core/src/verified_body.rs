//! Verification of image data in transit: every byte that goes to a target passes through a
//! [`checked`] body.
//!
//! The checked body counts and hashes the bytes while they stream. It holds back the last chunk
//! until size and digest are verified. If they differ, the body ends with an error, so that wrong
//! data never completes an upload.

use std::collections::BTreeSet;
use std::error::Error;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use futures_util::stream::{self, StreamExt};

use crate::body::Body;
use crate::digest::{Algorithm, Awaited, Digests, Hashers, Hashing};
use crate::error::{BodyError, causes};
use crate::image::Image;
use crate::wait_time::WaitTime;

/// The size and digests that the source's record states for its data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected {
    /// The size in bytes.
    pub size: Option<u64>,
    /// The digest that verifies the data: `os_hash_value`, or `checksum` if the record has no
    /// usable `os_hash_value`. `None` for data that the source never hashed.
    pub digest: Option<(Algorithm, String)>,
    /// Further digests to compute, which other code compares.
    pub also: BTreeSet<Algorithm>,
}

impl Expected {
    /// The values in `image`'s record.
    pub fn of(image: &Image) -> Self {
        let digest = image.digests().next();
        let digest = digest.map(|(algorithm, value)| (algorithm, value.to_owned()));
        Self { size: image.size, digest, also: BTreeSet::new() }
    }

    /// The algorithms to compute: that of the verifying digest and those in `also`. Without any of
    /// them, Glance's default (SHA-512), so that at least the target's copy can be verified.
    fn algorithms(&self) -> BTreeSet<Algorithm> {
        let own = self.digest.as_ref().map(|(algorithm, _)| *algorithm);
        let all: BTreeSet<Algorithm> = self.also.iter().copied().chain(own).collect();
        match all.is_empty() {
            true => [Algorithm::Sha512].into(),
            false => all,
        }
    }
}

/// A fault of the data, found while it was streaming.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DataFault {
    /// The image at the source was replaced or changed; reading stopped.
    #[error("the source changed the image after {got} bytes: {change}")]
    Changed {
        /// Bytes read before the change was noticed.
        got: u64,
        /// What changed.
        change: String,
    },
    /// The source's data ended before the announced size.
    #[error("the source ended the data after {got} of {size} bytes")]
    CutShort {
        /// Bytes announced.
        size: u64,
        /// Bytes received.
        got: u64,
    },
    /// The data stored at the source is incomplete or does not match its record. Reading it again
    /// does not help.
    #[error("the source's data is damaged (after {got} bytes): {reason}")]
    Damaged {
        /// Bytes read before the damage.
        got: u64,
        /// Description of the damage.
        reason: String,
    },
    /// The data's digest differs from the digest in the source's record.
    #[error("the source's data has the {algorithm} {got}, but its record has {wanted}")]
    Digest {
        /// The algorithm of both digests.
        algorithm: Algorithm,
        /// The digest in the record.
        wanted: String,
        /// The digest of the data.
        got: String,
    },
    /// The target was so slow that the other targets of the same read would have had to wait.
    #[error("dropped after {got} bytes: the other targets were faster")]
    LeftBehind {
        /// Bytes that the target had taken.
        got: u64,
    },
    /// Temporary storage of the data on disk failed.
    #[error("cannot spool the data in {}: {reason}", directory.display())]
    Spool {
        /// The directory for temporary storage.
        directory: PathBuf,
        /// The error of the filesystem.
        reason: String,
    },
    /// Reading from the source failed.
    #[error("the source stopped sending after {got} bytes: {reason}")]
    Interrupted {
        /// Bytes received.
        got: u64,
        /// The error of the read.
        reason: String,
    },
    /// The source sent more bytes than announced.
    #[error("the source sent more than the {size} bytes of its record")]
    TooLong {
        /// Bytes announced.
        size: u64,
    },
}

/// Whether an error of a body means that the stored data is damaged, so that reading it again does
/// not help: [`DataFault::Damaged`], or an I/O error for invalid or missing content of a file.
/// Errors of a connection have other types (see [`Transport`](crate::Transport)).
pub fn is_damage(error: &(dyn Error + Send + Sync + 'static)) -> bool {
    let is_damaged_file = error.downcast_ref::<io::Error>().is_some_and(|error| {
        matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof)
    });
    is_damaged_file || matches!(error.downcast_ref(), Some(DataFault::Damaged { .. }))
}

/// The result of checking the data, available once the data has streamed. It is separate from the
/// stream, because a fault of the source otherwise appears only as a failure of the target's
/// upload.
#[derive(Debug, Clone, Default)]
pub struct DataVerdict {
    digests: Awaited,
    fault: Arc<OnceLock<DataFault>>,
}

impl DataVerdict {
    /// The fault, if one was found.
    pub fn fault(&self) -> Option<DataFault> {
        self.fault.get().cloned()
    }

    /// The digests of the data, if all of it passed the check.
    pub fn digests(&self) -> Option<&Digests> {
        self.digests.get()
    }

    /// The result for one of several consumers of the same data: it shares the digests and can have
    /// a fault of its own.
    #[must_use]
    pub fn shared(&self) -> Self {
        Self { digests: self.digests.clone(), fault: Arc::default() }
    }

    /// Records the fault, unless one is already recorded, and returns `fault` as a body error.
    pub fn fail(&self, fault: DataFault) -> BodyError {
        let _ = self.fault.set(fault.clone());
        fault.into()
    }
}

/// Wraps `data` in a body that is checked against `expected`. If `hashers` does not offer the
/// expected digest's algorithm, the check fails. The body carries the computed digests, so that a
/// store need not compute them again.
pub fn checked(data: Body, expected: Expected, hashers: Hashers) -> (Body, DataVerdict) {
    checked_timed(data, expected, hashers, &WaitTime::default())
}

/// Like [`checked`]. The time in which the data waits for the threads that compute digests is added
/// to `waited`.
pub fn checked_timed(
    data: Body,
    expected: Expected,
    hashers: Hashers,
    waited: &WaitTime,
) -> (Body, DataVerdict) {
    let hashing = hashers.start(expected.algorithms());
    let digests = Awaited::of(hashing.algorithms());
    let verdict = DataVerdict { digests: digests.clone(), ..DataVerdict::default() };
    let size = expected.size.or(data.size());
    let check = Check {
        data,
        hashing: Some(hashing),
        expected: Expected { size, ..expected },
        passed: 0,
        held: None,
        verdict: verdict.clone(),
        waited: waited.clone(),
    };
    let chunks = stream::try_unfold(check, Check::step);
    (Body::from_stream(chunks, size).carrying(Some(digests)), verdict)
}

struct Check {
    data: Body,
    hashing: Option<Hashing>,
    expected: Expected,
    passed: u64,
    held: Option<Bytes>,
    verdict: DataVerdict,
    /// Time in which the digests were waited for.
    waited: WaitTime,
}

impl Check {
    /// Yields the chunk before the one just read; yields the last chunk only after the check
    /// passed.
    async fn step(mut self) -> Result<Option<(Bytes, Self)>, BodyError> {
        loop {
            match self.data.next().await {
                Some(Ok(chunk)) if chunk.is_empty() => {}
                Some(Ok(chunk)) => {
                    self.take(&chunk).await?;
                    if let Some(earlier) = self.held.replace(chunk) {
                        return Ok(Some((earlier, self)));
                    }
                }
                Some(Err(error)) => return Err(self.verdict.fail(self.fault_of(error))),
                None => {
                    self.judge().await?;
                    return Ok(self.held.take().map(|last| (last, self)));
                }
            }
        }
    }

    /// The fault of data that ended with an error.
    fn fault_of(&self, error: BodyError) -> DataFault {
        let got = self.passed;
        match error.downcast::<DataFault>() {
            Ok(fault) => *fault,
            Err(error) if is_damage(&*error) => {
                DataFault::Damaged { got, reason: innermost(&*error) }
            }
            Err(error) => DataFault::Interrupted { got, reason: innermost(&*error) },
        }
    }

    async fn take(&mut self, chunk: &Bytes) -> Result<(), BodyError> {
        self.passed += chunk.len() as u64;
        match self.expected.size {
            Some(size) if self.passed > size => Err(self.verdict.fail(DataFault::TooLong { size })),
            _ => {
                if let Some(hashing) = &mut self.hashing {
                    self.waited.during(hashing.update(chunk)).await;
                }
                Ok(())
            }
        }
    }

    async fn judge(&mut self) -> Result<(), BodyError> {
        let Some(hashing) = self.hashing.take() else { return Ok(()) };
        if let Some(size) = self.expected.size.filter(|size| self.passed < *size) {
            return Err(self.verdict.fail(DataFault::CutShort { size, got: self.passed }));
        }
        let digests = self.waited.during(hashing.finish()).await?;
        if let Some((algorithm, wanted)) = &self.expected.digest {
            let got = digests.get(algorithm).cloned().unwrap_or_default();
            if !got.eq_ignore_ascii_case(wanted) {
                let (algorithm, wanted) = (*algorithm, wanted.clone());
                return Err(self.verdict.fail(DataFault::Digest { algorithm, wanted, got }));
            }
        }
        self.verdict.digests.set(digests);
        Ok(())
    }
}

/// The message of the innermost error of a chain.
fn innermost(error: &(dyn Error + 'static)) -> String {
    causes(error).last().unwrap_or(error).to_string()
}

impl fmt::Debug for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Check").field("passed", &self.passed).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MD5_OF_ABC: &str = "900150983cd24fb0d6963f7d28e17f72";

    fn expected(size: u64) -> Expected {
        let digest = Some((Algorithm::Md5, MD5_OF_ABC.to_owned()));
        Expected { size: Some(size), digest, also: BTreeSet::new() }
    }

    fn chunks(chunks: &[&'static str]) -> Body {
        let chunks: Vec<_> =
            chunks.iter().map(|chunk| Ok(Bytes::from_static(chunk.as_bytes()))).collect();
        Body::from_stream(stream::iter(chunks), None)
    }

    /// The bytes that passed before the end or the error.
    async fn passed(mut body: Body) -> Vec<u8> {
        let mut passed = Vec::new();
        while let Some(Ok(chunk)) = body.next().await {
            passed.extend_from_slice(&chunk);
        }
        passed
    }

    #[tokio::test]
    async fn good_data_passes_whole() {
        let (body, verdict) = checked(chunks(&["a", "bc"]), expected(3), Hashers::default());
        let carried = body.digests().cloned().unwrap();
        assert!(carried.algorithms().iter().eq([&Algorithm::Md5]) && carried.get().is_none());
        assert_eq!(passed(body).await, b"abc");
        assert_eq!(verdict.fault(), None);
        assert_eq!(verdict.digests().unwrap()[&Algorithm::Md5], MD5_OF_ABC);
        assert_eq!(carried.get(), verdict.digests());
    }

    #[tokio::test]
    async fn a_wrong_digest_keeps_the_last_chunk_back() {
        let (body, verdict) = checked(chunks(&["a", "bX"]), expected(3), Hashers::default());
        let carried = body.digests().cloned().unwrap();
        assert_eq!(passed(body).await, b"a");
        assert!(matches!(verdict.fault(), Some(DataFault::Digest { .. })));
        assert_eq!(carried.get(), None);
    }

    #[tokio::test]
    async fn a_digest_that_cannot_be_computed_never_agrees() {
        let nothing = Hashers::new(|_| None);
        let (body, verdict) = checked(chunks(&["a", "bc"]), expected(3), nothing);
        assert_eq!(passed(body).await, b"a");
        assert!(matches!(verdict.fault(), Some(DataFault::Digest { .. })));
    }

    #[tokio::test]
    async fn short_and_long_data_are_the_sources_fault() {
        let (body, verdict) = checked(chunks(&["a", "b"]), expected(3), Hashers::default());
        assert_eq!(passed(body).await, b"a");
        assert_eq!(verdict.fault(), Some(DataFault::CutShort { size: 3, got: 2 }));
        let (body, verdict) = checked(chunks(&["ab", "cd"]), expected(3), Hashers::default());
        assert!(passed(body).await.is_empty());
        assert_eq!(verdict.fault(), Some(DataFault::TooLong { size: 3 }));
    }

    #[tokio::test]
    async fn damage_is_told_from_an_interruption() {
        let fault = async |error: BodyError| {
            let data = stream::iter([Ok(Bytes::from_static(b"a")), Err(error)]);
            let (body, verdict) =
                checked(Body::from_stream(data, None), expected(3), Hashers::default());
            passed(body).await;
            verdict.fault().unwrap()
        };
        for kind in [io::ErrorKind::InvalidData, io::ErrorKind::UnexpectedEof] {
            let wanted = DataFault::Damaged { got: 1, reason: io::Error::from(kind).to_string() };
            assert_eq!(fault(io::Error::from(kind).into()).await, wanted);
        }
        let reset = io::Error::from(io::ErrorKind::ConnectionReset);
        assert!(matches!(fault(reset.into()).await, DataFault::Interrupted { got: 1, .. }));
        let nested = io::Error::other(io::Error::from(io::ErrorKind::InvalidData));
        assert!(matches!(fault(nested.into()).await, DataFault::Interrupted { got: 1, .. }));
    }

    #[tokio::test]
    async fn the_wait_for_digests_is_measured() {
        struct Slow;
        impl crate::digest::Hasher for Slow {
            fn update(&mut self, _: &[u8]) -> Result<(), BodyError> {
                std::thread::sleep(std::time::Duration::from_millis(30));
                Ok(())
            }
            fn finish(self: Box<Self>) -> Result<Vec<u8>, BodyError> {
                Ok(Vec::new())
            }
        }
        let waited = WaitTime::measured();
        let slow = Hashers::new(|_| Some(Box::new(Slow)));
        let expected = Expected { size: None, digest: None, also: BTreeSet::new() };
        let (body, _) = checked_timed(chunks(&["a", "b"]), expected, slow, &waited);
        passed(body).await;
        assert!(waited.total() >= std::time::Duration::from_millis(50), "{waited:?}");
    }

    #[tokio::test]
    async fn a_failing_source_is_named() {
        let failing = stream::iter([Ok(Bytes::from_static(b"a")), Err("reset".into())]);
        let (body, verdict) =
            checked(Body::from_stream(failing, None), expected(3), Hashers::default());
        assert!(passed(body).await.is_empty());
        let reason = "reset".to_owned();
        assert_eq!(verdict.fault(), Some(DataFault::Interrupted { got: 1, reason }));
    }
}
