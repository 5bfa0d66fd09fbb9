//! Cases about complete data.

use std::error::Error;

use super::scratch::{LIMIT, Scratch, body, refused};
use crate::conformance::{Outcome, Wrong, same};
use crate::error::BodyError;
use crate::image::{ImageId, Status};
use crate::store::{Activation, ByteRange, ImageStore, StoreErrorKind};
use crate::verified_body::is_damage;

pub(super) async fn data_comes_back(scratch: &Scratch) -> Outcome {
    // More than one chunk of any store, and not a multiple of a chunk.
    let data: Vec<u8> = (0..=250_u8).cycle().take(1_000_003).collect();
    let image = scratch.active(&data).await?;
    same!("status", image.status, Status::Active);
    same!("size", image.size, Some(data.len() as u64));
    same!("the record read again", scratch.store.get(&image.id).await?, image);
    let whole = scratch.bytes(&image.id, ByteRange::ALL).await?;
    same!("all bytes are the same", whole == data, true);
    let range = ByteRange { offset: 300_000, length: Some(400_000) };
    let part = scratch.bytes(&image.id, range).await?;
    same!("a part's bytes are the same", part == data[300_000..700_000], true);
    Ok(())
}

pub(super) async fn empty_data_comes_back(scratch: &Scratch) -> Outcome {
    let image = scratch.active(b"").await?;
    same!("status", image.status, Status::Active);
    same!("size", image.size, Some(0));
    same!("bytes", scratch.bytes(&image.id, ByteRange::ALL).await?.len(), 0);
    Ok(())
}

pub(super) async fn ranges_are_cut_at_the_end(scratch: &Scratch) -> Outcome {
    let id = scratch.active(b"0123456789").await?.id;
    let ranges = [
        (0, None, "0123456789"),
        (0, Some(10), "0123456789"),
        (0, Some(99), "0123456789"),
        (0, Some(1), "0"),
        (3, Some(4), "3456"),
        (7, None, "789"),
        (7, Some(99), "789"),
        (9, Some(1), "9"),
        (9, Some(u64::MAX), "9"),
    ];
    for (offset, length, wanted) in ranges {
        let bytes = scratch.bytes(&id, ByteRange { offset, length }).await?;
        same!(format!("{length:?} bytes from {offset}"), bytes, wanted.as_bytes());
    }
    Ok(())
}

pub(super) async fn ranges_past_the_end_are_refused(scratch: &Scratch) -> Outcome {
    let id = scratch.active(b"0123456789").await?.id;
    for offset in [10, 11, 1 << 40] {
        let read = scratch.store.read(&id, ByteRange { offset, length: None }).await;
        refused("read past the end", StoreErrorKind::Range, read)?;
    }
    Ok(())
}

pub(super) async fn queued_images_have_no_data(scratch: &Scratch) -> Outcome {
    let id = scratch.queued().await?.id;
    let read = scratch.store.read(&id, ByteRange::ALL).await;
    refused("read a queued image", StoreErrorKind::Conflict, read)?;
    Ok(())
}

pub(super) async fn activation_moves_both_ways(scratch: &Scratch) -> Outcome {
    let id = scratch.active(b"complete").await?.id;
    let (on, off) = (Activation::Active, Activation::Deactivated);
    for activation in [off, off, on, on] {
        scratch.store.set_activation(&id, activation).await?;
        let wanted = if activation == on { Status::Active } else { Status::Deactivated };
        let image = scratch.store.get(&id).await?;
        same!("status", image.status, wanted);
        same!("size", image.size, Some(8));
        same!("bytes", scratch.bytes(&id, ByteRange::ALL).await?, &b"complete"[..]);
        let upload = scratch.store.upload(&id, body(b"other")).await;
        refused("upload again", StoreErrorKind::Conflict, upload)?;
    }
    Ok(())
}

pub(super) async fn queued_images_have_no_activation(scratch: &Scratch) -> Outcome {
    let id = scratch.queued().await?.id;
    let moved = scratch.store.set_activation(&id, Activation::Deactivated).await;
    refused("deactivate a queued image", StoreErrorKind::Forbidden, moved)?;
    same!("status", scratch.store.get(&id).await?.status, Status::Queued);
    Ok(())
}

/// Checks that `store` reports damaged data as the contract of [`ImageStore`] says. The caller has
/// stored an image and damaged its data in a way that the store notices, such as a truncated file.
/// [`image_store`](super::image_store) cannot do that in a store that it does not know.
pub async fn damaged_data(
    store: &dyn ImageStore,
    id: &ImageId,
) -> Result<(), Box<dyn Error + Send + Sync>> {
    let error: BodyError = match store.read(id, ByteRange::ALL).await {
        Err(error) if error.kind == StoreErrorKind::Unreadable => return Ok(()),
        Err(error) => {
            return Err(format!("read: {:?} ({error}), not Unreadable", error.kind).into());
        }
        Ok(data) => match data.collect(LIMIT).await {
            Ok(bytes) => return Err(format!("a whole body of {} bytes", bytes.len()).into()),
            Err(error) => error,
        },
    };
    if is_damage(&*error) {
        return Ok(());
    }
    Err(Wrong::from(format!("the body's error does not tell of damage: {error}")))
}
