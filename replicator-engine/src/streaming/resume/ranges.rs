//! Concurrent reads of several byte ranges of one image, delivered in order.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::streaming::abort_on_drop::Task;
use glance_core::body::Body;
use glance_core::error::BodyError;
use glance_core::store::{StoreError, StoreErrorKind};

use super::{RangeReader, ResumableRead, kind_of};

/// A byte range of an image's data, read as several concurrent parts. Memory holds one part per
/// stream, plus the part that is being delivered.
pub(crate) struct ParallelRanges {
    splice: ResumableRead,
    /// The offset of the first part that has not been requested yet.
    next: u64,
    end: u64,
    under_way: VecDeque<Task<Result<VecDeque<Bytes>, BodyError>>>,
    /// The chunks to deliver next, and the offset of the first.
    read: VecDeque<Bytes>,
    passed: u64,
}

/// Why the data can't be read in parts.
pub(crate) enum Broken {
    /// The source does not support range reads; the data from this offset on is still missing.
    Whole(u64),
    Failed(BodyError),
}

impl ParallelRanges {
    pub(crate) async fn begin(
        splice: &ResumableRead,
        offset: u64,
        end: u64,
    ) -> Result<Self, StoreError> {
        let mut first = RangeReader::bounded(splice, offset, end.min(offset + LENGTH));
        let data = first.begin().await?;
        Ok(Self {
            splice: splice.clone(),
            next: end.min(offset + LENGTH),
            end,
            under_way: VecDeque::from([Task::start(whole(first, data))]),
            read: VecDeque::new(),
            passed: offset,
        })
    }

    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, Broken> {
        loop {
            if let Some(chunk) = self.read.pop_front() {
                self.passed += chunk.len() as u64;
                return Ok(Some(chunk));
            }
            self.start();
            let Some(part) = self.under_way.pop_front() else { return Ok(None) };
            match part.await.unwrap_or_else(|ended| Err(ended.into())) {
                Ok(read) => self.read = read,
                Err(error) if kind_of(&*error) == Some(StoreErrorKind::RangesUnsupported) => {
                    self.under_way.clear();
                    return Err(Broken::Whole(self.passed));
                }
                Err(error) => return Err(Broken::Failed(error)),
            }
        }
    }

    fn start(&mut self) {
        while self.under_way.len() < self.splice.streams && self.next < self.end {
            let end = self.end.min(self.next + LENGTH);
            let mut part = RangeReader::bounded(&self.splice, self.next, end);
            self.under_way.push_back(Task::start(async move {
                let data = part.begin().await?;
                whole(part, data).await
            }));
            self.next = end;
        }
    }
}

async fn whole(mut part: RangeReader, mut data: Body) -> Result<VecDeque<Bytes>, BodyError> {
    let mut chunks = VecDeque::new();
    while let Some(chunk) = part.next(&mut data).await? {
        chunks.push_back(chunk);
    }
    match part.end == Some(part.next) {
        true => Ok(chunks),
        false => Err(format!("the data ended at byte {}", part.next).into()),
    }
}

/// Size of a part in bytes: large compared with the cost of a request, small compared with memory.
pub(crate) const LENGTH: u64 = 8 << 20;
