//! The checked body: every byte on its way to a target passes it.
//!
//! It counts and hashes while the bytes pass and keeps the last chunk back until size and digest
//! agree, so that data that is not the source's never completes an upload: the target sees a
//! body that breaks off.

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use futures_util::stream::{self, StreamExt};

use crate::body::Body;
use crate::digest::{Algorithm, Awaited, Digests, Hashers, Hashing};
use crate::error::BodyError;
use crate::image::Image;

/// What the source says its data is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected {
    /// Bytes.
    pub size: Option<u64>,
    /// The digest that proves it: `os_hash_value`, or `checksum` when that is all there is. None
    /// for data that the source never hashed.
    pub digest: Option<(Algorithm, String)>,
    /// Digests that somebody else will compare.
    pub also: BTreeSet<Algorithm>,
}

impl Expected {
    /// What `image`'s record says.
    pub fn of(image: &Image) -> Self {
        let os_hash = image.os_hash_algo.as_ref().zip(image.os_hash_value.as_ref());
        let os_hash = os_hash.and_then(|(algorithm, value)| Some((algorithm.parse().ok()?, value)));
        let md5 = image.checksum.as_ref().map(|value| (Algorithm::Md5, value));
        let digest = os_hash.or(md5).map(|(algorithm, value)| (algorithm, value.clone()));
        Self { size: image.size, digest, also: BTreeSet::new() }
    }

    /// The digests to compute: the one that proves the data and those that are asked for, or
    /// Glance's default where there is none, so that the target's copy can be proven at least.
    fn algorithms(&self) -> BTreeSet<Algorithm> {
        let own = self.digest.as_ref().map(|(algorithm, _)| *algorithm);
        let all: BTreeSet<Algorithm> = self.also.iter().copied().chain(own).collect();
        match all.is_empty() {
            true => [Algorithm::Sha512].into(),
            false => all,
        }
    }
}

/// What was wrong with data on its way.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DataFault {
    /// The source's image is another one now, of which no more is read.
    #[error("the source changed the image after {got} bytes: {change}")]
    Changed {
        /// Bytes that came.
        got: u64,
        /// What is different.
        change: String,
    },
    /// The source ended before the size it had announced.
    #[error("the source cut the data short, after {got} of {size} bytes")]
    CutShort {
        /// Bytes announced.
        size: u64,
        /// Bytes that came.
        got: u64,
    },
    /// What the source keeps is not whole, or not what its record says. It does not get better when it
    /// is read again.
    #[error("the source's data is damaged, seen after {got} bytes: {reason}")]
    Damaged {
        /// Bytes before the damage.
        got: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// The digest is another than the one in the source's record.
    #[error("the data from the source has the {algorithm} {got}, its record says {wanted}")]
    Digest {
        /// The algorithm of both.
        algorithm: Algorithm,
        /// The record's.
        wanted: String,
        /// The data's.
        got: String,
    },
    /// The target took it so slowly that the other targets of the same reading would have waited.
    #[error("the others did not wait for it after {got} bytes")]
    LeftBehind {
        /// Bytes that it took.
        got: u64,
    },
    /// Data that is to be kept for a while can't be.
    #[error("cannot keep it in {}: {reason}", directory.display())]
    Spool {
        /// Where it was to be kept.
        directory: PathBuf,
        /// What the filesystem said.
        reason: String,
    },
    /// Reading from the source failed.
    #[error("the source stopped sending after {got} bytes: {reason}")]
    Interrupted {
        /// Bytes that came.
        got: u64,
        /// What the reading said.
        reason: String,
    },
    /// The source sent more than the size it had announced.
    #[error("the source sent more than the {size} bytes of its record")]
    TooLong {
        /// Bytes announced.
        size: u64,
    },
}

/// What was found of the data, known once it has passed. It stands beside the stream, because a
/// fault of the source surfaces as a failure of the target's upload.
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

    /// The digests of data that passed as a whole.
    pub fn digests(&self) -> Option<&Digests> {
        self.digests.get()
    }

    /// The verdict of one of many who are given the same data: about faults of its own, too.
    pub fn shared(&self) -> Self {
        Self { digests: self.digests.clone(), fault: Arc::default() }
    }

    /// Takes down what was wrong with the data, and returns it as the error of a body.
    pub fn fail(&self, fault: DataFault) -> BodyError {
        let _ = self.fault.set(fault.clone());
        fault.into()
    }
}

/// Passes `data` on while checking it against `expected`. A digest that `hashers` don't offer
/// never agrees. The body carries the digests that are computed, so that a store need not compute
/// them again.
pub fn checked(data: Body, expected: Expected, hashers: Hashers) -> (Body, DataVerdict) {
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
}

impl Check {
    /// Yields the chunk before the one it reads, or the last one after the verdict.
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
                Some(Err(error)) => {
                    let fault = error.downcast().map_or_else(
                        |error| DataFault::Interrupted {
                            got: self.passed,
                            reason: innermost(&*error),
                        },
                        |fault| *fault,
                    );
                    return Err(self.verdict.fail(fault));
                }
                None => {
                    self.judge().await?;
                    return Ok(self.held.take().map(|last| (last, self)));
                }
            }
        }
    }

    async fn take(&mut self, chunk: &Bytes) -> Result<(), BodyError> {
        self.passed += chunk.len() as u64;
        match self.expected.size {
            Some(size) if self.passed > size => Err(self.verdict.fail(DataFault::TooLong { size })),
            _ => {
                if let Some(hashing) = &mut self.hashing {
                    hashing.update(chunk).await;
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
        let digests = hashing.finish().await?;
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

/// The message at the bottom of an error chain.
fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut deepest = error;
    while let Some(source) = deepest.source() {
        deepest = source;
    }
    deepest.to_string()
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

    /// What came through before the end or the failure.
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
    async fn a_failing_source_is_named() {
        let failing = stream::iter([Ok(Bytes::from_static(b"a")), Err("reset".into())]);
        let (body, verdict) =
            checked(Body::from_stream(failing, None), expected(3), Hashers::default());
        assert!(passed(body).await.is_empty());
        let reason = "reset".to_owned();
        assert_eq!(verdict.fault(), Some(DataFault::Interrupted { got: 1, reason }));
    }
}
