//! The data of one image as one body, which outlives the connections that it comes by.

use std::error::Error;
use std::iter::successors;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream::{self, StreamExt};

use crate::body::{Body, BodyError};
use crate::image::Image;
use crate::store::{ByteRange, ImageStore, StoreError, StoreErrorKind};
use crate::transport::TransportError;

use super::checked::DataFault;
use super::plan::content_difference;
use super::{Pacing, Policy, Retries};

/// Reads the data of one image. When it breaks off, the source is asked for the rest, after it was
/// asked whether the image is still the same.
#[derive(Debug, Clone)]
pub(super) struct Splice {
    source: Arc<dyn ImageStore>,
    image: Arc<Image>,
    retries: Retries,
    pacing: Pacing,
}

impl Splice {
    pub(super) fn new(source: &Arc<dyn ImageStore>, image: &Image, policy: &Policy) -> Self {
        Self {
            source: Arc::clone(source),
            image: Arc::new(image.clone()),
            retries: policy.retries,
            pacing: policy.pacing.clone(),
        }
    }

    /// The data from `offset` on, which has begun to come.
    ///
    /// # Errors
    /// When the source does not give it.
    pub(super) async fn read(&self, offset: u64) -> Result<Body, StoreError> {
        let mut part =
            Part { splice: self.clone(), next: offset, end: self.image.size, failures: 0 };
        let data = part.begin().await?;
        part.end = part.end.or(data.size().map(|size| offset + size));
        let size = part.end.map(|end| end.saturating_sub(offset));
        let chunks = stream::try_unfold((part, data), |(mut part, mut data)| async move {
            let chunk = part.next(&mut data).await?;
            Ok::<_, BodyError>(chunk.map(|chunk| (chunk, (part, data))))
        });
        Ok(self.pacing.read(Body::from_stream(chunks, size)))
    }

    /// How the image at the source is not the one that it was.
    fn change(&self, now: &Image) -> Option<String> {
        let differs =
            |field: &str, was: String, is: String| format!("its {field} was {was} and is {is}");
        if !now.status.has_data() {
            let was = self.image.status.to_string();
            return Some(differs("status", was, now.status.to_string()));
        }
        if let Some(found) = content_difference(&self.image, now) {
            return Some(differs(&found.field, found.source.to_string(), found.target.to_string()));
        }
        let (was, is) = (self.image.created_at.clone()?, now.created_at.clone()?);
        (was != is).then(|| differs("time of creation", was, is))
    }
}

/// What is still to come of an image's data.
struct Part {
    splice: Splice,
    /// The next byte.
    next: u64,
    /// The byte after the last, where that is known.
    end: Option<u64>,
    /// How often in a row no byte came.
    failures: usize,
}

impl Part {
    async fn begin(&mut self) -> Result<Body, StoreError> {
        loop {
            match self.ask().await {
                Err(error) if error.kind.is_retryable() && self.may_try_again() => {
                    self.pause(&error).await;
                }
                answer => return answer,
            }
        }
    }

    /// The next chunk; `data` is replaced when it breaks off.
    async fn next(&mut self, data: &mut Body) -> Result<Option<Bytes>, BodyError> {
        loop {
            let failure = match data.next().await {
                Some(Ok(chunk)) if chunk.is_empty() => continue,
                Some(Ok(chunk)) => {
                    self.next += chunk.len() as u64;
                    self.failures = 0;
                    return Ok(Some(chunk));
                }
                // What fails after the last byte takes nothing away.
                _ if self.end.is_some_and(|end| self.next >= end) => return Ok(None),
                None if self.end.is_none() => return Ok(None),
                None => "the data ended early".into(),
                Some(Err(error)) => error,
            };
            match self.resume(failure).await {
                Ok(rest) => *data = rest,
                // There is no more than what came: who counts will say so.
                Err(error) if kind_of(&*error) == Some(StoreErrorKind::Range) => return Ok(None),
                Err(error) => return Err(error),
            }
        }
    }

    /// Asks for what did not come because of `failure`, as long as there is hope.
    async fn resume(&mut self, mut failure: BodyError) -> Result<Body, BodyError> {
        while is_retryable(&*failure) && self.may_try_again() {
            self.pause(&*failure).await;
            failure = match self.ask_again().await {
                Ok(data) => return Ok(data),
                Err(error) => error,
            };
        }
        Err(failure)
    }

    async fn ask_again(&self) -> Result<Body, BodyError> {
        let Splice { source, image, .. } = &self.splice;
        let now = source.get(&image.id).await?;
        match self.splice.change(&now) {
            Some(change) => Err(DataFault::Changed { got: self.next, change }.into()),
            None => Ok(self.ask().await?),
        }
    }

    async fn ask(&self) -> Result<Body, StoreError> {
        let range = ByteRange { offset: self.next, length: None };
        self.splice.source.read(&self.splice.image.id, range).await
    }

    fn may_try_again(&self) -> bool {
        self.failures < self.splice.retries.low_level
    }

    async fn pause(&mut self, failure: &(dyn Error + Send + Sync)) {
        let id = &self.splice.image.id;
        tracing::info!(image = %id, "reading broke off at byte {}: {failure}; going on", self.next);
        self.splice.retries.pauses.after(self.failures).await;
        self.failures += 1;
    }
}

/// Whether asking again can help against the failure of a body.
fn is_retryable(failure: &(dyn Error + Send + Sync + 'static)) -> bool {
    let transport = causes(failure).find_map(|error| error.downcast_ref::<TransportError>());
    match (kind_of(failure), transport) {
        (Some(kind), _) => kind.is_retryable(),
        (None, Some(error)) => error.kind.is_retryable(),
        (None, None) => !failure.is::<DataFault>(),
    }
}

fn kind_of(failure: &(dyn Error + Send + Sync + 'static)) -> Option<StoreErrorKind> {
    causes(failure).find_map(|error| error.downcast_ref::<StoreError>()).map(|error| error.kind)
}

fn causes<'a>(
    failure: &'a (dyn Error + Send + Sync + 'static),
) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    let first: &(dyn Error + 'static) = failure;
    successors(Some(first), |&error| error.source())
}
