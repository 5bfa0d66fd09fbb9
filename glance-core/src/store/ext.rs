//! Operations that every [`ImageStore`] has, in terms of the trait's own.

use async_trait::async_trait;

use super::{ImageStore, StoreError, StoreErrorKind};
use crate::image::{Image, ImageId, Member};

/// Operations on top of [`ImageStore`]. Every store has them.
///
/// ```
/// use glance_core::image::{Attributes, Image, ImageId, Visibility};
/// use glance_core::store::memory::MemoryStore;
/// use glance_core::store::{ImageStore, ImageStoreExt, StoreError};
///
/// # #[tokio::main]
/// # async fn main() -> Result<(), StoreError> {
/// let store = MemoryStore::new("memory");
/// let shared = Attributes { visibility: Visibility::Shared, ..Attributes::default() };
/// let image = store.create(&Image::queued(ImageId::random(), shared)).await?;
/// assert_eq!(store.find(&image.id).await?, Some(image.clone()));
/// assert_eq!(store.members_if_shown(&image.id).await?, Some(Vec::new()));
///
/// store.delete(&image.id).await?;
/// assert_eq!(store.find(&image.id).await?, None);
/// # Ok(())
/// # }
/// ```
#[async_trait]
pub trait ImageStoreExt: ImageStore {
    /// Returns one image, or `None` if the store has no image with this id.
    ///
    /// # Errors
    /// Those of [`get`](ImageStore::get) other than [`StoreErrorKind::NotFound`].
    async fn find(&self, id: &ImageId) -> Result<Option<Image>, StoreError> {
        match self.get(id).await {
            Ok(image) => Ok(Some(image)),
            Err(error) if error.kind == StoreErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Returns the members of a shared image, or `None` if the store does not show them. Glance
    /// shows all members only to the image's owner.
    ///
    /// # Errors
    /// Those of [`members`](ImageStore::members) other than [`StoreErrorKind::NotFound`] and
    /// [`StoreErrorKind::Forbidden`].
    async fn members_if_shown(&self, id: &ImageId) -> Result<Option<Vec<Member>>, StoreError> {
        match self.members(id).await {
            Ok(members) => Ok(Some(members)),
            Err(error)
                if matches!(error.kind, StoreErrorKind::NotFound | StoreErrorKind::Forbidden) =>
            {
                tracing::info!("the members of image {id} are not shown: {error}");
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}

impl<T: ImageStore + ?Sized> ImageStoreExt for T {}
