//! Reports what `verify` does.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::{Stream, StreamExt};

use glance_core::body::Body;
use glance_core::error::BodyError;
use glance_core::image::Image;

use super::{Event, Events, Side, Throttle};

impl Events {
    /// The same data. While the data is read, [`Event::Reading`] is sent at most ten times a second,
    /// and once more when the data ends or is dropped.
    pub fn reading(&self, image: &Image, from: Side, data: Body) -> Body {
        if !self.is_received() {
            return data;
        }
        let (size, digests) = (data.size(), data.digests().cloned());
        let (events, image) = (self.clone(), image.clone());
        let reading =
            Reading { data, events, image, side: from, read: 0, throttle: Throttle::default() };
        Body::from_stream(reading, size).carrying(digests)
    }
}

/// Data that is read to verify an image.
struct Reading {
    data: Body,
    events: Events,
    image: Image,
    side: Side,
    read: u64,
    throttle: Throttle,
}

impl Reading {
    fn tell(&self, done: bool) {
        let (image, side, read) = (&self.image, self.side, self.read);
        self.events.send(&Event::Reading { image, side, read, done });
    }
}

impl Stream for Reading {
    type Item = Result<Bytes, BodyError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let polled = self.data.poll_next_unpin(context);
        if let Poll::Ready(Some(Ok(chunk))) = &polled {
            self.read += chunk.len() as u64;
        }
        if self.throttle.passes() {
            self.tell(false);
        }
        polled
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        self.tell(true);
    }
}

/// Counts the images that are compared.
pub(crate) struct Compared<'a> {
    events: &'a Events,
    images: u64,
    throttle: Throttle,
}

impl<'a> Compared<'a> {
    pub(crate) fn by(events: &'a Events) -> Self {
        Self { events, images: 0, throttle: Throttle::default() }
    }

    /// Counts one image more.
    pub(crate) fn count(&mut self) {
        self.images += 1;
        if self.events.is_received() && self.throttle.passes() {
            self.events.send(&Event::Compared { images: self.images });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    use futures_util::TryStreamExt;
    use glance_core::image::{Attributes, ImageId};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn reading_is_reported_ten_times_a_second_and_at_the_end() {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&seen);
        let events = Events::to(move |event| {
            if let Event::Reading { read, done, .. } = event {
                log.lock().unwrap().push((*read, *done));
            }
        });
        let chunks = futures_util::stream::unfold(0, |number| async move {
            tokio::time::sleep(Duration::from_millis(40)).await;
            (number < 6).then(|| (Ok(Bytes::from_static(b"abc")), number + 1))
        });
        let image = Image::queued(ImageId::random(), Attributes::default());
        let data = events.reading(&image, Side::Source, Body::from_stream(chunks, Some(18)));
        let read: Vec<Bytes> = data.try_collect().await.unwrap();
        assert_eq!(read.concat().len(), 18);
        assert_eq!(*seen.lock().unwrap(), [(0, false), (9, false), (18, false), (18, true)]);
    }

    #[tokio::test(start_paused = true)]
    async fn compared_images_are_counted_ten_times_a_second() {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&seen);
        let events = Events::to(move |event| {
            if let Event::Compared { images } = event {
                log.lock().unwrap().push(*images);
            }
        });
        let mut compared = Compared::by(&events);
        for _ in 0..10 {
            compared.count();
            tokio::time::advance(Duration::from_millis(30)).await;
        }
        assert_eq!(*seen.lock().unwrap(), [1, 5, 9]);
    }
}
