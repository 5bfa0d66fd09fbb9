//! Reads the listings ahead of the work, and counts the listed images.

use futures_util::future::{BoxFuture, FutureExt};
use futures_util::stream::{self, BoxStream, StreamExt};
use tokio::sync::mpsc;

use crate::events::{Event, Events, Throttle};
use crate::pairing::merge_join::Pair;
use crate::running::listings::PairsOfId;

/// The pairs of `listing`, counted as they are listed.
pub(crate) fn counted<'a>(
    listing: BoxStream<'a, PairsOfId>,
    events: &Events,
) -> BoxStream<'a, PairsOfId> {
    let state = (listing, Count::of(events.clone()));
    let counted = stream::unfold(state, |(mut listing, mut count)| async move {
        let pairs = listing.next().await;
        match &pairs {
            Some(pairs) => count.add(pairs),
            None => count.report(true),
        }
        Some((pairs?, (listing, count)))
    });
    counted.boxed()
}

/// The pairs of `listing` in their order, and the work that reads them. Both must be polled: the
/// work reads ahead of the stream, so that the size of the run is known early.
pub(crate) fn read_ahead(
    mut listing: BoxStream<'_, PairsOfId>,
) -> (BoxStream<'_, PairsOfId>, BoxFuture<'_, ()>) {
    let (sender, mut listed) = mpsc::channel(AHEAD);
    let reading = async move {
        while let Some(pairs) = listing.next().await {
            if sender.send(pairs).await.is_err() {
                return;
            }
        }
    };
    (stream::poll_fn(move |context| listed.poll_recv(context)).boxed(), reading.boxed())
}

/// The images listed so far.
struct Count {
    events: Events,
    images: u64,
    bytes: u64,
    missing: u64,
    missing_bytes: u64,
    throttle: Throttle,
}

impl Count {
    fn of(events: Events) -> Self {
        Self {
            events,
            images: 0,
            bytes: 0,
            missing: 0,
            missing_bytes: 0,
            throttle: Throttle::default(),
        }
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
        if self.throttle.passes() {
            self.report(false);
        }
    }

    fn report(&self, done: bool) {
        let Self { images, bytes, missing, missing_bytes, .. } = *self;
        self.events.send(&Event::Listed { images, bytes, missing, missing_bytes, done });
    }
}

/// Number of images that are listed ahead of the work: some megabytes of records.
const AHEAD: usize = 1000;
