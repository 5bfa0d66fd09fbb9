//! Merge join of two listings by image id.

use std::cmp::Ordering;
use std::fmt::Display;

use futures_util::future::ready;
use futures_util::stream::{self, BoxStream, Fuse, Stream, StreamExt, TryStreamExt};

use glance_core::image::{Attributes, Image, ImageId};
use glance_core::selection::Selection;
use glance_core::store::{ImageStore, ImageStream, StoreError, StoreErrorKind, holds};

use crate::error::CopyError;

/// The images of one id in two stores.
#[derive(Debug)]
pub(crate) enum Pair {
    /// Both stores hold the image: source image, replica.
    Both(Image, Image),
    /// Only the source holds the image.
    SourceOnly(Image),
    /// Only the target holds the image.
    TargetOnly(Image),
    /// The source holds the image, but its replica is not unique; the text is the reason.
    Ambiguous(Image, String),
    /// The source holds the image, but one store's record can't be read.
    Unreadable(Image, CopyError),
    /// Only the target holds the image, and its record can't be read; the text is the reason.
    UnreadableExtra(Image, String),
}

impl Pair {
    /// Whether the source holds the image.
    pub(crate) fn is_at_source(&self) -> bool {
        !matches!(self, Self::TargetOnly(_) | Self::UnreadableExtra(..))
    }

    /// The id by which pairs are ordered.
    pub(crate) fn id(&self) -> &ImageId {
        match self {
            Self::Both(image, _)
            | Self::SourceOnly(image)
            | Self::TargetOnly(image)
            | Self::Ambiguous(image, _)
            | Self::Unreadable(image, _)
            | Self::UnreadableExtra(image, _) => &image.id,
        }
    }

    /// The image, if the source has data of it that the target lacks.
    pub(crate) fn missing(&self) -> Option<&Image> {
        match self {
            Self::SourceOnly(image) => Some(image),
            Self::Both(image, replica) if !replica.status.has_data() => Some(image),
            _ => None,
        }
        .filter(|image| image.status.has_data())
    }

    /// The image at the source, if the source holds the image.
    pub(crate) fn at_source(&self) -> Option<&Image> {
        match self {
            Self::Both(image, _)
            | Self::SourceOnly(image)
            | Self::Ambiguous(image, _)
            | Self::Unreadable(image, _) => Some(image),
            Self::TargetOnly(_) | Self::UnreadableExtra(..) => None,
        }
    }

    /// Whether the target is known to hold the image.
    pub(crate) fn is_at_target(&self) -> bool {
        matches!(self, Self::Both(..) | Self::TargetOnly(_) | Self::UnreadableExtra(..))
    }
}

/// Lists both stores concurrently and pairs their images by id, in ascending order. Memory holds
/// only the parts of the listings that are in progress.
///
/// `selection` applies to the source's images. A replica may differ in everything but its id, so
/// the target is listed with the id conditions only. An image that only the target lists becomes a
/// pair if the selection admits it and the source does not hold that id at all, since an image that
/// the selection excludes is not missing.
///
/// # Errors
/// When one of the stores can't be listed. After the stream has begun, the error is its last item.
pub(crate) async fn pairs<'a>(
    source: &'a dyn ImageStore,
    target: &'a dyn ImageStore,
    selection: &Selection,
) -> Result<BoxStream<'a, Result<Pair, StoreError>>, StoreError> {
    let ids = selection.ids_only();
    let listings =
        tokio::try_join!(Listing::begin(source, selection), Listing::begin(target, &ids))?;
    let pairs = join(listings.0, listings.1);
    if selection.is_everything() {
        return Ok(pairs);
    }
    Ok(without_filtered_out(pairs, source, selection.clone()))
}

/// Drops pairs of images that the source holds but the selection excludes.
fn without_filtered_out<'a>(
    pairs: BoxStream<'a, Result<Pair, StoreError>>,
    source: &'a dyn ImageStore,
    selection: Selection,
) -> BoxStream<'a, Result<Pair, StoreError>> {
    let judged = pairs.map_ok(move |pair| unless_filtered_out(pair, source, selection.clone()));
    judged.try_buffered(LOOKUPS).try_filter_map(|pair| ready(Ok(pair))).boxed()
}

