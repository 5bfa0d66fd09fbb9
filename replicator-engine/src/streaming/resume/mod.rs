//! Resumable reads: the data of one image as one body, across several connections.

use std::sync::Arc;

use futures_util::future::FutureExt;
use futures_util::stream::{self, StreamExt};

use glance_core::body::Body;
use glance_core::error::BodyError;
use glance_core::image::Image;
use glance_core::store::{ImageStore, StoreError, StoreErrorKind};

use crate::comparison::{Difference, content_difference};
use crate::controller::{Controller, LONGEST_PART, Reading};
use crate::events::Meter;
use crate::policy::{Policy, Retries};
use glance_core::rate_limit::BandwidthLimits;

mod range_reader;
mod ranges;

use range_reader::{End, RangeReader};
use ranges::{Broken, ParallelRanges};

/// Reads the data of one image. When a read breaks off, the reader checks that the image is
/// unchanged and requests the rest.
#[derive(Debug, Clone)]
pub(crate) struct ResumableRead {
    source: Arc<dyn ImageStore>,
    image: Arc<Image>,
    retries: Retries,
    /// Number of parts that are read at once, unless the controller adjusts it.
    streams: usize,
    controller: Controller,
    bandwidth: BandwidthLimits,
    meter: Meter,
}

impl ResumableRead {
    pub(crate) fn new(source: &Arc<dyn ImageStore>, image: &Image, policy: &Policy) -> Self {
        Self {
            source: Arc::clone(source),
            image: Arc::new(image.clone()),
            retries: policy.retries,
            streams: policy.streams,
            controller: policy.controller.clone(),
            bandwidth: policy.bandwidth.clone(),
            meter: Meter::default(),
        }
    }

    /// The same, measured by `meter`.
    pub(crate) fn metered(self, meter: &Meter) -> Self {
        let bandwidth = self.bandwidth.timed(&meter.bandwidth());
        Self { bandwidth, meter: meter.clone(), ..self }
    }

    /// Reads the data from `offset` on.
    ///
    /// # Errors
    /// When the source refuses the first request.
    pub(crate) async fn read(&self, offset: u64) -> Result<Body, StoreError> {
        let data = self.meter.source().during(self.begin(offset).boxed()).await?;
        Ok(self.bandwidth.read(self.meter.arriving(offset, data)))
    }

    async fn begin(&self, offset: u64) -> Result<Body, StoreError> {
        match self.image.size {
            // A range request for the byte after the last would fail.
            Some(end) if offset == end && offset > 0 => Ok(Body::empty()),
            // Range requests do not return data beyond the recorded size, so a digest must prove
            // that the data is complete.
            Some(end)
                if self.image.digests().next().is_some()
                    && end.saturating_sub(offset) > LONGEST_PART =>
            {
                match self.controller.reading(self.streams) {
                    Some(reading) => self.in_parts(reading, offset, end).await,
                    None => self.in_one(offset).await,
                }
            }
            _ => self.in_one(offset).await,
        }
    }

    async fn in_one(&self, offset: u64) -> Result<Body, StoreError> {
        let connection = self.controller.connection();
        let mut reader = RangeReader::to_end(self, offset, self.image.size);
        let data = reader.begin().await?;
        if let (End::Unknown, Some(size)) = (reader.end, data.size()) {
            reader.end = End::OfData(offset.saturating_add(size));
        }
        let size = reader.end.offset().map(|end| end.saturating_sub(offset));
        let state = (reader, data, connection);
        let chunks = stream::try_unfold(state, |(mut reader, mut data, connection)| async move {
            let chunk = reader.next(&mut data).await?;
            Ok::<_, BodyError>(chunk.map(|chunk| (chunk, (reader, data, connection))))
        });
        Ok(Body::from_stream(chunks, size))
    }

    /// Reads several parts at once. Falls back to one read if the source does not support ranges.
    async fn in_parts(&self, reading: Reading, offset: u64, end: u64) -> Result<Body, StoreError> {
        let parts = match ParallelRanges::begin(self, reading, offset, end).await {
            Err(error) if error.kind == StoreErrorKind::RangesUnsupported => {
                return self.in_one(offset).await;
            }
            parts => parts?,
        };
        let state = (self.clone(), Ok(parts));
        let chunks = stream::try_unfold(state, |(read, mut data)| async move {
            loop {
                let chunk = match &mut data {
                    Ok(parts) => parts.next().await,
                    Err(rest) => Body::next(rest).await.transpose().map_err(Broken::Failed),
                };
                match chunk {
                    Ok(chunk) => return Ok::<_, BodyError>(chunk.map(|it| (it, (read, data)))),
                    Err(Broken::Whole(offset)) => data = Err(read.in_one(offset).await?),
                    Err(Broken::Failed(error)) => return Err(error),
                }
            }
        });
        Ok(Body::from_stream(chunks, Some(end - offset)))
    }

