//! Cases about successful and failed uploads.

use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{self, StreamExt};

use super::scratch::{Scratch, body, refused};
use crate::body::Body;
use crate::conformance::{Outcome, Wrong, same};
use crate::digest::{Algorithm, Awaited, Digests, Hashers};
use crate::error::{BodyError, causes};
use crate::image::{Image, ImageId, Status};
use crate::store::{ByteRange, StoreErrorKind};

pub(super) async fn digests_are_of_the_stored_bytes(scratch: &Scratch) -> Outcome {
    let image = scratch.active(b"digest me").await?;
    same!("an image without data has none", scratch.queued().await?.checksum, None);
    digests_are_of(&image, b"digest me").await
}

/// A store in the same process may use the digests that the body carries, and computes the others.
pub(super) async fn digests_that_come_with_the_data_are_kept_or_computed(
    scratch: &Scratch,
) -> Outcome {
    let data = b"digest me";
    for algorithms in [vec![Algorithm::Sha256], vec![Algorithm::Md5, Algorithm::Sha512]] {
        let mut digests = Digests::new();
        for algorithm in &algorithms {
            digests.insert(*algorithm, digest(*algorithm, data).await?);
        }
        let carried = Awaited::of(algorithms);
        let awaited = carried.clone();
        let parts = stream::iter([&data[..3], &data[3..]]).map(move |part| {
            // The digests are set before the last bytes.
            if part.len() > 3 {
                awaited.set(digests.clone());
            }
            Ok(Bytes::from_static(part))
        });
        let body = Body::from_stream(parts, size(data)).carrying(Some(carried));
        let id = scratch.queued().await?.id;
        let image = scratch.store.upload(&id, body).await?;
        same!("status and size", (image.status, image.size), (Status::Active, size(data)));
        digests_are_of(&image, data).await?;
    }
    Ok(())
}

async fn digests_are_of(image: &Image, data: &'static [u8]) -> Outcome {
    if image.checksum.is_none() && image.os_hash_value.is_none() {
        return Err("the record has neither checksum nor os_hash_value".into());
    }
    if let Some(checksum) = &image.checksum {
        same!("checksum", *checksum, digest(Algorithm::Md5, data).await?);
    }
    if let (Some(algorithm), Some(value)) = (&image.os_hash_algo, &image.os_hash_value) {
        same!("os_hash_value", *value, digest(algorithm.parse()?, data).await?);
    }
    Ok(())
}

pub(super) async fn data_is_given_once(scratch: &Scratch) -> Outcome {
    let image = scratch.active(b"first").await?;
    let again = scratch.store.upload(&image.id, body(b"again")).await;
    refused("upload again", StoreErrorKind::Conflict, again)?;
    same!("the record", scratch.store.get(&image.id).await?, image);
    same!("bytes", scratch.bytes(&image.id, ByteRange::ALL).await?, &b"first"[..]);
    Ok(())
}

pub(super) async fn a_body_of_unknown_size_is_stored(scratch: &Scratch) -> Outcome {
    let id = scratch.queued().await?.id;
    let parts = [Ok(Bytes::from_static(b"one ")), Ok(Bytes::new()), Ok(Bytes::from_static(b"two"))];
    let image = scratch.store.upload(&id, Body::from_stream(stream::iter(parts), None)).await?;
    same!("status and size", (image.status, image.size), (Status::Active, Some(7)));
    same!("bytes", scratch.bytes(&id, ByteRange::ALL).await?, &b"one two"[..]);
    Ok(())
}

pub(super) async fn a_short_body_is_not_stored(scratch: &Scratch) -> Outcome {
    for parts in [vec![], vec![Ok(Bytes::from_static(b"short"))]] {
        let id = scratch.queued().await?.id;
        let short = Body::from_stream(stream::iter(parts), Some(100));
        let upload = scratch.store.upload(&id, short).await;
        refused("upload a short body", StoreErrorKind::Data, upload)?;
        scratch.takes_another_upload(&id).await?;
    }
    Ok(())
}

pub(super) async fn a_failing_body_is_not_stored(scratch: &Scratch) -> Outcome {
    for size in [None, Some(100)] {
        let id = scratch.queued().await?.id;
        let failure = "the source of the conformance suite fails";
        let parts = [Ok(Bytes::from_static(b"some")), Err(BodyError::from(failure))];
        let failing = Body::from_stream(stream::iter(parts), size);
        let upload = scratch.store.upload(&id, failing).await;
        let error = refused("upload a failing body", StoreErrorKind::Data, upload)?;
        same!("the failure is in the source chain", caused_by(&error, failure), true);
        scratch.takes_another_upload(&id).await?;
    }
    Ok(())
}

