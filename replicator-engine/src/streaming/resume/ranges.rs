//! Several parts of one image's data, read at once and handed on in their order.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::streaming::abort_on_drop::Task;
use glance_core::body::Body;
use glance_core::error::BodyError;
use glance_core::store::{StoreError, StoreErrorKind};

use super::{Part, Splice, kind_of};

/// The data from one byte to another. Memory holds a part for each stream, and the one that is
/// handed on.
pub(crate) struct Parts {
    splice: Splice,
    /// Where the next part begins that nobody reads yet.
    next: u64,
    end: u64,
    under_way: VecDeque<Task<Result<VecDeque<Bytes>, BodyError>>>,
    /// What was read and is handed on next, and where it begins.
    read: VecDeque<Bytes>,
    passed: u64,
}

/// Why the data does not come in parts.
pub(crate) enum Broken {
    /// The source does not read parts: all from here on is still to come.
    Whole(u64),
    Failed(BodyError),
}

impl Parts {
    pub(crate) async fn begin(splice: &Splice, offset: u64, end: u64) -> Result<Self, StoreError> {
        let mut first = Part::bounded(splice, offset, end.min(offset + LENGTH));
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
                Err(error) if kind_of(&*error) == Some(StoreErrorKind::NoParts) => {
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
            let mut part = Part::bounded(&self.splice, self.next, end);
            self.under_way.push_back(Task::start(async move {
                let data = part.begin().await?;
                whole(part, data).await
            }));
            self.next = end;
        }
    }
}

async fn whole(mut part: Part, mut data: Body) -> Result<VecDeque<Bytes>, BodyError> {
    let mut chunks = VecDeque::new();
    while let Some(chunk) = part.next(&mut data).await? {
        chunks.push_back(chunk);
    }
    match part.end == Some(part.next) {
        true => Ok(chunks),
        false => Err(format!("the data ended at byte {}", part.next).into()),
    }
}

/// Bytes of a part: many for the time that a request takes, few for memory.
pub(crate) const LENGTH: u64 = 8 << 20;