    /// The first difference between the image as it was at the start and as it is now.
    fn change(&self, now: &Image) -> Option<String> {
        let differs =
            |field: &str, was: String, is: String| format!("the {field} was {was} and is now {is}");
        if !now.status.has_data() {
            let was = self.image.status.to_string();
            return Some(differs("status", was, now.status.to_string()));
        }
        if let Some(Difference { field, source, target }) = content_difference(&self.image, now) {
            return Some(differs(&field, source.to_string(), target.to_string()));
        }
        let was = self.image.created_at.clone()?;
        let is = now.created_at.clone()?;
        (was != is).then(|| differs("time of creation", was, is))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use bytes::Bytes;

    use super::*;
    use crate::controller::Adjustment;
    use crate::events::Pace;
    use crate::testing::{FaultySource, Ranges, data};
    use glance_core::store::ByteRange;
    use glance_core::transport::backoff::Backoff;

    fn policy(streams: usize) -> Policy {
        let retries = Retries { low_level: 2, pauses: Backoff::NONE, ..Retries::default() };
        Policy { retries, streams, ..Policy::default() }
    }

    async fn read(
        flaky: &Arc<FaultySource>,
        image: &Image,
        streams: usize,
    ) -> Result<Bytes, String> {
        let source = Arc::clone(flaky) as Arc<dyn ImageStore>;
        let data = ResumableRead::new(&source, image, &policy(streams));
        let body = data.read(0).await.map_err(|error| error.to_string())?;
        assert_eq!(body.size(), image.size);
        body.collect(usize::MAX).await.map_err(|error| error.to_string())
    }

    #[tokio::test]
    async fn what_broke_off_goes_on_where_it_broke_off() {
        let length = 3 << 20;
        let (flaky, image) = FaultySource::with_image(length).await;
        let flaky = Arc::new(flaky.breaks(20, 100_000));
        assert!(read(&flaky, &image, 1).await.unwrap() == data(length));
        assert_eq!((flaky.given(), flaky.asked()), (length as u64, 21));
        let offsets: Vec<u64> = flaky.asked.lock().unwrap().iter().map(|it| it.offset).collect();
        assert_eq!(offsets, (0..21).map(|it| it * 100_000).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn without_a_new_byte_there_is_an_end_to_it() {
        let (flaky, image) = FaultySource::with_image(1000).await;
        let flaky = Arc::new(flaky.breaks(3, 0));
        let error = read(&flaky, &image, 1).await.unwrap_err();
        assert_eq!((error.as_str(), flaky.asked()), ("it broke off on purpose", 3));
        flaky.refusals.store(2, Ordering::SeqCst);
        assert!(read(&flaky, &image, 1).await.unwrap() == data(1000));
        flaky.refusals.store(3, Ordering::SeqCst);
        let error = read(&flaky, &image, 1).await.unwrap_err();
        assert!(error.contains("on purpose"), "{error}");
    }

    #[tokio::test]
    async fn a_byte_now_and_then_is_no_reason_to_ask_for_ever() {
        let (flaky, image) = FaultySource::with_image(1000).await;
        let flaky = Arc::new(flaky.breaks(1000, 1));
        let error = read(&flaky, &image, 1).await.unwrap_err();
        assert_eq!((error.as_str(), flaky.asked()), ("the data ended early", 3));
    }

    #[tokio::test]
    async fn nothing_of_another_image_is_read() {
        let (flaky, image) = FaultySource::with_image(1000).await;
        let flaky = Arc::new(flaky.breaks(1, 400));
        let other = Image { checksum: Some("0".repeat(32)), os_hash_value: None, ..image };
        let error = read(&flaky, &other, 1).await.unwrap_err();
        assert!(error.starts_with("the source changed the image after 400 bytes: the checksum"));
        assert_eq!(flaky.asked(), 1);
        let gone = FaultySource::with_image(1000).await.0.breaks(1, 400);
        let image = FaultySource::with_image(1000).await.1;
        let error = read(&Arc::new(gone), &image, 1).await.unwrap_err();
        assert!(error.contains("there is no such image"), "{error}");
    }

    #[tokio::test]
    async fn parts_that_are_read_at_once_come_in_order_and_outlive_breaks() {
        let length = 5 * usize::try_from(LONGEST_PART).unwrap() + 12_345;
        let (flaky, image) = FaultySource::with_image(length).await;
        let flaky = Arc::new(flaky.breaks(7, 1_000_000));
        assert!(read(&flaky, &image, 3).await.unwrap() == data(length));
        assert_eq!((flaky.given(), flaky.asked()), (length as u64, 6 + 7));
        // No request goes beyond the end of the data.
        assert!(flaky.asked.lock().unwrap().iter().all(|range| range.length.is_some()));
    }

    #[tokio::test]
    async fn a_source_without_parts_is_read_in_one() {
        let length = 3 * usize::try_from(LONGEST_PART).unwrap();
        let (flaky, image) = FaultySource::with_image(length).await;
        let flaky = Arc::new(FaultySource { ranges: Ranges::NotInTheMiddle, ..flaky });
        assert!(read(&flaky, &image, 2).await.unwrap() == data(length));
        assert_eq!(flaky.given(), length as u64);
    }

    #[tokio::test]
    async fn a_record_that_promises_too_much_is_no_reason_to_ask_for_ever() {
        for streams in [1, 2] {
            let (flaky, image) = FaultySource::with_image(9 << 20).await;
            let flaky = Arc::new(flaky);
            let image = Image { size: Some(20 << 20), ..image };
            let read = read(&flaky, &image, streams).await;
            assert!(read.is_err() || read.is_ok_and(|bytes| bytes.len() == 9 << 20));
            assert!(flaky.asked() < 9);
        }
    }

    /// A controller that adjusts the number of connections, and has chosen this one.
    fn adjusting(readers: usize, memory: u64) -> Controller {
        let adjustment = Adjustment { streams: true, memory, ..Adjustment::default() };
        let controller = Controller::new(adjustment);
        controller.set_pace(Pace { images: 1, readers });
        controller
    }

    async fn read_adjusted(
        flaky: &Arc<FaultySource>,
        image: &Image,
        controller: &Controller,
        mut each_chunk: impl FnMut(u64),
    ) -> Vec<u8> {
        let source = Arc::clone(flaky) as Arc<dyn ImageStore>;
        let policy = Policy { controller: controller.clone(), ..policy(1) };
        let mut body = ResumableRead::new(&source, image, &policy).read(0).await.unwrap();
        let mut all = Vec::new();
        while let Some(chunk) = body.next().await {
            all.extend_from_slice(&chunk.unwrap());
            each_chunk(all.len() as u64);
        }
        all
    }

    #[tokio::test]
    async fn an_adjusted_reading_begins_with_one_request_and_goes_on_with_as_many_as_allowed() {
        let length = 40 << 20;
        let (flaky, image) = FaultySource::with_image(length).await;
        let flaky = Arc::new(flaky);
        let controller = adjusting(1, u64::MAX);
        controller.set_part_length(1 << 20);
        let mut most = 0;
        let read = read_adjusted(&flaky, &image, &controller, |bytes| {
            if bytes == 1 << 20 {
                assert_eq!((flaky.asked(), controller.connections()), (1, 1));
            }
            let readers = match bytes >> 20 {
                5..20 => 4,
                _ => 1,
            };
            controller.set_pace(Pace { images: 1, readers });
            most = most.max(controller.connections());
        });
        assert!(read.await == data(length));
        let asked = flaky.asked.lock().unwrap().clone();
        assert_eq!((asked[0], most), (ByteRange::ALL, 4));
        // Parts follow each other, and at the end one request reads the rest.
        assert!(asked.len() > 5 && asked.last().unwrap().length.is_none(), "{asked:?}");
        assert_eq!((controller.connections(), controller.memory()), (0, 0));
    }

    #[tokio::test]
    async fn an_adjusted_reading_of_a_source_without_parts_stays_with_one_request() {
        let length = 40 << 20;
        let (flaky, image) = FaultySource::with_image(length).await;
        let flaky = Arc::new(FaultySource { ranges: Ranges::NotInTheMiddle, ..flaky });
        let controller = adjusting(8, u64::MAX);
        for _ in 0..2 {
            let read = read_adjusted(&flaky, &image, &controller, |_| ());
            assert!(read.await == data(length));
        }
        let parts = flaky.asked.lock().unwrap().iter().filter(|it| it.length.is_some()).count();
        assert!((1..8).contains(&parts), "{parts} parts were requested");
        assert_eq!(controller.memory(), 0);
    }

    #[tokio::test]
    async fn the_memory_for_parts_is_limited_and_breaks_do_no_harm() {
        let length = 60 << 20;
        let (flaky, image) = FaultySource::with_image(length).await;
        let flaky = Arc::new(flaky.breaks(9, 1_000_000));
        let controller = adjusting(16, 24 << 20);
        let mut most = 0;
        let read = read_adjusted(&flaky, &image, &controller, |_| {
            most = most.max(controller.memory());
        });
        assert!(read.await == data(length));
        // Two parts of 8 MiB with their buffers.
        assert_eq!((most, controller.memory()), (22 << 20, 0));
    }

    /// The image with a record without digests, and with this size.
    fn undigested(image: Image, size: u64) -> Image {
        Image { size: Some(size), checksum: None, os_hash_value: None, ..image }
    }

    #[tokio::test]
    async fn a_failure_before_the_first_byte_is_no_end_of_an_empty_image() {
        let (flaky, image) = FaultySource::with_image(1000).await;
        let flaky = Arc::new(flaky.breaks(1, 0));
        let error = read(&flaky, &undigested(image, 0), 1).await.unwrap_err();
        assert!(error.contains("the size was 0 and is now 1000"), "{error}");
    }

    #[tokio::test]
    async fn without_a_digest_nothing_behind_the_parts_is_left_unread() {
        let (flaky, image) = FaultySource::with_image(20 << 20).await;
        let flaky = Arc::new(flaky);
        let read = read(&flaky, &undigested(image, 19 << 20), 2).await.unwrap();
        assert_eq!((read.len(), flaky.asked()), (20 << 20, 1));
    }
}
