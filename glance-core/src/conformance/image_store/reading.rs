//! Cases that only read, for stores that cannot be written.

use std::collections::BTreeSet;

use futures_util::TryStreamExt;

use super::scratch::{LIMIT, attributes, refused};
use crate::conformance::{Outcome, Wrong, same};
use crate::digest::Hashers;
use crate::image::{Image, ImageId};
use crate::selection::{Condition, Selection};
use crate::store::{ByteRange, ImageStore, StoreErrorKind};
use crate::verified_body::{Expected, checked};

pub(super) async fn a_listing_is_in_order(store: &dyn ImageStore) -> Outcome {
    let listed = all(store, &Selection::everything()).await?;
    let in_order = listed.windows(2).all(|pair| pair[0].id < pair[1].id);
    same!("ascending order, each once", in_order, true);
    Ok(())
}

pub(super) async fn a_listed_record_is_the_record(store: &dyn ImageStore) -> Outcome {
    for image in all(store, &Selection::everything()).await?.into_iter().take(MANY) {
        same!("the record of a listed image", store.get(&image.id).await?, image);
    }
    Ok(())
}

pub(super) async fn unknown_ids_are_not_found(store: &dyn ImageStore) -> Outcome {
    let (id, unknown) = (ImageId::random(), StoreErrorKind::NotFound);
    refused("get", unknown, store.get(&id).await)?;
    refused("read", unknown, store.read(&id, ByteRange::ALL).await)?;
    refused("members", unknown, store.members(&id).await)?;
    Ok(())
}

pub(super) async fn selections_select(store: &dyn ImageStore) -> Outcome {
    let images = all(store, &Selection::everything()).await?;
    let one = complete(store).await?;
    let ids = BTreeSet::from([one.id.clone(), ImageId::random()]);
    let mut selections = vec![Selection::of_ids(ids), Selection::of_ids(BTreeSet::new())];
    let mut conditions = vec!["status=active".to_owned(), "min-size=1".to_owned()];
    conditions.extend(one.attributes.name.iter().map(|name| format!("name={name}")));
    conditions.extend(one.attributes.tags.iter().map(|tag| format!("tag={tag}")));
    for condition in conditions {
        let wanted: Condition = condition.parse()?;
        selections.push(Selection::new([wanted.clone()], [], []));
        selections.push(Selection::new([], [wanted], []));
    }
    for selection in selections {
        let admitted = images.iter().filter(|image| selection.admits(image)).cloned();
        let admitted: Vec<Image> = admitted.collect();
        same!(format!("{selection:?}"), all(store, &selection).await?, admitted);
    }
    Ok(())
}

pub(super) async fn data_matches_its_record(store: &dyn ImageStore) -> Outcome {
    let image = complete(store).await?;
    let expected = Expected::of(&image);
    if expected.digest.is_none() {
        return Err(format!("the record of image {} has no known digest", image.id).into());
    }
    let data = store.read(&image.id, ByteRange::ALL).await?;
    same!("the size of the body", data.size(), image.size);
    let (mut data, verdict) = checked(data, expected, Hashers::default());
    while data.try_next().await?.is_some() {}
    same!("a fault of the data", verdict.fault(), None);
    Ok(())
}

pub(super) async fn ranges_are_parts_of_the_data(store: &dyn ImageStore) -> Outcome {
    let image = complete(store).await?;
    let size = image.size.unwrap_or_default();
    let head = size.min(LIMIT as u64);
    let whole = bytes_of(store, &image.id, ByteRange { offset: 0, length: Some(head) }).await?;
    let [middle, head] = [whole.len() / 2, whole.len()];
    for (from, to) in [(0, 1), (0, head), (middle, head), (head - 1, head)] {
        let range = ByteRange { offset: from as u64, length: Some((to - from) as u64) };
        let part = bytes_of(store, &image.id, range).await?;
        same!(format!("bytes {from} to {to} are the same"), part == whole[from..to], true);
    }
    let past_the_end = ByteRange { offset: size - 1, length: Some(u64::MAX) };
    same!("the last byte", bytes_of(store, &image.id, past_the_end).await?.len(), 1);
    Ok(())
}

pub(super) async fn ranges_past_the_end_are_refused(store: &dyn ImageStore) -> Outcome {
    let image = complete(store).await?;
    let size = image.size.unwrap_or_default();
    for offset in [size, size + 1, u64::MAX] {
        let read = store.read(&image.id, ByteRange { offset, length: None }).await;
        refused("read past the end", StoreErrorKind::Range, read)?;
    }
    Ok(())
}

pub(super) async fn nothing_is_begun(store: &dyn ImageStore) -> Outcome {
    let id = complete(store).await?.id;
    let begun = store.partial_data(&id).await?;
    same!("the size of what is begun", begun.size(), Some(0));
    Ok(())
}

/// A store that cannot be written refuses every change as forbidden. This case changes nothing in a
/// store that can.
pub(super) async fn a_store_refuses_changes_or_makes_them(store: &dyn ImageStore) -> Outcome {
    let image = Image::queued(ImageId::random(), attributes());
    match store.create(&image).await {
        Ok(_) => Ok(store.delete(&image.id).await?),
        Err(error) if error.kind == StoreErrorKind::Forbidden => {
            let held = complete(store).await?;
            let wanted = crate::image::Attributes { min_ram: 64, ..held.attributes.clone() };
            let update = store.update(&held, &wanted).await;
            refused("change a record", StoreErrorKind::Forbidden, update)?;
            same!("the record", store.get(&held.id).await?, held);
            Ok(())
        }
        Err(error) => Err(format!("create: {:?} ({error}), not Forbidden", error.kind).into()),
    }
}

async fn all(store: &dyn ImageStore, selection: &Selection) -> Result<Vec<Image>, Wrong> {
    Ok(store.list(selection).await?.try_collect().await?)
}

/// The smallest image with data.
async fn complete(store: &dyn ImageStore) -> Result<Image, Wrong> {
    let images = all(store, &Selection::everything()).await?;
    let has_data = |image: &Image| image.status.has_data() && image.size.is_some_and(|it| it > 0);
    let smallest = images.into_iter().filter(has_data).min_by_key(|image| image.size);
    smallest.ok_or_else(|| "the store holds no image with data".into())
}

async fn bytes_of(
    store: &dyn ImageStore,
    id: &ImageId,
    range: ByteRange,
) -> Result<bytes::Bytes, Wrong> {
    let body = store.read(id, range).await?;
    let promised = body.size();
    let bytes = body.collect(LIMIT).await?;
    same!("the size of the body", promised, Some(bytes.len() as u64));
    Ok(bytes)
}

/// The number of records that are read one by one.
const MANY: usize = 1000;
