//! One reading of an image's data, or of a range of it, that resumes after interruptions.

use std::error::Error;

use bytes::Bytes;
use futures_util::stream::StreamExt;

use glance_core::body::Body;
use glance_core::error::{BodyError, causes};
use glance_core::store::{ByteRange, StoreError, StoreErrorKind};
use glance_core::transport::TransportError;
use glance_core::verified_body::{DataFault, is_damage};

use crate::events::{Retry, Side, reason_of_store};

use super::ResumableRead;

/// The rest of an image's data, or of one range of it.
pub(super) struct RangeReader {
    read: ResumableRead,
    /// Offset of the next byte.
    pub(super) next: u64,
    pub(super) end: End,
    attempts: Attempts,
}

/// Where the data of a [`RangeReader`] ends.
#[derive(Clone, Copy)]
pub(super) enum End {
    Unknown,
    /// The end of the image's data. Requests have no end.
    OfData(u64),
    /// The end of a range. Requests end there, too.
    OfRange(u64),
}

impl End {
    /// The offset after the last byte, if known.
    pub(super) fn offset(self) -> Option<u64> {
        match self {
            Self::Unknown => None,
            Self::OfData(end) | Self::OfRange(end) => Some(end),
        }
    }
}

/// The meaning of one item of a response.
enum Event {
    /// Data, which may be empty or longer than the range.
    Chunk(Bytes),
    /// All data has arrived.
    Done,
    /// The response broke off.
    Broken(BodyError),
}

impl RangeReader {
    /// Reads to the end of the image's data, at `end` if that is known.
    pub(super) fn to_end(read: &ResumableRead, next: u64, end: Option<u64>) -> Self {
        Self::new(read, next, end.map_or(End::Unknown, End::OfData))
    }

    /// Reads the range from `next` to `end`.
    pub(super) fn of_range(read: &ResumableRead, next: u64, end: u64) -> Self {
        Self::new(read, next, End::OfRange(end))
    }

    fn new(read: &ResumableRead, next: u64, end: End) -> Self {
        Self { read: read.clone(), next, end, attempts: Attempts::new(next) }
    }

    pub(super) async fn begin(&mut self) -> Result<Body, StoreError> {
        loop {
            match self.request().await {
                Err(error) if error.kind.is_retryable() && self.may_try_again() => {
                    self.pause(&error).await;
                }
                answer => return answer,
            }
        }
    }

    /// The next chunk. Replaces `data` with a new response when it breaks off.
    pub(super) async fn next(&mut self, data: &mut Body) -> Result<Option<Bytes>, BodyError> {
        loop {
            // The response may be longer than the range that was requested.
            if matches!(self.end, End::OfRange(end) if end == self.next) {
                return Ok(None);
            }
            match self.classify(data.next().await) {
                Event::Chunk(chunk) if chunk.is_empty() => {}
                Event::Chunk(chunk) => return Ok(Some(self.advance(chunk))),
                Event::Done => return Ok(None),
                Event::Broken(error) => match self.resume(error).await? {
                    Some(rest) => *data = rest,
                    None => return Ok(None),
                },
            }
        }
    }

    fn classify(&self, item: Option<Result<Bytes, BodyError>>) -> Event {
        let missing = self.end.offset().map(|end| end.saturating_sub(self.next));
        match item {
            Some(Ok(chunk)) => Event::Chunk(chunk),
            None if missing.unwrap_or(0) == 0 => Event::Done,
            None => Event::Broken("the data ended early".into()),
            // An error after the last byte is harmless, except for an empty body: there, no byte
            // has arrived.
            Some(Err(_)) if missing == Some(0) && self.next > 0 => Event::Done,
            Some(Err(error)) => Event::Broken(error),
        }
    }

    /// Moves past `chunk`, and cuts off bytes beyond the range.
    fn advance(&mut self, mut chunk: Bytes) -> Bytes {
        if let End::OfRange(end) = self.end {
            chunk.truncate(usize::try_from(end - self.next).unwrap_or(usize::MAX));
        }
        self.read.controller.arrived(chunk.len());
        self.next += chunk.len() as u64;
        self.attempts.advance(self.next);
        chunk
    }

    /// Requests the rest of the data after `failure`, until the retries are used up. `None` if the
    /// source has no more data; the verifying body then reports the wrong size.
    async fn resume(&mut self, mut failure: BodyError) -> Result<Option<Body>, BodyError> {
        while is_retryable(&*failure) && self.may_try_again() {
            self.pause(&*failure).await;
            failure = match self.request_again().await {
                Ok(data) => return Ok(Some(data)),
                Err(error) => error,
            };
        }
        if kind_of(&*failure) == Some(StoreErrorKind::Range) {
            return Ok(None);
        }
        Err(failure)
    }

