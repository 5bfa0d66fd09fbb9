//! Threads that take the chunks of a body beside the body's way.
//!
//! A thread that has caught up sleeps, and chunks are small: each may be what one read of a socket
//! gave. So they go to the thread in batches, and it is woken once for each.

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinHandle};

/// A thread that takes chunks, and what comes of them.
///
/// Must be made inside a tokio runtime. Dropping it ends the chunks; the thread goes on with those
/// that were sent.
#[derive(Debug)]
pub struct Lane<T> {
    chunks: Sender,
    thread: JoinHandle<T>,
}

impl<T: Send + 'static> Lane<T> {
    /// Starts `work` on all chunks that will be sent.
    pub fn start(work: impl FnOnce(Chunks) -> T + Send + 'static) -> Self {
        let (batches, queue) = mpsc::channel(BATCHES_AHEAD);
        let chunks = Chunks { queue, batch: Vec::new().into_iter() };
        let thread = tokio::task::spawn_blocking(move || work(chunks));
        Self { chunks: Sender { batch: Vec::new(), size: 0, batches }, thread }
    }

    /// Hands on a chunk; waits while the thread is too far behind. Says whether it takes any more:
    /// one that does not has come to its end.
    pub async fn send(&mut self, chunk: Bytes) -> bool {
        self.chunks.size += chunk.len();
        self.chunks.batch.push(chunk);
        self.chunks.size < BATCH || self.chunks.send_batch().await
    }

    /// What came of all chunks.
    ///
    /// # Errors
    /// When the thread was ended from outside.
    pub async fn finish(mut self) -> Result<T, JoinError> {
        self.chunks.send_batch().await;
        drop(self.chunks);
        self.thread.await
    }
}

/// The side where chunks are sent.
#[derive(Debug)]
struct Sender {
    batch: Vec<Bytes>,
    /// Bytes in the batch.
    size: usize,
    batches: mpsc::Sender<Vec<Bytes>>,
}

impl Sender {
    async fn send_batch(&mut self) -> bool {
        let Ok(room) = self.batches.reserve().await else { return false };
        room.send(std::mem::take(&mut self.batch));
        self.size = 0;
        true
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        // There is no room where the thread is far behind: then the end of what came is missing.
        let _ = self.batches.try_send(std::mem::take(&mut self.batch));
    }
}

/// The chunks that a thread takes, in their order. It waits for each.
#[derive(Debug)]
pub struct Chunks {
    queue: mpsc::Receiver<Vec<Bytes>>,
    batch: std::vec::IntoIter<Bytes>,
}

impl Iterator for Chunks {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(chunk) = self.batch.next() {
                return Some(chunk);
            }
            self.batch = self.queue.blocking_recv()?.into_iter();
        }
    }
}

/// Bytes that go to a thread at once.
const BATCH: usize = 512 << 10;

/// Batches that may wait for it.
const BATCHES_AHEAD: usize = 12;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn all_chunks_come_in_their_order() {
        let mut lane = Lane::start(|chunks| chunks.collect::<Vec<_>>().concat());
        let chunks: Vec<Bytes> = (0..100_u8).map(|n| vec![n; BATCH / 7].into()).collect();
        for chunk in &chunks {
            assert!(lane.send(chunk.clone()).await);
        }
        assert!(lane.finish().await.unwrap() == chunks.concat());
    }

    #[tokio::test]
    async fn what_was_sent_before_a_drop_comes() {
        let (whole, dropped) = tokio::sync::oneshot::channel();
        let mut lane = Lane::start(|chunks| whole.send(chunks.collect::<Vec<_>>()));
        lane.send(Bytes::from_static(b"abc")).await;
        drop(lane);
        assert_eq!(dropped.await.unwrap(), ["abc"]);
    }

    #[tokio::test]
    async fn a_thread_that_ended_takes_no_more() {
        let mut lane = Lane::start(|mut chunks| chunks.next());
        let chunk = Bytes::from(vec![7; BATCH]);
        while lane.send(chunk.clone()).await {}
        assert_eq!(lane.finish().await.unwrap(), Some(chunk));
    }
}
