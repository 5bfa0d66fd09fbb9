//! Concurrent reads of several parts of one image, delivered in order.
//!
//! The controller decides how many connections read an image. With one, the *front* reads the data
//! and delivers it as it arrives. Further connections read parts *ahead* of the front into memory. As
//! soon as there are any, the front ends where they begin.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::Notify;

use crate::controller::{Connection, PartMemory, Reading};
use crate::streaming::abort_on_drop::Task;
use glance_core::body::Body;
use glance_core::error::BodyError;
use glance_core::store::{StoreError, StoreErrorKind};

use super::ResumableRead;
use super::range_reader::{End, RangeReader, kind_of};

/// The data of an image, read by a changing number of connections. Memory holds the parts that were
/// read ahead, as far as the controller allows.
pub(crate) struct ParallelRanges {
    read: ResumableRead,
    reading: Reading,
    front: Option<Front>,
    ahead: VecDeque<Ahead>,
    /// The chunks to deliver next, of a part that was read ahead.
    ready: VecDeque<Bytes>,
    memory: Option<PartMemory>,
    /// Offset of the first byte that no connection reads.
    next: u64,
    /// Offset of the next byte to deliver.
    delivered: u64,
    end: u64,
    /// Notified when a part was read, so that another one can be started.
    part_read: Arc<Notify>,
}

/// The connection whose data is delivered as it arrives.
struct Front {
    reader: RangeReader,
    data: Body,
    /// Whether the response goes on to the end of the image's data.
    is_whole: bool,
    _connection: Connection,
}

/// A part that is read into memory.
struct Ahead {
    task: Task<Result<VecDeque<Bytes>, BodyError>>,
    memory: PartMemory,
}

/// Why the data can't be read in parts.
pub(crate) enum Broken {
    /// The source does not support range reads; the data from this offset on is still missing.
    Whole(u64),
    Failed(BodyError),
}

impl ParallelRanges {
    /// Begins to read from `offset` to `end`.
    pub(crate) async fn begin(
        read: &ResumableRead,
        reading: Reading,
        offset: u64,
        end: u64,
    ) -> Result<Self, StoreError> {
        let mut ranges = Self {
            read: read.clone(),
            reading,
            front: None,
            ahead: VecDeque::new(),
            ready: VecDeque::new(),
            memory: None,
            next: offset,
            delivered: offset,
            end,
            part_read: Arc::default(),
        };
        ranges.begin_front().await?;
        Ok(ranges)
    }

    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, Broken> {
        loop {
            if let Some(chunk) = self.ready.pop_front() {
                return Ok(Some(self.deliver(chunk)));
            }
            drop(self.memory.take());
            self.start_parts();
            if let Some(front) = &mut self.front {
                match front.reader.next(&mut front.data).await.map_err(Broken::Failed)? {
                    Some(chunk) => return Ok(Some(self.deliver(chunk))),
                    None => self.front = None,
                }
            } else if let Some(first) = self.ahead.front_mut() {
                tokio::select! {
                    part = &mut first.task => self.take(part.unwrap_or_else(|ended| Err(ended.into())))?,
                    () = self.part_read.notified() => {}
                }
            } else if self.next < self.end {
                self.begin_front().await.map_err(|error| self.broken(error.into()))?;
            } else {
                return Ok(None);
            }
        }
    }

    fn deliver(&mut self, chunk: Bytes) -> Bytes {
        self.delivered += chunk.len() as u64;
        chunk
    }

    /// Begins to read the next bytes and to deliver them as they arrive.
    async fn begin_front(&mut self) -> Result<(), StoreError> {
        let is_whole = self.reading.begins_whole();
        let end = match is_whole {
            true => self.end,
            false => self.end.min(self.next + self.reading.part_length()),
        };
        let mut reader = match is_whole {
            true => RangeReader::to_end(&self.read, self.next, Some(end)),
            false => RangeReader::of_range(&self.read, self.next, end),
        };
        let connection = self.reading.front();
        let data = reader.begin().await?;
        self.next = end;
        self.front = Some(Front { reader, data, is_whole, _connection: connection });
        Ok(())
    }

    /// Starts parts as far as the controller allows.
    fn start_parts(&mut self) {
        self.rejoin();
        loop {
            let length = self.reading.part_length();
            let Some(begin) = self.begin_of_part(length) else {
                return self.reading.set_hungry(false);
            };
            let Some((connection, memory)) = self.reading.part(self.ahead.len(), length) else {
                return;
            };
            if let Some(front) = self.front.as_mut().filter(|_| self.next == self.end) {
                front.reader.end = End::OfRange(begin);
            }
            self.next = self.end.min(begin + length);
            let part = RangeReader::of_range(&self.read, begin, self.next);
            let (read, controller) = (Arc::clone(&self.part_read), self.read.controller.clone());
            let task = Task::start(async move {
                let chunks = whole(part).await;
                drop(connection);
                if chunks.as_ref().is_err_and(is_undivided) {
                    controller.set_undivided();
                }
                read.notify_one();
                chunks
            });
            self.ahead.push_back(Ahead { task, memory });
        }
    }

    /// The first byte of the next part. `None` if all other data is being read already.
    fn begin_of_part(&self, length: u64) -> Option<u64> {
        if self.next < self.end {
            return Some(self.next);
        }
        let front = self.front.as_ref()?;
        let reads_all = matches!(front.reader.end, End::OfData(_));
        let begin = front.reader.next + length;
        (reads_all && begin + length <= self.end).then_some(begin)
    }

    /// Lets the front read everything, if the source turned out not to read parts.
    fn rejoin(&mut self) {
        let Some(front) = self.front.as_mut().filter(|front| front.is_whole) else { return };
        if self.read.controller.is_undivided() && !self.ahead.is_empty() {
            self.ahead.clear();
            front.reader.end = End::OfData(self.end);
            self.next = self.end;
        }
    }

    /// Takes the first part that was read ahead.
    fn take(&mut self, part: Result<VecDeque<Bytes>, BodyError>) -> Result<(), Broken> {
        let memory = self.ahead.pop_front().map(|ahead| ahead.memory);
        self.ready = part.map_err(|error| self.broken(error))?;
        self.memory = memory;
        Ok(())
    }

    fn broken(&mut self, error: BodyError) -> Broken {
        match is_undivided(&error) {
            true => {
                self.ahead.clear();
                Broken::Whole(self.delivered)
            }
            false => Broken::Failed(error),
        }
    }
}

async fn whole(mut part: RangeReader) -> Result<VecDeque<Bytes>, BodyError> {
    let mut data = part.begin().await?;
    let mut chunks = VecDeque::new();
    while let Some(chunk) = part.next(&mut data).await? {
        chunks.push_back(chunk);
    }
    if part.end.offset() != Some(part.next) {
        return Err(format!("the data ended after {} bytes", part.next).into());
    }
    Ok(chunks)
}

/// Whether the source can't read parts.
fn is_undivided(error: &BodyError) -> bool {
    kind_of(&**error) == Some(StoreErrorKind::RangesUnsupported)
}