async fn unless_filtered_out(
    pair: Pair,
    source: &dyn ImageStore,
    selection: Selection,
) -> Result<Option<Pair>, StoreError> {
    let is_selected = match &pair {
        Pair::TargetOnly(replica) => selection.admits(replica),
        Pair::UnreadableExtra(replica, _) => selection.may_admit(replica),
        _ => return Ok(Some(pair)),
    };
    let is_extra = is_selected && !holds(source, pair.id()).await?;
    Ok(is_extra.then_some(pair))
}

fn join<'a>(source: Listing<'a>, target: Listing<'a>) -> BoxStream<'a, Result<Pair, StoreError>> {
    let pairs = stream::try_unfold((source, target), |(mut source, mut target)| async move {
        tokio::try_join!(source.fill(), target.fill())?;
        let order = match (&source.next, &target.next) {
            (None, None) => return Ok(None),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(image), Some(replica)) => image.id().cmp(replica.id()),
        };
        let image = source.next.take_if(|_| order.is_le());
        let replica = target.next.take_if(|_| order.is_ge());
        Ok(paired(image, replica).map(|pair| (pair, (source, target))))
    });
    pairs.boxed()
}

/// The pair for one id of two listings.
fn paired(image: Option<Listed>, replica: Option<Listed>) -> Option<Pair> {
    use Listed::{Known, Unreadable};
    Some(match (image, replica) {
        (None, None) => return None,
        (Some(Known(image)), None) => Pair::SourceOnly(image),
        (None, Some(Known(replica))) => Pair::TargetOnly(replica),
        (Some(Known(image)), Some(Known(replica))) => Pair::Both(image, replica),
        (Some(Known(image)), Some(Unreadable(_, error))) => {
            Pair::Unreadable(image, CopyError::Target(error))
        }
        (Some(Unreadable(image, error)), _) => Pair::Unreadable(image, CopyError::Source(error)),
        (None, Some(Unreadable(replica, error))) => {
            Pair::UnreadableExtra(replica, error.to_string())
        }
    })
}

/// An image of a listing, or the readable part of it with the error.
#[derive(Debug)]
pub(crate) enum Listed {
    Known(Image),
    Unreadable(Image, StoreError),
}

impl Listed {
    /// Converts an item of a listing.
    ///
    /// # Errors
    /// When the error has no record, which ends the listing.
    pub(crate) fn of(item: Result<Image, StoreError>) -> Result<Self, StoreError> {
        match item {
            Ok(image) => Ok(Self::Known(image)),
            Err(error) => match error.record.clone() {
                Some(read) => Ok(Self::Unreadable(*read, error)),
                None => Err(error),
            },
        }
    }

    /// The image, if its record could be read.
    ///
    /// # Errors
    /// When its record can't be read.
    pub(crate) fn readable(self) -> Result<Image, StoreError> {
        match self {
            Self::Known(image) => Ok(image),
            Self::Unreadable(_, error) => Err(error),
        }
    }

    fn image(&self) -> &Image {
        match self {
            Self::Known(image) | Self::Unreadable(image, _) => image,
        }
    }

    fn id(&self) -> &ImageId {
        &self.image().id
    }

    /// Approximate size in memory, in bytes.
    fn weight(&self) -> usize {
        let Attributes { name, tags, properties, .. } = &self.image().attributes;
        let entries = (tags.len() + properties.len()) * size_of::<[String; 2]>();
        let tags: usize = tags.iter().map(String::len).sum();
        let properties: usize = properties.iter().map(|(key, value)| key.len() + value.len()).sum();
        1024 + name.as_ref().map_or(0, String::len) + tags + properties + entries
    }
}