    /// Requests the rest of the data, if the image is still the same.
    async fn request_again(&self) -> Result<Body, BodyError> {
        let ResumableRead { source, image, .. } = &self.read;
        let now = source.get(&image.id).await?;
        match self.read.change(&now) {
            Some(change) => Err(DataFault::Changed { got: self.next, change }.into()),
            None => Ok(self.request().await?),
        }
    }

    async fn request(&self) -> Result<Body, StoreError> {
        let length = match self.end {
            End::OfRange(end) => Some(end - self.next),
            End::OfData(_) | End::Unknown => None,
        };
        let range = ByteRange { offset: self.next, length };
        self.read.source.read(&self.read.image.id, range).await
    }

    fn may_try_again(&self) -> bool {
        self.attempts.failures < self.read.retries.low_level
    }

    async fn pause(&mut self, failure: &(dyn Error + Send + Sync + 'static)) {
        let id = &self.read.image.id;
        tracing::info!(image = %id, "the read stopped at byte {}: {failure}; resuming", self.next);
        let (failures, retries) = (self.attempts.failures, self.read.retries);
        let pause = retries.pauses.pause(failures);
        let reason = match failure.downcast_ref::<StoreError>() {
            Some(error) => reason_of_store(error),
            None => failure.to_string(),
        };
        let retry = Retry::after(failures, retries.low_level, pause, reason);
        self.read.meter.retrying(Side::Source, &retry);
        tokio::time::sleep(pause).await;
        self.attempts.fail(self.next);
    }
}

/// The consecutive attempts that yielded almost no data.
struct Attempts {
    failures: usize,
    /// The offset at which `failures` is reset. Without this threshold, a source that sends one
    /// byte before each long silence could delay a run forever.
    progress_mark: u64,
}

impl Attempts {
    fn new(offset: u64) -> Self {
        Self { failures: 0, progress_mark: offset }
    }

    fn advance(&mut self, offset: u64) {
        if offset >= self.progress_mark {
            self.failures = 0;
        }
    }

    fn fail(&mut self, offset: u64) {
        self.failures += 1;
        self.progress_mark = offset + ENOUGH;
    }
}

/// Number of bytes that count as progress: the most that a single read returns.
const ENOUGH: u64 = 64 << 10;

/// Whether a retry may help after this error of a body.
fn is_retryable(failure: &(dyn Error + Send + Sync + 'static)) -> bool {
    let transport = causes(failure).find_map(|error| error.downcast_ref::<TransportError>());
    match (kind_of(failure), transport) {
        (Some(kind), _) => kind.is_retryable(),
        (None, Some(error)) => error.kind.is_retryable(),
        (None, None) => !failure.is::<DataFault>() && !is_damage(failure),
    }
}

/// The kind of the store's error in this error of a body, if there is one.
pub(super) fn kind_of(failure: &(dyn Error + Send + Sync + 'static)) -> Option<StoreErrorKind> {
    causes(failure).find_map(|error| error.downcast_ref::<StoreError>()).map(|error| error.kind)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::policy::Policy;
    use glance_core::image::{Attributes, Image, ImageId};
    use glance_core::store::ImageStore;
    use glance_core::store::memory::MemoryStore;

    fn event(next: u64, end: End, item: Option<Result<Bytes, BodyError>>) -> &'static str {
        let source: Arc<dyn ImageStore> = Arc::new(MemoryStore::new("source"));
        let image = Image::queued(ImageId::random(), Attributes::default());
        let read = ResumableRead::new(&source, &image, &Policy::default());
        match RangeReader::new(&read, next, end).classify(item) {
            Event::Chunk(_) => "chunk",
            Event::Done => "done",
            Event::Broken(_) => "broken",
        }
    }

    #[test]
    fn an_end_or_an_error_is_the_end_only_if_no_byte_is_missing() {
        let failure = || Some(Err("cut".into()));
        for end in [End::OfData(5), End::OfRange(5)] {
            assert_eq!(event(4, end, None), "broken");
            assert_eq!(event(5, end, None), "done");
            assert_eq!(event(4, end, failure()), "broken");
            assert_eq!(event(5, end, failure()), "done");
            assert_eq!(event(5, end, Some(Ok(Bytes::new()))), "chunk");
        }
        assert_eq!(event(7, End::OfData(5), None), "done");
        assert_eq!(event(5, End::Unknown, None), "done");
        assert_eq!(event(5, End::Unknown, failure()), "broken");
        // The data may be empty, but no response has arrived completely.
        assert_eq!(event(0, End::OfData(0), failure()), "broken");
    }
}
