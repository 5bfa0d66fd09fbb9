//! Reads a stream.

use std::fmt;
use std::sync::{Arc, Mutex as StdMutex, PoisonError};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures_util::stream::{self, StreamExt};
use glance_core::digest::{Algorithm, Hashers, Hashing};
use glance_core::error::BodyError;
use glance_core::image::{Attributes, Image, ImageId, Member, Visibility};
use glance_core::selection::NamedImages;
use glance_core::store::{Activation, ByteRange, ImageStream, StoreErrorKind};
use glance_core::verified_body::Expected;
use glance_core::{Body, ImageStore, Selection, StoreError};
use safe_files::record::StoredRecord;
use tokio::io::{AsyncRead, AsyncReadExt, BufReader};
use tokio::sync::{Mutex, OwnedMutexGuard};

use super::incoming::{Current, Incoming, Input, READ, broken};
use super::{Extras, NAME};
use crate::record::Stored;

/// A stream written by [`TarWriter`](super::TarWriter), as a read-only store that can be read
/// once, in order.
///
/// A listing yields each image when the stream reaches it, in the order of ids. Until the next
/// image is requested, [`read`](ImageStore::read) returns that image's data, whole and once, and
/// [`members`](ImageStore::members) returns its members; unread data is skipped. A consumer
/// therefore processes one image at a time (`transfers` = 1). Memory use does not grow with the
/// stream.
///
/// Images that refer to others (`kernel_id`, `ramdisk_id`) are listed with the others, but their
/// data follows that of all others: once the listing is complete, a request for such an image
/// advances the stream to it.
///
/// The last chunk of an image's data is held back until the stream confirms that the image is
/// complete. If the stream is truncated, or its writer failed on an image, the last item of the
/// listing is an error, or [`finish`](Self::finish) fails.
pub struct StreamStore {
    incoming: Arc<Mutex<Incoming>>,
    extras: Extras,
    hashers: Hashers,
    selection: Selection,
    listed: Arc<StdMutex<Listed>>,
}

/// The counts of the listings of a stream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listed {
    /// The number of images in the stream.
    pub images: u64,
    /// The number of those that the selection admits.
    pub admitted: u64,
    /// The images that the selection names and that have not been found in the stream.
    pub absent: NamedImages,
}

impl StreamStore {
    /// Reads the beginning of `input`, up to the first image.
    ///
    /// # Errors
    /// If the input is not a dump stream, or has an unknown version.
    pub async fn open(
        input: impl AsyncRead + Send + Unpin + 'static,
        hashers: Hashers,
    ) -> Result<Self, StoreError> {
        let input: Input = BufReader::with_capacity(CHUNK, Box::new(input));
        let mut incoming = Incoming::new(input);
        let extras = incoming.begin().await?;
        let (incoming, selection) = (Arc::new(Mutex::new(incoming)), Selection::everything());
        Ok(Self { incoming, extras, hashers, selection, listed: Arc::default() })
    }

    /// Limits listings to `selection`. A replication from a stream must select images here and not
    /// by its own selection, which would make it read ahead.
    #[must_use]
    pub fn selecting(self, selection: Selection) -> Self {
        let listed = Listed { absent: selection.named(), ..Listed::default() };
        Self { listed: Arc::new(StdMutex::new(listed)), selection, ..self }
    }

    /// The counts so far.
    pub fn listed(&self) -> Listed {
        self.listed.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Reads the rest of the stream, after all images have been processed.
    ///
    /// # Errors
    /// If the stream was truncated or its writer failed on an image, unless a listing has reported
    /// this.
    pub async fn finish(&self) -> Result<(), StoreError> {
        let mut incoming = self.incoming.lock().await;
        while !incoming.judged && incoming.advance().await.map_err(broken)?.is_some() {}
        incoming.verdict().map_or(Ok(()), Err)
    }

    /// The content of the stream other than images.
    pub fn extras(&self) -> &Extras {
        &self.extras
    }

    /// Applies `answer` to the current image of the stream, which must be `id`.
    async fn current<T>(
        &self,
        operation: &'static str,
        id: &ImageId,
        answer: impl FnOnce(&StoredRecord<Stored>) -> T,
    ) -> Result<T, StoreError> {
        let mut incoming = self.incoming.lock().await;
        incoming.seek(id).await.map_err(broken)?;
        match &incoming.current {
            Some(current) if current.record.image.id == *id => Ok(answer(&current.record)),
            _ => Err(passed(operation, id)),
        }
    }
}

/// A read of the current image's data.
struct Reading {
    incoming: OwnedMutexGuard<Incoming>,
    hashing: Option<Hashing>,
    held: Option<Bytes>,
}

impl Reading {
    /// The next chunk; the last one only after the image has been confirmed.
    async fn next(mut self) -> Result<Option<(Bytes, Option<Self>)>, BodyError> {
        loop {
            let incoming = &mut *self.incoming;
            let Some(Current { left: Some(left), .. }) = &mut incoming.current else {
                return Err("the stream has passed this image".into());
            };
            if *left == 0 {
                break;
            }
            let mut chunk = BytesMut::with_capacity(CHUNK);
            let read = (&mut incoming.input).take((*left).min(CHUNK as u64));
            let read = { read }.read_buf(&mut chunk).await?;
            if read == 0 {
                // The next listing will report the truncation.
                return Err("the stream was truncated".into());
            }
            *left -= read as u64;
            let chunk = chunk.freeze();
            if let Some(hashing) = &mut self.hashing {
                hashing.update(&chunk).await;
            }
            if let Some(earlier) = self.held.replace(chunk) {
                return Ok(Some((earlier, Some(self))));
            }
        }
        match self.incoming.end_of_data(self.hashing.take()).await? {
            None => Ok(self.held.map(|last| (last, None))),
            Some(reason) => Err(reason.into()),
        }
    }
}

#[async_trait]
impl ImageStore for StreamStore {
    async fn list(&self, selection: &Selection) -> Result<ImageStream<'_>, StoreError> {
        let images = stream::unfold(Some(Arc::clone(&self.incoming)), |state| async move {
            let incoming = state?;
            let mut locked = incoming.lock().await;
            match locked.advance().await {
                Ok(Some(image)) => {
                    drop(locked);
                    Some((Ok(image), Some(incoming)))
                }
                // If the stream is not at its end, `finish` reports the rest.
                Ok(None) => locked.verdict().map(|error| (Err(error), None)),
                Err(error) => {
                    locked.judged = true;
                    Some((Err(broken(error)), None))
                }
            }
        });
        let selections = [self.selection.clone(), selection.clone()];
        let listed = Arc::clone(&self.listed);
        let admitted = move |it: &Result<Image, StoreError>| match it {
            Ok(image) => {
                let admits = selections.iter().all(|selection| selection.admits(image));
                let mut listed = listed.lock().unwrap_or_else(PoisonError::into_inner);
                listed.absent.found(image);
                listed.images += 1;
                listed.admitted += u64::from(admits);
                admits
            }
            Err(_) => true,
        };
        Ok(images.filter(move |it| std::future::ready(admitted(it))).boxed())
    }

