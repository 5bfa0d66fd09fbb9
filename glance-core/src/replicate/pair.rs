//! Finding the replica of every image.

use std::cmp::Ordering;

use futures_util::stream::{self, BoxStream, StreamExt};

use crate::image::{Image, ImageId};
use crate::store::{ImageStore, ImageStream, StoreError, StoreErrorKind};

/// The image of one id in two stores.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pair {
    /// Both stores hold it.
    Both(Image, Image),
    /// Only the source holds it.
    SourceOnly(Image),
    /// Only the target holds it.
    TargetOnly(Image),
}

impl Pair {
    /// The source's image and its replica, unless only the target has it.
    pub fn at_source(self) -> Option<(Image, Option<Image>)> {
        match self {
            Self::Both(image, replica) => Some((image, Some(replica))),
            Self::SourceOnly(image) => Some((image, None)),
            Self::TargetOnly(_) => None,
        }
    }
}

/// Lists both stores at once and pairs their images by id, in ascending order. Memory holds what
/// the two listings have under way, never all of them.
///
/// # Errors
/// When one of the stores can't be listed; once the pairs have begun, as the last of them.
pub async fn pairs<'a>(
    source: &'a dyn ImageStore,
    target: &'a dyn ImageStore,
) -> Result<BoxStream<'a, Result<Pair, StoreError>>, StoreError> {
    let begun = tokio::try_join!(Listing::begin(source), Listing::begin(target))?;
    let pairs = stream::try_unfold(begun, |(mut source, mut target)| async move {
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
    Ok(pairs.boxed())
}

/// A listing under way.
struct Listing<'a> {
    store: &'a dyn ImageStore,
    images: ImageStream<'a>,
    next: Option<Image>,
    last: Option<ImageId>,
}

impl<'a> Listing<'a> {
    async fn begin(store: &'a dyn ImageStore) -> Result<Self, StoreError> {
        Ok(Self { store, images: store.list().await?, next: None, last: None })
    }

    /// Waits for the next image, unless it is there.
    async fn fill(&mut self) -> Result<(), StoreError> {
        if self.next.is_some() {
            return Ok(());
        }
        let Some(image) = self.images.next().await.transpose()? else { return Ok(()) };
        // Out of order, an image would be taken for missing, and be copied or deleted.
        if self.last.as_ref().is_some_and(|last| *last >= image.id) {
            let reason = format!("{} comes out of order", image.id);
            return Err(StoreError::new(
                StoreErrorKind::Unreadable,
                self.store,
                "list the images",
                reason,
            ));
        }
        self.last = Some(image.id.clone());
        self.next = Some(image);
        Ok(())
    }
}