/// A listing in progress.
struct Listing<'a> {
    name: String,
    images: Fuse<BoxStream<'a, Result<Listed, StoreError>>>,
    next: Option<Listed>,
    last: Option<ImageId>,
}

impl<'a> Listing<'a> {
    async fn begin(store: &'a dyn ImageStore, selection: &Selection) -> Result<Self, StoreError> {
        Ok(Self::of(store.to_string(), store.list(selection).await?))
    }

    fn of(name: String, images: ImageStream<'a>) -> Self {
        let images = images.map(Listed::of).boxed().fuse();
        Self { name, images, next: None, last: None }
    }

    /// Fetches the next image if none is waiting.
    async fn fill(&mut self) -> Result<(), StoreError> {
        if self.next.is_some() {
            return Ok(());
        }
        self.next = self.images.next().await.transpose()?;
        let descends = |next: &Listed| self.last.as_ref().is_some_and(|last| last > next.id());
        if let Some(next) = self.next.take_if(|next| descends(next)) {
            self.sort_the_rest(next).await?;
        }
        self.last = self.next.as_ref().map(|next| next.id().clone());
        Ok(())
    }

    /// Databases sort upper-case letters differently. Such ids are rare, since Glance itself does
    /// not generate them. The rest of the listing is then sorted in memory: without this, images
    /// would seem to be missing.
    async fn sort_the_rest(&mut self, first: Listed) -> Result<(), StoreError> {
        tracing::warn!("{} does not list its images in the order of their ids", self.name);
        let rest = stream::iter([Ok(first)]).chain(&mut self.images);
        let mut rest = held(rest, &self.name).await?;
        rest.sort_by(|one, other| one.id().cmp(other.id()));
        self.images = stream::iter(rest.into_iter().map(Ok)).boxed().fuse();
        self.next = self.images.next().await.transpose()?;
        Ok(())
    }
}

/// Reads a whole listing into memory.
///
/// # Errors
/// When the listing fails, or its images exceed the memory limit.
pub(crate) async fn held(
    mut images: impl Stream<Item = Result<Listed, StoreError>> + Unpin,
    store: &(dyn Display + Sync),
) -> Result<Vec<Listed>, StoreError> {
    let mut all = Vec::new();
    let mut room = ROOM;
    while let Some(listed) = images.next().await.transpose()? {
        room = room.checked_sub(listed.weight()).ok_or_else(|| {
            let reason =
                format!("the store has too many images to hold in memory, more than {}", all.len());
            StoreError::new(StoreErrorKind::LimitReached, store, "list the images", reason)
                .hint("select fewer images in one run")
        })?;
        all.push(listed);
    }
    Ok(all)
}

/// Memory limit in bytes for a listing that has to be held in memory.
const ROOM: usize = 512 << 20;

