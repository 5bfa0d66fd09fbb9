//! Counts the connections that read from the source, the images in progress, and their memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use super::Controller;
use super::climb::Sample;

/// An image that is read in parts. It is counted until it is dropped.
#[derive(Debug)]
pub(crate) struct Reading {
    controller: Controller,
    /// Number of connections, unless it is adjusted.
    fixed: usize,
    /// Connections that read this image.
    working: Arc<AtomicUsize>,
    is_hungry: bool,
}

/// A connection that reads from the source. It is counted until it is dropped.
#[derive(Debug)]
pub(crate) struct Connection {
    controller: Controller,
    /// The connections that read the same image.
    working: Arc<AtomicUsize>,
}

/// Memory for a part of an image. It is counted until it is dropped.
#[derive(Debug)]
pub(crate) struct PartMemory(#[expect(dead_code, reason = "dropping it frees the memory")] Memory);

/// Memory for an image in progress.
#[derive(Debug)]
pub(crate) struct Room(Memory);

/// An image in progress. It is counted until it is dropped.
#[derive(Debug)]
pub(crate) struct InProgress(Memory);

#[derive(Debug)]
struct Memory {
    controller: Controller,
    bytes: u64,
}

impl Controller {
    /// Begins to read an image that may be read in parts. `None` if the source can't read parts, or
    /// if a single connection is to read the image.
    pub(crate) fn reading(&self, fixed: usize) -> Option<Reading> {
        let may_divide = fixed > 1 || self.0.adjustment.streams;
        if !may_divide || self.is_undivided() {
            return None;
        }
        self.0.readings.fetch_add(1, Relaxed);
        let (controller, working) = (self.clone(), Arc::default());
        Some(Reading { controller, fixed, working, is_hungry: false })
    }

    /// Counts a connection that reads from the source.
    pub(crate) fn connection(&self) -> Connection {
        self.connection_of(&Arc::default())
    }

    fn connection_of(&self, working: &Arc<AtomicUsize>) -> Connection {
        self.0.connections.fetch_add(1, Relaxed);
        working.fetch_add(1, Relaxed);
        Connection { controller: self.clone(), working: Arc::clone(working) }
    }

    /// Records that the source can't read parts.
    pub(crate) fn set_undivided(&self) {
        self.0.is_undivided.store(true, Relaxed);
    }

    /// Whether the source can't read parts.
    pub(crate) fn is_undivided(&self) -> bool {
        self.0.is_undivided.load(Relaxed)
    }

    /// Counts bytes that arrived from the source.
    pub(crate) fn arrived(&self, bytes: usize) {
        self.0.arrived.fetch_add(bytes as u64, Relaxed);
    }

    /// Memory for another image in progress. `None` if there is not enough. The first image needs
    /// none, so that a run always goes on. A number that the operator chose needs none, either.
    pub(crate) fn room(&self) -> Option<Room> {
        let bytes = match self.0.images.load(Relaxed) {
            _ if !self.0.adjustment.transfers => 0,
            0 => 0,
            _ => self.reserve(IMAGE).then_some(IMAGE)?,
        };
        Some(Room(Memory { controller: self.clone(), bytes }))
    }

    /// Chooses the length of parts: short ones on slow connections, so that a part is read in a few
    /// seconds, and a change of the pace has an effect soon; and so short that there is memory for
    /// the parts that are read and for as many that wait.
    pub(super) fn set_part(&self, sample: &Sample) {
        let readers = u64::try_from(sample.working.readers.max(1)).unwrap_or(u64::MAX);
        #[expect(clippy::cast_precision_loss, reason = "a few readers")]
        let bytes = sample.rate / readers as f64 * PART_TIME.as_secs_f64();
        #[expect(
            clippy::cast_sign_loss,
            clippy::cast_possible_truncation,
            reason = "it is clamped"
        )]
        let bytes = (bytes as u64).min(self.0.adjustment.memory / readers / 3);
        let mib = bytes >> 20;
        self.0.part.store((mib << 20).clamp(SHORTEST_PART, LONGEST_PART), Relaxed);
    }

    /// Takes memory if there is enough.
    fn reserve(&self, bytes: u64) -> bool {
        let most = self.0.adjustment.memory;
        let take = |used: u64| used.checked_add(bytes).filter(|sum| *sum <= most);
        self.0.memory.fetch_update(Relaxed, Relaxed, take).is_ok()
    }
}

