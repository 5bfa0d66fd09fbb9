//! Finding the replica of every image.

use std::cmp::Ordering;

use futures_util::future::{join_all, ready};
use futures_util::stream::{self, BoxStream, Fuse, StreamExt, TryStreamExt};

use crate::image::{Image, ImageId};
use crate::select::Selection;
use crate::store::{ImageStore, ImageStream, StoreError, StoreErrorKind};

/// The image of one id in two stores.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Pair {
    /// Both stores hold it.
    Both(Image, Image),
    /// Only the source holds it.
    SourceOnly(Image),
    /// Only the target holds it.
    TargetOnly(Image),
    /// The source holds it, and for this reason nobody knows which its replica is.
    Ambiguous(Image, String),
}

impl Pair {
    /// Whether the source holds it.
    pub(super) fn is_at_source(&self) -> bool {
        !matches!(self, Self::TargetOnly(_))
    }

    /// The id that pairs are listed in the order of.
    pub(super) fn id(&self) -> &ImageId {
        match self {
            Self::Both(image, _)
            | Self::SourceOnly(image)
            | Self::TargetOnly(image)
            | Self::Ambiguous(image, _) => &image.id,
        }
    }

    /// Whether the target is known to hold it.
    pub(super) fn is_at_target(&self) -> bool {
        matches!(self, Self::Both(..) | Self::TargetOnly(_))
    }
}

/// The pairs of one id, by the number of the target, or why a listing has ended there.
pub(super) type Pairs = Vec<(usize, Result<Pair, StoreError>)>;

/// Brings the pairs of several targets together by their ids, each of which come in ascending order.
/// A listing that fails ends, and the others go on.
pub(super) fn merged(
    listings: Vec<(usize, BoxStream<'_, Result<Pair, StoreError>>)>,
) -> BoxStream<'_, Pairs> {
    let heads = listings.into_iter().map(|(target, pairs)| Head {
        target,
        pairs: pairs.fuse(),
        next: None,
    });
    let merged = stream::unfold(heads.collect::<Vec<_>>(), |mut heads| async move {
        join_all(heads.iter_mut().map(Head::fill)).await;
        // Failures have no id, and are said at once.
        let key = |head: &Head<'_>| {
            head.next.as_ref().map(|next| next.as_ref().ok().map(|pair| pair.id().clone()))
        };
        let first = heads.iter().filter_map(key).min()?;
        let at_first = |head: &&mut Head<'_>| key(head).as_ref() == Some(&first);
        let taken = heads.iter_mut().filter(at_first);
        let pairs = taken.filter_map(|head| Some((head.target, head.next.take()?))).collect();
        Some((pairs, heads))
    });
    merged.boxed()
}

/// The pairs of one target, with the next of them.
struct Head<'a> {
    target: usize,
    pairs: Fuse<BoxStream<'a, Result<Pair, StoreError>>>,
    next: Option<Result<Pair, StoreError>>,
}

impl Head<'_> {
    /// Waits for the next pair, unless it is there.
    async fn fill(&mut self) {
        if self.next.is_none() {
            self.next = self.pairs.next().await;
        }
    }
}

/// Lists both stores at once and pairs their images by id, in ascending order. Memory holds what
/// the two listings have under way, never all of them.
///
/// `selection` is about the images of the source. A replica may differ in all but its id, so the
/// target is listed by no other condition. What only the target lists is a pair when the selection
/// admits it and the source has no such image at all: one that was filtered out is not gone.
///
/// # Errors
/// When one of the stores can't be listed; once the pairs have begun, as the last of them.
pub(super) async fn pairs<'a>(
    source: &'a dyn ImageStore,
    target: &'a dyn ImageStore,
    selection: &Selection,
) -> Result<BoxStream<'a, Result<Pair, StoreError>>, StoreError> {
    let ids = selection.ids_only();
    let listings =
        tokio::try_join!(Listing::begin(source, selection), Listing::begin(target, &ids))?;
    let pairs = join(listings.0, listings.1);
    match selection.is_everything() {
        true => Ok(pairs),
        false => Ok(without_filtered_out(pairs, source, selection.clone())),
    }
}

/// The pairs without those of images that the source holds and the selection leaves out.
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
    let Pair::TargetOnly(replica) = &pair else { return Ok(Some(pair)) };
    let is_extra = selection.admits(replica) && is_gone(source, &replica.id).await?;
    Ok(is_extra.then_some(pair))
}

async fn is_gone(store: &dyn ImageStore, id: &ImageId) -> Result<bool, StoreError> {
    match store.get(id).await {
        Ok(_) => Ok(false),
        Err(error) if error.kind == StoreErrorKind::NotFound => Ok(true),
        Err(error) => Err(error),
    }
}

fn join<'a>(source: Listing<'a>, target: Listing<'a>) -> BoxStream<'a, Result<Pair, StoreError>> {
    let pairs = stream::try_unfold((source, target), |(mut source, mut target)| async move {
        tokio::try_join!(source.fill(), target.fill())?;
        let order = match (&source.next, &target.next) {
            (None, None) => return Ok(None),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(image), Some(replica)) => image.id.cmp(&replica.id),
        };
        let image = source.next.take_if(|_| order.is_le());
        let replica = target.next.take_if(|_| order.is_ge());
        let pair = match (image, replica) {
            (Some(image), Some(replica)) => Pair::Both(image, replica),
            (Some(image), None) => Pair::SourceOnly(image),
            (None, Some(replica)) => Pair::TargetOnly(replica),
            (None, None) => return Ok(None),
        };
        Ok(Some((pair, (source, target))))
    });
    pairs.boxed()
}