/// Number of concurrent look-ups of ids that the source did not list.
const LOOKUPS: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;
    use glance_core::image::Attributes;
    use glance_core::store::memory::MemoryStore;

    fn image(first: &str) -> Image {
        let id = format!("{first}0000000-0000-4000-8000-000000000000").parse().unwrap();
        Image::queued(id, Attributes::default())
    }

    /// The pairs in short: a sign, and the first letter of the id.
    fn short(pairs: &[Pair]) -> String {
        let short = pairs.iter().map(|pair| {
            let sign = match pair {
                Pair::Both(..) => "=",
                Pair::SourceOnly(_) => "-",
                Pair::TargetOnly(_) => "+",
                Pair::Ambiguous(..) => unreachable!("ids are never ambiguous"),
                Pair::Unreadable(_, CopyError::Source(_)) => "?",
                Pair::Unreadable(..) => "!",
                Pair::UnreadableExtra(..) => "*",
            };
            format!("{sign}{}", &pair.id().as_str()[..1])
        });
        short.collect::<Vec<_>>().join(" ")
    }

    /// A listing of images by the first letters of their ids. A `?` marks a record that can't be
    /// read.
    fn listing<'a>(ids: &[&str]) -> Listing<'a> {
        let items = ids.iter().map(|id| match id.strip_suffix('?') {
            None => Ok(image(id)),
            Some(id) => {
                let error = StoreError::new(StoreErrorKind::Unreadable, &"a store", "read", "odd");
                Err(error.of_record(image(id)))
            }
        });
        Listing::of("a store".to_owned(), stream::iter(items.collect::<Vec<_>>()).boxed())
    }

    /// The pairs of two listings.
    async fn paired(source: &[&str], target: &[&str]) -> String {
        let pairs = join(listing(source), listing(target));
        short(&pairs.try_collect::<Vec<_>>().await.unwrap())
    }

    #[tokio::test]
    async fn pairs_come_in_order_whatever_the_listings() {
        assert_eq!(paired(&["0", "a"], &["a", "b"]).await, "-0 =a +b");
        assert_eq!(paired(&[], &[]).await, "");
        // The order of a database with case-insensitive sorting.
        let found = paired(&["a", "B", "c", "D"], &["a", "B", "c", "e"]).await;
        assert_eq!(found, "=a =B -D =c +e");
    }

    #[tokio::test]
    async fn a_record_that_cannot_be_read_is_that_of_its_own_pair_alone() {
        let source = ["0?", "1?", "2", "3", "a?", "B"];
        let found = paired(&source, &["1", "2?", "4?", "5", "a?"]).await;
        assert_eq!(found, "?0 ?1 !2 -3 *4 +5 ?a -B");
    }

    #[tokio::test]
    async fn there_is_an_end_to_what_is_held() {
        let mut heavy = image("0");
        heavy.attributes.properties.insert("p".into(), "x".repeat(1 << 20));
        let listing = || stream::iter(std::iter::repeat_with(|| Ok(Listed::Known(heavy.clone()))));
        let error = held(listing(), &"a store").await.unwrap_err();
        assert_eq!(error.kind, StoreErrorKind::LimitReached);
        assert_eq!(held(listing().take(3), &"a store").await.unwrap().len(), 3);
    }

    /// A store of images without data, given by the first letters of their ids and their names.
    async fn store(images: &[(&str, &str)]) -> MemoryStore {
        let store = MemoryStore::new("memory");
        for (first, name) in images {
            let mut image = image(first);
            image.attributes.name = Some((*name).to_owned());
            store.create(&image).await.unwrap();
        }
        store
    }

    async fn selected(source: &MemoryStore, target: &MemoryStore, wanted: &[&str]) -> String {
        let selection = Selection::new(wanted.iter().map(|text| text.parse().unwrap()), [], []);
        let pairs = pairs(source, target, &selection).await.unwrap();
        short(&pairs.try_collect::<Vec<_>>().await.unwrap())
    }

    #[tokio::test]
    async fn what_is_filtered_out_is_not_gone() {
        let source = store(&[("0", "in"), ("1", "in"), ("2", "out"), ("3", "out")]).await;
        // The replicas of 1 and 2 have other names; 5 to 9 have no image at the source any more.
        let replicas = [("1", "out"), ("2", "in"), ("3", "out"), ("4", "out")];
        let target = store(&replicas).await;
        for first in ["5", "6", "7", "8", "9"] {
            let mut image = image(first);
            image.attributes.name = Some("in".to_owned());
            target.create(&image).await.unwrap();
        }
        assert_eq!(selected(&source, &target, &["name=in"]).await, "-0 =1 +5 +6 +7 +8 +9");
        assert_eq!(selected(&source, &target, &[]).await, "-0 =1 =2 =3 +4 +5 +6 +7 +8 +9");
        assert_eq!(selected(&source, &target, &["name=none"]).await, "");
        let id = |first| format!("id={}", image(first).id);
        let ids = [id("1"), id("2"), id("5")];
        let mut wanted: Vec<&str> = ids.iter().map(String::as_str).collect();
        assert_eq!(selected(&source, &target, &wanted).await, "=1 =2 +5");
        wanted.push("name=in");
        assert_eq!(selected(&source, &target, &wanted).await, "=1 +5");
    }
}