/// HTTP libraries never poll a body that promises no bytes.
pub(super) async fn an_empty_body_that_fails_is_not_stored(scratch: &Scratch) -> Outcome {
    let failure = "the source of the conformance suite fails";
    for parts in
        [vec![Err(BodyError::from(failure))], vec![Ok(Bytes::new()), Err(BodyError::from(failure))]]
    {
        let id = scratch.queued().await?.id;
        let failing = Body::from_stream(stream::iter(parts), Some(0));
        let upload = scratch.store.upload(&id, failing).await;
        let error = refused("upload an empty body that fails", StoreErrorKind::Data, upload)?;
        same!("the failure is in the source chain", caused_by(&error, failure), true);
        scratch.takes_another_upload(&id).await?;
    }
    let id = scratch.queued().await?.id;
    let empty = Body::from_stream(stream::iter([Ok(Bytes::new())]), Some(0));
    let image = scratch.store.upload(&id, empty).await?;
    same!("status and size", (image.status, image.size), (Status::Active, Some(0)));
    Ok(())
}

pub(super) async fn a_dropped_upload_is_not_stored(scratch: &Scratch) -> Outcome {
    let id = scratch.queued().await?.id;
    let some = stream::iter([Ok(Bytes::from_static(b"some"))]);
    let stuck = Body::from_stream(some.chain(stream::pending()), Some(100));
    let upload = scratch.store.upload(&id, stuck);
    match tokio::time::timeout(Duration::from_millis(200), upload).await {
        Err(_dropped) => scratch.takes_another_upload(&id).await,
        Ok(answer) => Err(format!("an upload that never ends gave {answer:?}").into()),
    }
}

pub(super) async fn nothing_is_begun_but_by_an_upload(scratch: &Scratch) -> Outcome {
    let queued = scratch.queued().await?.id;
    for id in [queued, scratch.active(b"complete").await?.id, ImageId::random()] {
        let begun = scratch.store.partial_data(&id).await?;
        same!("the size of what is begun", begun.size(), Some(0));
        same!("what is begun", begun.collect(0).await?.len(), 0);
    }
    Ok(())
}

/// Data that ends with zeros, which a store may keep as a hole.
fn half_zero() -> Vec<u8> {
    (0..=250_u8).cycle().take(700_000).chain(std::iter::repeat_n(0, 300_003)).collect()
}

pub(super) async fn an_upload_goes_on_from_what_was_begun(scratch: &Scratch) -> Outcome {
    let whole = half_zero();
    // Just before the zeros, inside them, and at the very end.
    for came in [699_999, 900_001, whole.len()] {
        let id = scratch.queued().await?.id;
        scratch.breaks_off(&id, &whole[..came]).await?;
        let begun = scratch.store.partial_data(&id).await?;
        let promised = begun.size();
        let begun = begun.collect(whole.len()).await?;
        same!("the size of what is begun", promised, Some(begun.len() as u64));
        same!("what is begun came before", whole[..came].starts_with(&begun), true);
        let image = scratch.upload_after_another(&id, &whole).await?;
        same!("status and size", (image.status, image.size), (Status::Active, size(&whole)));
        same!("all bytes are the same", scratch.bytes(&id, ByteRange::ALL).await? == whole, true);
        same!(
            "the partial data after a complete upload",
            scratch.store.partial_data(&id).await?.size(),
            Some(0)
        );
    }
    Ok(())
}

pub(super) async fn an_upload_may_begin_in_another_way(scratch: &Scratch) -> Outcome {
    let whole = half_zero();
    let mut others = [whole.clone(), whole.clone(), whole[..800_000].to_vec(), vec![0; 1 << 20]];
    others[0][0] ^= 1;
    others[1][900_000] ^= 1;
    for other in others {
        let id = scratch.queued().await?.id;
        scratch.breaks_off(&id, &whole).await?;
        let image = scratch.upload_after_another(&id, &other).await?;
        same!("status and size", (image.status, image.size), (Status::Active, size(&other)));
        same!("all bytes are the same", scratch.bytes(&id, ByteRange::ALL).await? == other, true);
    }
    Ok(())
}

#[expect(clippy::unnecessary_wraps, reason = "as records have it")]
fn size(data: &[u8]) -> Option<u64> {
    Some(data.len() as u64)
}

fn caused_by(error: &(dyn std::error::Error + 'static), failure: &str) -> bool {
    causes(error).skip(1).any(|cause| cause.to_string().contains(failure))
}

async fn digest(algorithm: Algorithm, data: &'static [u8]) -> Result<String, Wrong> {
    Ok(body(data).digest(Hashers::default(), algorithm).await?)
}
