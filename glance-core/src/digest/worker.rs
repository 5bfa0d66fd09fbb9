//! Worker threads that receive the chunks of a body next to the stream.
//!
//! A thread that has caught up sleeps, and a chunk can be as small as one read from a socket.
//! Chunks are therefore sent in batches, with one wake-up per batch.

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinHandle};

/// A thread that receives chunks over a bounded queue and returns a result.
///
/// Must be created inside a tokio runtime. Dropping the value closes the queue; the thread still
/// processes the chunks that were sent.
#[derive(Debug)]
pub struct ChunkWorker<T> {
    chunks: Sender,
    thread: JoinHandle<T>,
}

impl<T: Send + 'static> ChunkWorker<T> {
    /// Starts a thread that runs `work` on all chunks to be sent.
    pub fn start(work: impl FnOnce(Chunks) -> T + Send + 'static) -> Self {
        let (batches, queue) = mpsc::channel(BATCHES_AHEAD);
        let chunks = Chunks { queue, batch: Vec::new().into_iter() };
        let thread = tokio::task::spawn_blocking(move || work(chunks));
        Self { chunks: Sender { batch: Vec::new(), size: 0, batches }, thread }
    }

    /// Sends a chunk; waits while the queue is full. Returns whether the thread accepts more
    /// chunks: a thread that does not has ended.
    pub async fn send(&mut self, chunk: Bytes) -> bool {
        self.chunks.size += chunk.len();
        self.chunks.batch.push(chunk);
        self.chunks.size < BATCH || self.chunks.send_batch().await
    }

    /// Waits for the result of the thread.
    ///
    /// # Errors
    /// When the thread was aborted or panicked.
    pub async fn finish(mut self) -> Result<T, JoinError> {
        self.chunks.send_batch().await;
        drop(self.chunks);
        self.thread.await
    }
}

/// The sending side of the queue.
#[derive(Debug)]
struct Sender {
    batch: Vec<Bytes>,
    /// Bytes in the current batch.
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
        // If the queue is full, the last batch is lost.
        let _ = self.batches.try_send(std::mem::take(&mut self.batch));
    }
}

/// The receiving side of the queue: yields the chunks in order and blocks until the next one
/// arrives.
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

/// The size in bytes from which a batch is sent.
const BATCH: usize = 512 << 10;

/// The number of batches that the queue holds.
const BATCHES_AHEAD: usize = 12;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn all_chunks_come_in_their_order() {
        let mut lane = ChunkWorker::start(|chunks| chunks.collect::<Vec<_>>().concat());
        let chunks: Vec<Bytes> = (0..100_u8).map(|n| vec![n; BATCH / 7].into()).collect();
        for chunk in &chunks {
            assert!(lane.send(chunk.clone()).await);
        }
        assert!(lane.finish().await.unwrap() == chunks.concat());
    }

    #[tokio::test]
    async fn what_was_sent_before_a_drop_comes() {
        let (whole, dropped) = tokio::sync::oneshot::channel();
        let mut lane = ChunkWorker::start(|chunks| whole.send(chunks.collect::<Vec<_>>()));
        lane.send(Bytes::from_static(b"abc")).await;
        drop(lane);
        assert_eq!(dropped.await.unwrap(), ["abc"]);
    }

    #[tokio::test]
    async fn a_thread_that_ended_takes_no_more() {
        let mut lane = ChunkWorker::start(|mut chunks| chunks.next());
        let chunk = Bytes::from(vec![7; BATCH]);
        while lane.send(chunk.clone()).await {}
        assert_eq!(lane.finish().await.unwrap(), Some(chunk));
    }
}
