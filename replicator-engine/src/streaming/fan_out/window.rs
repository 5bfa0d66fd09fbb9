//! The window of data that was read but has not been taken by all followers yet.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;

use crate::spool::SpooledPart;
use glance_core::verified_body::DataFault;

/// The data in memory between the slowest follower, or the spooled data, and the reader.
#[derive(Debug, Default)]
pub(super) struct Window {
    /// Verified data in order, with the offsets of its start and end.
    chunks: VecDeque<Bytes>,
    start: u64,
    end: u64,
    /// The spooled part of the data.
    spooled: SpooledPart,
    /// Whether data that does not fit into memory is spooled.
    spools: bool,
    /// Number of bytes that each follower has taken, by follower number.
    followers: BTreeMap<usize, u64>,
    numbers: usize,
    /// Number of shares that the read still waits for.
    pub(super) awaited: usize,
    /// How the read ended.
    result: Option<Result<(), DataFault>>,
}

/// The next item for a follower.
#[derive(Debug)]
pub(super) enum Next {
    Chunk(Bytes),
    /// The data is in the spool.
    Spooled(SpooledPart),
    /// The data has not been read yet.
    Nothing,
    End,
    Fault(DataFault),
}

impl Window {
    /// A window before the first read. `spools`: spool the data that does not fit into memory.
    pub(super) fn new(awaited: usize, spools: bool) -> Self {
        Self { spools, awaited, ..Self::default() }
    }

    /// Adds a follower at the first byte. `None` if the first byte is no longer available or the
    /// read has failed.
    pub(super) fn follow(&mut self) -> Option<usize> {
        let has_all = self.start == 0 || self.spooled.contains(0);
        if !has_all || matches!(self.result, Some(Err(_))) {
            return None;
        }
        self.numbers += 1;
        self.followers.insert(self.numbers, 0);
        Some(self.numbers)
    }

    /// The next item for a follower that has taken `at` bytes.
    pub(super) fn next(&self, follower: usize, at: u64) -> Next {
        match &self.result {
            Some(Err(fault)) => Next::Fault(fault.clone()),
            _ if !self.followers.contains_key(&follower) => {
                Next::Fault(DataFault::LeftBehind { got: at })
            }
            _ if at < self.start && self.spooled.contains(at) => {
                Next::Spooled(self.spooled.clone())
            }
            _ if at < self.start => Next::Fault(DataFault::LeftBehind { got: at }),
            _ if at < self.end => Next::Chunk(self.chunk(at)),
            Some(Ok(())) => Next::End,
            None => Next::Nothing,
        }
    }

    /// The chunk with byte `at`, starting from that byte.
    fn chunk(&self, at: u64) -> Bytes {
        let mut before = at - self.start;
        for chunk in &self.chunks {
            match before.checked_sub(chunk.len() as u64) {
                Some(rest) => before = rest,
                None => return chunk.slice(usize::try_from(before).unwrap_or_default()..),
            }
        }
        Bytes::new()
    }

    /// Records that a follower has taken `at` bytes. Returns whether this matters to the reader.
    pub(super) fn take(&mut self, follower: usize, at: u64) -> bool {
        self.change(|window| {
            if let Some(so_far) = window.followers.get_mut(&follower) {
                *so_far = at;
            }
        })
    }

    /// Removes a follower. Returns whether this matters to the reader.
    pub(super) fn leave(&mut self, follower: usize) -> bool {
        self.change(|window| window.followers.retain(|number, _| *number != follower))
    }

    fn change(&mut self, change: impl FnOnce(&mut Self)) -> bool {
        let before = (self.has_room(), self.is_held_up());
        change(self);
        self.trim();
        before != (self.has_room(), self.is_held_up())
    }

    /// Drops the chunks that all followers have taken.
    fn trim(&mut self) {
        let Some(last) = self.last() else { return };
        while let Some(first) = self.chunks.front() {
            if self.start + first.len() as u64 > last {
                break;
            }
            self.start += first.len() as u64;
            self.chunks.pop_front();
        }
    }

    fn last(&self) -> Option<u64> {
        self.followers.values().min().copied()
    }

    pub(super) fn push(&mut self, chunk: Bytes) {
        self.end += chunk.len() as u64;
        self.chunks.push_back(chunk);
    }

    pub(super) fn end(&self) -> u64 {
        self.end
    }

    /// Whether the reader should read more.
    pub(super) fn has_room(&self) -> bool {
        let followers = self.followers.values();
        let slowest = if self.spools { followers.max() } else { followers.min() };
        slowest.is_some_and(|at| self.end - at < LENGTH)
    }