/// A listing under way.
struct Listing<'a> {
    name: String,
    images: ImageStream<'a>,
    next: Option<Image>,
    last: Option<ImageId>,
}

impl<'a> Listing<'a> {
    async fn begin(store: &'a dyn ImageStore, selection: &Selection) -> Result<Self, StoreError> {
        let images = store.list(selection).await?.fuse().boxed();
        let name = store.to_string();
        Ok(Self { name, images, next: None, last: None })
    }

    /// Waits for the next image, unless it is there.
    async fn fill(&mut self) -> Result<(), StoreError> {
        if self.next.is_some() {
            return Ok(());
        }
        self.next = self.images.next().await.transpose()?;
        let descends = |image: &Image| self.last.as_ref().is_some_and(|last| *last > image.id);
        if let Some(image) = self.next.take_if(|image| descends(image)) {
            self.sort_the_rest(image).await?;
        }
        self.last = self.next.as_ref().map(|image| image.id.clone());
        Ok(())
    }

    /// Databases differ in the order of capital letters. They are rare in ids: no Glance makes
    /// such an id itself. Then the rest is held in memory; unsorted, images would seem missing.
    async fn sort_the_rest(&mut self, first: Image) -> Result<(), StoreError> {
        tracing::warn!("{} does not list its images in the order of their ids", self.name);
        let mut rest = vec![first];
        while let Some(image) = self.images.next().await.transpose()? {
            rest.push(image);
        }
        rest.sort_by(|one, other| one.id.cmp(&other.id));
        self.images = stream::iter(rest.into_iter().map(Ok)).fuse().boxed();
        self.next = self.images.next().await.transpose()?;
        Ok(())
    }
}

/// Images under way at once that are asked for because the source did not list them.
const LOOKUPS: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::Attributes;
    use crate::store::memory::MemoryStore;

    fn image(first: &str) -> Image {
        let id = format!("{first}0000000-0000-4000-8000-000000000000").parse().unwrap();
        Image::queued(id, Attributes::default())
    }

    /// The pairs of two listings, by the first letters of their ids.
    async fn paired(source: &[&str], target: &[&str]) -> Vec<Pair> {
        let listing = |ids: &[&str]| Listing {
            name: "a store".to_owned(),
            images: stream::iter(ids.iter().map(|id| Ok(image(id))).collect::<Vec<_>>())
                .fuse()
                .boxed(),
            next: None,
            last: None,
        };
        join(listing(source), listing(target)).try_collect().await.unwrap()
    }

    #[tokio::test]
    async fn pairs_come_in_order_whatever_the_listings() {
        let both = |id| Pair::Both(image(id), image(id));
        let expected = [Pair::SourceOnly(image("0")), both("a"), Pair::TargetOnly(image("b"))];
        assert_eq!(paired(&["0", "a"], &["a", "b"]).await, expected);
        assert_eq!(paired(&[], &[]).await, []);
        // The order of a database that does not tell capital letters from small ones.
        let found = paired(&["a", "B", "c", "D"], &["a", "B", "c", "e"]).await;
        let expected = [
            both("a"),
            both("B"),
            Pair::SourceOnly(image("D")),
            both("c"),
            Pair::TargetOnly(image("e")),
        ];
        assert_eq!(found, expected);
    }

    /// A store of images without data, by the first letter of their ids and their names.
    async fn store(images: &[(&str, &str)]) -> MemoryStore {
        let store = MemoryStore::new("memory");
        for (first, name) in images {
            let mut image = image(first);
            image.attributes.name = Some((*name).to_owned());
            store.create(&image).await.unwrap();
        }
        store
    }

    /// The pairs, each as the first letter of the id behind `=`, `-` or `+`.
    async fn selected(source: &MemoryStore, target: &MemoryStore, wanted: &[&str]) -> String {
        let selection = Selection::new(wanted.iter().map(|text| text.parse().unwrap()), [], []);
        let pairs = pairs(source, target, &selection).await.unwrap();
        let pairs: Vec<Pair> = pairs.try_collect().await.unwrap();
        let short = pairs.iter().map(|pair| match pair {
            Pair::Both(image, _) => format!("={}", &image.id.as_str()[..1]),
            Pair::SourceOnly(image) => format!("-{}", &image.id.as_str()[..1]),
            Pair::TargetOnly(image) => format!("+{}", &image.id.as_str()[..1]),
            Pair::Ambiguous(..) => unreachable!("ids are never ambiguous"),
        });
        short.collect::<Vec<_>>().join(" ")
    }

    #[tokio::test]
    async fn what_is_filtered_out_is_not_gone() {
        let source = store(&[("0", "in"), ("1", "in"), ("2", "out"), ("3", "out")]).await;
        // The replicas of 1 and 2 have other names, those of 5 to 9 have lost their images.
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
