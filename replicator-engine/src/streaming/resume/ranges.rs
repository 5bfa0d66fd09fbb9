//! Concurrent reads of several parts of one image, delivered in order.
//!
//! The controller decides how many connections read an image. With one, the *front* reads the data
//! and delivers it as it arrives. Further connections read parts *ahead* of the front into memory. As
//! soon as there are any, the front ends where they begin.
//!
//! Parts are delivered in order, so that one slow connection could stop all others: they would fill
//! the memory and wait. A connection without work therefore takes over the rear half of the part
//! that is delivered next, if that part is slow.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep};

use crate::controller::{Connection, PartMemory, Reading, SHORTEST_PART};
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
    speed: Speed,
    _connection: Connection,
}

/// A part that is read into memory.
struct Ahead {
    task: Task<Result<VecDeque<Bytes>, BodyError>>,
    extent: Arc<Extent>,
    speed: Speed,
    memory: PartMemory,
}

/// What is left of a part. Its end moves forward when another connection takes over its rear.
struct Extent(Mutex<Rest>);

#[derive(Clone, Copy)]
struct Rest {
    /// Offset of the next byte.
    next: u64,
    end: u64,
}

impl Extent {
    fn rest(&self) -> Rest {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records that a chunk has arrived, and cuts off what another connection reads.
    fn take(&self, chunk: &mut Bytes) {
        let mut rest = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        chunk.truncate(usize::try_from(rest.end - rest.next).unwrap_or(usize::MAX));
        rest.next += chunk.len() as u64;
    }

    /// Gives the rear half away, if the part is slow.
    fn split(&self, speed: &mut Speed) -> Option<Rest> {
        let mut rest = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let rear = speed.rear(*rest)?;
        rest.end = rear.next;
        Some(rear)
    }
}

/// Where a connection began, or was when it gave work away, and when.
struct Speed {
    begin: u64,
    since: Instant,
}

impl Speed {
    fn from(begin: u64) -> Self {
        Self { begin, since: Instant::now() }
    }

    /// The rear half of what is left, if it is long enough for a part, and the connection would
    /// work on all of it for longer than [`SLOW`].
    fn rear(&mut self, Rest { next, end }: Rest) -> Option<Rest> {
        let elapsed = self.since.elapsed();
        #[expect(clippy::cast_precision_loss, reason = "an estimate")]
        let (done, left) = ((next - self.begin) as f64, (end - next) as f64);
        let is_slow = elapsed >= SLOW && left * elapsed.as_secs_f64() > done * SLOW.as_secs_f64();
        let rear = Rest { next: next + (end - next) / 2, end };
        if !is_slow || end - rear.next < SHORTEST_PART {
            return None;
        }
        *self = Self::from(next);
        Some(rear)
    }
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
                    () = sleep(SLOW) => {}
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
        let speed = Speed::from(reader.next);
        self.front = Some(Front { reader, data, is_whole, speed, _connection: connection });
        Ok(())
    }

    /// Starts parts as far as the controller allows.
    fn start_parts(&mut self) {
        self.rejoin();
        loop {
            let length = self.reading.part_length();
            let Some(begin) = self.begin_of_part(length) else {
                self.reading.set_hungry(false);
                break;
            };
            let Some((connection, memory)) = self.reading.part(self.ahead.len(), length) else {
                break;
            };
            if let Some(front) = self.front.as_mut().filter(|_| self.next == self.end) {
                front.reader.end = End::OfRange(begin);
            }
            self.next = self.end.min(begin + length);
            let part = self.part(Rest { next: begin, end: self.next }, connection, memory);
            self.ahead.push_back(part);
        }
        self.split_first();
    }

    /// Lets a connection without work take over the rear of the part that is delivered next, if that
    /// part is slow.
    fn split_first(&mut self) {
        if self.ahead.is_empty() {
            return;
        }
        let Some(connection) = self.reading.helper() else { return };
        let (rear, memory) = match (&mut self.front, self.ahead.front_mut()) {
            (Some(front), _) => {
                let End::OfRange(end) = front.reader.end else { return };
                let rest = Rest { next: front.reader.next, end };
                let Some(rear) = front.speed.rear(rest) else { return };
                let Some(memory) = self.reading.memory(rear.end - rear.next) else { return };
                front.reader.end = End::OfRange(rear.next);
                (rear, memory)
            }
            (None, Some(first)) => {
                let Some(rear) = first.extent.split(&mut first.speed) else { return };
                (rear, first.memory.split())
            }
            (None, None) => return,
        };
        let part = self.part(rear, connection, memory);
        let place = usize::from(self.front.is_none());
        self.ahead.insert(place, part);
    }

    /// Begins to read a part into memory.
    fn part(&self, rest: Rest, connection: Connection, memory: PartMemory) -> Ahead {
        let part = RangeReader::of_range(&self.read, rest.next, rest.end);
        let (read, controller) = (Arc::clone(&self.part_read), self.read.controller.clone());
        let extent = Arc::new(Extent(Mutex::new(rest)));
        let reading = whole(part, Arc::clone(&extent));
        let task = Task::start(async move {
            let chunks = reading.await;
            drop(connection);
            if chunks.as_ref().is_err_and(is_undivided) {
                controller.set_undivided();
            }
            read.notify_one();
            chunks
        });
        Ahead { task, extent, speed: Speed::from(rest.next), memory }
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

/// Reads a part until its end, wherever that moves.
async fn whole(mut part: RangeReader, extent: Arc<Extent>) -> Result<VecDeque<Bytes>, BodyError> {
    let mut data = part.begin().await?;
    let mut chunks = VecDeque::new();
    loop {
        let rest = extent.rest();
        if rest.next == rest.end {
            return Ok(chunks);
        }
        part.end = End::OfRange(rest.end);
        match part.next(&mut data).await? {
            Some(mut chunk) => {
                extent.take(&mut chunk);
                chunks.push_back(chunk);
            }
            None => return Err(format!("the data ended after {} bytes", part.next).into()),
        }
    }
}

/// A connection that will work on a part for longer is slow.
const SLOW: Duration = Duration::from_secs(2);

/// Whether the source can't read parts.
fn is_undivided(error: &BodyError) -> bool {
    kind_of(&**error) == Some(StoreErrorKind::RangesUnsupported)
}
