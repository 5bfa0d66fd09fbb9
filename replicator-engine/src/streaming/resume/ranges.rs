//! Concurrent reads of several byte ranges of one image, delivered in order.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::streaming::abort_on_drop::Task;
use glance_core::body::Body;
use glance_core::error::BodyError;
use glance_core::store::{StoreError, StoreErrorKind};

use super::ResumableRead;
use super::range_reader::{RangeReader, kind_of};

/// A byte range of an image's data, read as several concurrent parts. Memory holds one part per
/// stream, plus the part that is being delivered.
pub(crate) struct ParallelRanges {
    read: ResumableRead,
    /// The offset of the first part that has not been requested yet.
    next: u64,
    end: u64,
    in_progress: VecDeque<Task<Result<VecDeque<Bytes>, BodyError>>>,
    /// The chunks to deliver next, and the offset of the first.
    ready: VecDeque<Bytes>,
    delivered: u64,
}

/// Why the data can't be read in parts.
pub(crate) enum Broken {
    /// The source does not support range reads; the data from this offset on is still missing.
    Whole(u64),
    Failed(BodyError),
}

impl ParallelRanges {
    pub(crate) async fn begin(
        read: &ResumableRead,
        offset: u64,
        end: u64,
    ) -> Result<Self, StoreError> {
        let mut first = RangeReader::of_range(read, offset, end.min(offset + LENGTH));
        let data = first.begin().await?;
        Ok(Self {
            read: read.clone(),
            next: end.min(offset + LENGTH),
            end,
            in_progress: VecDeque::from([Task::start(whole(first, data))]),
            ready: VecDeque::new(),
            delivered: offset,
        })
    }

    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, Broken> {
        loop {
            if let Some(chunk) = self.ready.pop_front() {
                self.delivered += chunk.len() as u64;
                return Ok(Some(chunk));
            }
            self.start();
            let Some(part) = self.in_progress.pop_front() else { return Ok(None) };
            match part.await.unwrap_or_else(|ended| Err(ended.into())) {
                Ok(chunks) => self.ready = chunks,
                Err(error) if kind_of(&*error) == Some(StoreErrorKind::RangesUnsupported) => {
                    self.in_progress.clear();
                    return Err(Broken::Whole(self.delivered));
                }
                Err(error) => return Err(Broken::Failed(error)),
            }
        }
    }

    fn start(&mut self) {
        while self.in_progress.len() < self.read.streams && self.next < self.end {
            let end = self.end.min(self.next + LENGTH);
            let mut part = RangeReader::of_range(&self.read, self.next, end);
            self.in_progress.push_back(Task::start(async move {
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
    if part.end.offset() != Some(part.next) {
        return Err(format!("the data ended after {} bytes", part.next).into());
    }
    Ok(chunks)
}

/// Size of a part in bytes: large compared with the cost of a request, small compared with memory.
pub(crate) const LENGTH: u64 = 8 << 20;
