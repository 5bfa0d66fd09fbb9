//! A dump as a stream: a tar archive, in the order in which it can be written and read on the fly.
//!
//! It begins with the manifest, which says that it is not complete yet, and what stands beside the
//! images. For each image its record follows, then its data, plain. A record that had no digest is
//! repeated after the data, with one. Images that refer to others (`kernel_id`, `ramdisk_id`) are announced
//! by their records alone, and come behind all others, record and data. Where the source failed, `<id>.failed` follows, and says why; the
//! data before it, filled up with zeros, is nothing. At the end stand `SHA512SUMS` and the manifest,
//! which then says that the dump is complete.
//!
//! `tar -x` makes a dump of it, which [`DumpStore`](crate::DumpStore) reads.

use std::io;

use glance_core::StoreError;
use glance_core::image::Image;
use glance_core::project::Project;
use glance_core::store::StoreErrorKind;
use serde_json::Value;

mod export;
mod import;
mod incoming;
mod tar;

pub use export::export;
pub use import::{Listed, StreamStore};

/// What stands beside the images of a stream.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Beside {
    /// The projects that own the images or share them.
    pub projects: Vec<Project>,
    /// Namespaces of metadata definitions, as `GET /v2/metadefs/namespaces/{namespace}` shows them.
    pub metadefs: Vec<Value>,
}

/// Whether an image names others that it is started with (Glance's schema of images).
fn refers_to_others(image: &Image) -> bool {
    let refers = |key| image.attributes.properties.get(key).is_some_and(|id| !id.is_empty());
    refers("kernel_id") || refers("ramdisk_id")
}

/// What it means that a stream failed.
fn failed(operation: &'static str, error: io::Error) -> StoreError {
    let (kind, reason) = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
            (StoreErrorKind::LimitReached, "there is no more room")
        }
        io::ErrorKind::BrokenPipe => (StoreErrorKind::Server, "its reader has gone"),
        io::ErrorKind::UnexpectedEof => {
            (StoreErrorKind::Unreadable, "it was cut: it ends before its last entry")
        }
        io::ErrorKind::InvalidData => (StoreErrorKind::Unreadable, "it is not a stream of a dump"),
        _ => (StoreErrorKind::Server, "it failed"),
    };
    let failure = StoreError::new(kind, &NAME, operation, reason);
    match error.kind() {
        io::ErrorKind::UnexpectedEof | io::ErrorKind::BrokenPipe => failure,
        _ => failure.caused_by(error),
    }
}

/// How messages call it.
const NAME: &str = "the stream";