    async fn get(&self, id: &ImageId) -> Result<Image, StoreError> {
        self.current("read the record", id, |record| record.image.clone()).await
    }

    async fn read(&self, id: &ImageId, range: ByteRange) -> Result<Body, StoreError> {
        if range != ByteRange::ALL {
            let reason = "a stream delivers the whole data of an image, once";
            return Err(StoreError::new(StoreErrorKind::Range, &NAME, READ, reason).on(id));
        }
        let mut incoming = Arc::clone(&self.incoming).lock_owned().await;
        incoming.seek(id).await.map_err(broken)?;
        let (size, expected) = match &incoming.current {
            Some(Current { record, size, left: Some(left) })
                if record.image.id == *id && size == left =>
            {
                (*size, Expected::of(&record.image))
            }
            _ => return Err(passed(READ, id)),
        };
        // Data with a digest in its record is verified by the consumer.
        let unproven = expected.digest.is_none().then_some(Algorithm::Sha512);
        let hashing = unproven.map(|algorithm| self.hashers.start([algorithm]));
        let reading = Reading { incoming, hashing, held: None };
        let id = id.clone();
        let chunks = stream::try_unfold((Some(reading), id), |(reading, id)| async move {
            let Some(reading) = reading else { return Ok(None) };
            match reading.next().await {
                Ok(next) => Ok(next.map(|(chunk, reading)| (chunk, (reading, id)))),
                // Release the stream after an error.
                Err(error) => Err(once(&id).caused_by(error).into()),
            }
        });
        Ok(Body::from_stream(chunks, Some(size)))
    }

    async fn create(&self, image: &Image) -> Result<Image, StoreError> {
        Err(read_only("create the record", &image.id))
    }

    async fn upload(&self, id: &ImageId, _data: Body) -> Result<Image, StoreError> {
        Err(read_only("store the data", id))
    }

    async fn partial_data(&self, _id: &ImageId) -> Result<Body, StoreError> {
        Ok(Body::empty())
    }

    async fn update(&self, current: &Image, _wanted: &Attributes) -> Result<Image, StoreError> {
        Err(read_only("change the record", &current.id))
    }

    async fn set_activation(&self, id: &ImageId, _to: Activation) -> Result<(), StoreError> {
        Err(read_only("set the activation", id))
    }

    async fn delete(&self, id: &ImageId) -> Result<(), StoreError> {
        Err(read_only("delete the record", id))
    }

    async fn members(&self, id: &ImageId) -> Result<Vec<Member>, StoreError> {
        const MEMBERS: &str = "read the members";
        let read = |record: &StoredRecord<Stored>| {
            (record.image.attributes.visibility, record.members.clone())
        };
        match self.current(MEMBERS, id, read).await? {
            (Visibility::Shared, members) => Ok(members),
            (other, _) => {
                let reason = format!("the image is {other}, not shared");
                Err(StoreError::new(StoreErrorKind::Forbidden, &NAME, MEMBERS, reason).on(id))
            }
        }
    }

    async fn set_members(&self, id: &ImageId, _members: &[Member]) -> Result<(), StoreError> {
        Err(read_only("set the members", id))
    }
}

impl fmt::Display for StreamStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(NAME)
    }
}

impl fmt::Debug for StreamStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamStore").field("extras", &self.extras).finish_non_exhaustive()
    }
}

fn read_only(operation: &'static str, id: &ImageId) -> StoreError {
    let reason = "a stream is read-only";
    StoreError::new(StoreErrorKind::Forbidden, &NAME, operation, reason).on(id)
}

fn passed(operation: &'static str, id: &ImageId) -> StoreError {
    let reason = "the stream is not at this image: a stream delivers each image once, in order";
    StoreError::new(StoreErrorKind::Conflict, &NAME, operation, reason).on(id)
}

fn once(id: &ImageId) -> StoreError {
    StoreError::new(StoreErrorKind::Unreadable, &NAME, READ, "a stream delivers each image once")
        .on(id)
}

/// The size of a read in bytes.
const CHUNK: usize = 256 * 1024;
