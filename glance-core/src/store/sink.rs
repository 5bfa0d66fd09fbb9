//! Targets that take images one after the other: the [`ImageSink`] trait.

use async_trait::async_trait;

use super::StoreError;
use crate::body::Body;
use crate::error::BodyError;
use crate::image::{Image, ImageId, Member};
use crate::verified_body::DataVerdict;

/// A target that takes each image once, one after the other, and cannot be read: for example a
/// stream through a pipe.
///
/// # Contract
/// - The caller calls [`finish`](Self::finish) last, and not after an error of another method. The
///   target is then truncated, which its reader detects.
/// - An image that fails is marked by [`put_missing`](Self::put_missing), also after a part of its
///   data was taken.
#[async_trait]
pub trait ImageSink: Send {
    /// Takes an image without data.
    async fn put_record(&mut self, image: &Image, members: &[Member]) -> Result<(), StoreError>;

    /// Announces an image that follows later, after the images that it refers to.
    async fn announce(&mut self, image: &Image, members: &[Member]) -> Result<(), StoreError>;

    /// Takes an image with its data, whose length is the image's size. `verdict` is the result of
    /// verifying `data`. The inner error is that of the data: it failed, or has another length.
    async fn put_image(
        &mut self,
        image: &Image,
        members: &[Member],
        data: Body,
        verdict: &DataVerdict,
    ) -> Result<Result<(), BodyError>, StoreError>;

    /// Marks an image as missing. `reason` has one line for each cause.
    async fn put_missing(&mut self, id: &ImageId, reason: &str) -> Result<(), StoreError>;

    /// Ends the output. `complete` tells whether every image was taken.
    async fn finish(&mut self, complete: bool) -> Result<(), StoreError>;
}
