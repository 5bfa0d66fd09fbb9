//! Reads the listings ahead of the work, and counts the listed images.

use std::pin::pin;
use std::time::Duration;

use futures_util::future::{Either, select};
use futures_util::stream::{Stream, StreamExt};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::events::{Event, Events};
use crate::pairing::merge_join::Pair;
use crate::running::listings::PairsOfId;

/// The pairs of `listing` in their order, and the work that reads them. Both must be polled: the
/// work reads ahead of the stream, so that the size of the run is known early.
pub(crate) fn read_ahead(
    mut listing: impl Stream<Item = PairsOfId> + Unpin,
    events: &Events,
) -> (impl Stream<Item = PairsOfId>, impl Future<Output = ()>) {
    let capacity = if events.is_received() { AHEAD } else { 1 };
    let (sender, mut listed) = mpsc::channel(capacity);
    let mut count = Count::of(events.clone());
    let reading = async move {
        while let Some(pairs) = listing.next().await {
            count.add(&pairs);
            if sender.send(pairs).await.is_err() {
                return;
            }
        }
        count.report(true);
    };
    (futures_util::stream::poll_fn(move |context| listed.poll_recv(context)), reading)
}

/// Does the work, and reads ahead meanwhile. What is unread when the work is done stays unread.
pub(crate) async fn while_working(reading: impl Future<Output = ()>, work: impl Future<Output = ()>) {
    if let Either::Right(((), work)) = select(pin!(work), pin!(reading)).await {
        work.await;
    }
}

/// The images listed so far.
struct Count {
    events: Events,
    images: u64,
    bytes: u64,
    missing: u64,
    missing_bytes: u64,
    /// When the count was reported last.
    reported: Option<Instant>,
}

impl Count {
    fn of(events: Events) -> Self {
        Self { events, images: 0, bytes: 0, missing: 0, missing_bytes: 0, reported: None }
    }

    /// Counts one image, listed with its pair at each target.
    fn add(&mut self, pairs: &PairsOfId) {
        let pairs = || pairs.iter().filter_map(|(_, pair)| pair.as_ref().ok());
        let Some(image) = pairs().find_map(Pair::at_source) else { return };
        self.images += 1;
        self.bytes = self.bytes.saturating_add(image.size.unwrap_or(0));
        if let Some(image) = pairs().find_map(Pair::missing) {
            self.missing += 1;
            self.missing_bytes = self.missing_bytes.saturating_add(image.size.unwrap_or(0));
        }
        if self.reported.is_none_or(|reported| reported.elapsed() >= INTERVAL) {
            self.report(false);
        }
    }

    fn report(&mut self, done: bool) {
        let Self { images, bytes, missing, missing_bytes, .. } = *self;
        self.events.send(&Event::Listed { images, bytes, missing, missing_bytes, done });
        self.reported = Some(Instant::now());
    }
}

/// Number of images that are listed ahead of the work: some megabytes of records.
const AHEAD: usize = 1000;

/// The least time between two reports of the count.
const INTERVAL: Duration = Duration::from_millis(100);