impl Room {
    /// Begins an image.
    pub(crate) fn begin(self) -> InProgress {
        self.0.controller.0.images.fetch_add(1, Relaxed);
        InProgress(self.0)
    }
}

impl Reading {
    /// Whether the reading begins with one connection for all of the data.
    pub(crate) fn begins_whole(&self) -> bool {
        self.controller.0.adjustment.streams
    }

    /// The length of the next part in bytes.
    pub(crate) fn part_length(&self) -> u64 {
        match self.controller.0.adjustment.streams {
            true => self.controller.0.part.load(Relaxed),
            false => LONGEST_PART,
        }
    }

    /// Counts the connection that reads the image from its front on, whatever the pace.
    pub(crate) fn front(&self) -> Connection {
        self.controller.connection_of(&self.working)
    }

    /// Another connection for a part of this length, and the memory for it. `None` if the pace or
    /// the memory does not allow it. `ahead` is the number of parts that are not delivered yet.
    pub(crate) fn part(&mut self, ahead: usize, length: u64) -> Option<(Connection, PartMemory)> {
        self.set_hungry(true);
        let controller = &self.controller;
        // With its buffers, a part was measured to take up to three eighths more than its data.
        let bytes = length + length / 8 * 3;
        if !self.allows(ahead) || !controller.reserve(bytes) {
            return None;
        }
        let memory = Memory { controller: controller.clone(), bytes };
        Some((controller.connection_of(&self.working), PartMemory(memory)))
    }

    /// Records whether the image could use another connection.
    pub(crate) fn set_hungry(&mut self, is_hungry: bool) {
        let hungry = &self.controller.0.hungry;
        match (self.is_hungry, is_hungry) {
            (false, true) => hungry.fetch_add(1, Relaxed),
            (true, false) => hungry.fetch_sub(1, Relaxed),
            _ => return,
        };
        self.is_hungry = is_hungry;
    }

    /// Whether another part may be read. Parts that were read wait in memory for those before them,
    /// so that one slow connection does not stop the others; but not many of them, since more would
    /// only wait for the target.
    fn allows(&self, ahead: usize) -> bool {
        let (shared, working) = (&self.controller.0, self.working.load(Relaxed));
        let (share, has_free) = if shared.adjustment.streams {
            let readers = shared.pace.borrow().readers;
            let share = readers.div_ceil(shared.readings.load(Relaxed).max(1));
            (share, shared.connections.load(Relaxed) < readers)
        } else {
            (self.fixed, true)
        };
        // A single connection delivers its data as it arrives, and needs no parts.
        let is_shared = share > 1 && !self.controller.is_undivided();
        is_shared && has_free && working < share && ahead < (share * 2).max(LEAST_AHEAD)
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        self.set_hungry(false);
        self.controller.0.readings.fetch_sub(1, Relaxed);
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.controller.0.connections.fetch_sub(1, Relaxed);
        self.working.fetch_sub(1, Relaxed);
    }
}

impl Drop for InProgress {
    fn drop(&mut self) {
        self.0.controller.0.images.fetch_sub(1, Relaxed);
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        self.controller.0.memory.fetch_sub(self.bytes, Relaxed);
    }
}

/// Memory of an image in progress: the queues of its digests and its connections.
const IMAGE: u64 = 8 << 20;

/// Number of parts that may wait, even for few connections: a new connection on a long link takes
/// many seconds until it is fast.
const LEAST_AHEAD: usize = 16;

/// The time in which a part should be read.
const PART_TIME: Duration = Duration::from_secs(4);

/// The length of a part in bytes: large compared with the cost of a request, small compared with
/// memory.
const SHORTEST_PART: u64 = 1 << 20;
pub(crate) const LONGEST_PART: u64 = 8 << 20;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controller::Adjustment;

    #[test]
    fn the_memory_limits_only_an_adjusted_number_of_images() {
        let begun = |transfers| {
            let adjustment = Adjustment { transfers, memory: 20 << 20, ..Adjustment::default() };
            let controller = Controller::new(adjustment);
            let rooms = (0..7).map_while(|_| controller.room().map(Room::begin));
            rooms.collect::<Vec<InProgress>>().len()
        };
        // The first image needs no memory, and each other 8 MiB.
        assert_eq!((begun(true), begun(false)), (3, 7));
    }
}