    /// The first chunk and its offset, if the window is too large and the chunk should be spooled.
    pub(super) fn overflow(&self) -> Option<(u64, Bytes)> {
        let first =
            self.chunks.front().filter(|_| self.spools && self.end - self.start > LENGTH)?;
        Some((self.start, first.clone()))
    }

    /// Sets the spooled part, and drops chunks that it contains and that do not fit into memory.
    pub(super) fn set_spooled(&mut self, spooled: SpooledPart) {
        self.spooled = spooled;
        while let Some(first) = self.chunks.front() {
            let is_spooled = self.spooled.contains(self.start + first.len() as u64 - 1);
            if !is_spooled || self.end - self.start <= LENGTH {
                break;
            }
            self.start += first.len() as u64;
            self.chunks.pop_front();
        }
    }

    /// Stops spooling. Data that is already spooled stays readable.
    pub(super) fn stop_spooling(&mut self) {
        self.spools = false;
    }

    /// Whether some followers have nothing to take because others are far behind.
    pub(super) fn is_held_up(&self) -> bool {
        !self.has_room() && self.followers.values().any(|at| *at == self.end)
    }

    /// Whether the slow followers have caught up.
    pub(super) fn is_relaxed(&self) -> bool {
        self.last().is_none_or(|at| self.end - at < LENGTH / 2)
    }

    /// Removes the followers that hold up the others. Returns whether there were any.
    pub(super) fn leave_behind(&mut self) -> bool {
        let before = self.followers.len();
        let end = self.end;
        self.followers.retain(|_, at| end - *at < LENGTH);
        self.trim();
        self.followers.len() < before
    }

    /// Records how the read ended. The first result counts.
    pub(super) fn finish(&mut self, result: Result<(), DataFault>) {
        self.result.get_or_insert(result);
    }
}

/// Maximum number of bytes in memory, not counting one chunk.
const LENGTH: u64 = 16 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1 << 20;

    fn mib() -> Bytes {
        Bytes::from(vec![7; MIB])
    }

    #[test]
    fn without_a_disk_there_is_room_as_long_as_the_slowest_is_near() {
        let mut window = Window::new(0, false);
        assert!(!window.has_room(), "nobody follows");
        let fast = window.follow().unwrap();
        let slow = window.follow().unwrap();
        for megabytes in 1..=16 {
            assert!(window.has_room());
            window.push(mib());
            // At 16 MiB the fast follower has to wait for the slow one.
            assert_eq!(window.take(fast, megabytes * MIB as u64), megabytes == 16);
        }
        assert!(!window.has_room() && window.is_held_up() && window.overflow().is_none());
        assert!(window.take(slow, MIB as u64) && window.has_room());
        window.push(mib());
        assert_eq!(window.follow(), None, "the beginning is gone");
        assert!(window.leave_behind() && window.has_room());
        assert!(matches!(window.next(slow, 1), Next::Fault(DataFault::LeftBehind { got: 1 })));
        assert!(matches!(window.next(fast, 16 << 20), Next::Chunk(chunk) if chunk.len() == MIB));
    }

    #[test]
    fn with_a_disk_there_is_room_as_long_as_the_fastest_is_near() {
        let mut window = Window::new(0, true);
        let fast = window.follow().unwrap();
        let _slow = window.follow().unwrap();
        for megabytes in 1..=40 {
            assert!(window.has_room());
            window.push(mib());
            window.take(fast, megabytes * MIB as u64);
        }
        let (at, first) = window.overflow().unwrap();
        assert_eq!((at, first.len()), (0, MIB));
        window.stop_spooling();
        assert!(!window.has_room() && window.overflow().is_none());
    }

    #[test]
    fn a_failure_is_told_at_once_and_an_end_at_the_end() {
        let mut window = Window::new(0, false);
        let one = window.follow().unwrap();
        window.push(mib());
        window.finish(Ok(()));
        window.finish(Err(DataFault::TooLong { size: 1 }));
        assert!(matches!(window.next(one, 10), Next::Chunk(chunk) if chunk.len() == MIB - 10));
        assert!(matches!(window.next(one, MIB as u64), Next::End));
        let mut window = Window::new(0, false);
        let one = window.follow().unwrap();
        window.push(mib());
        assert!(matches!(window.next(one, MIB as u64), Next::Nothing));
        window.finish(Err(DataFault::TooLong { size: 1 }));
        assert!(matches!(window.next(one, 0), Next::Fault(DataFault::TooLong { size: 1 })));
        assert_eq!(window.follow(), None);
    }
}
