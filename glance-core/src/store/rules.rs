//! Glance's rules about images, for stores that keep records themselves.

use std::fmt::Display;

use super::{StoreError, StoreErrorKind};
use crate::image::{Image, ImageId, Visibility};

/// The rule that forbids an operation: the kind of the error, and the reason.
pub(super) struct Refusal(pub(super) StoreErrorKind, pub(super) String);

impl Refusal {
    /// The error of `store`, which keeps the rule.
    pub(super) fn at(
        self,
        store: &(impl Display + ?Sized),
        operation: &'static str,
        id: &ImageId,
    ) -> StoreError {
        StoreError::new(self.0, &store, operation, self.1).on(id)
    }
}

pub(super) fn no_such_image() -> Refusal {
    Refusal(StoreErrorKind::NotFound, "there is no such image".to_owned())
}

pub(super) fn must_be_shared(image: &Image) -> Result<(), Refusal> {
    match image.attributes.visibility {
        Visibility::Shared => Ok(()),
        other => {
            let reason = format!("the image is {other}, not shared");
            Err(Refusal(StoreErrorKind::Forbidden, reason))
        }
    }
}

/// The refusal of an image whose status does not allow an operation.
pub(super) fn needs(image: &Image, wanted: &str) -> Refusal {
    let reason = format!("the image is {}, not {wanted}", image.status);
    Refusal(StoreErrorKind::Conflict, reason)
}

/// The names of operations in errors.
pub(super) const READ_RECORD: &str = "read the record";
pub(super) const READ_MEMBERS: &str = "read the members";
pub(super) const READ_DATA: &str = "read the data";
pub(super) const UPLOAD: &str = "store the data";
