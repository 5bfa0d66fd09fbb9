//! A dump as a stream: a tar archive whose order allows writing and reading it on the fly.
//!
//! The stream begins with the manifest, marked as incomplete, followed by projects and metadata
//! definitions. Each image follows as its record and its uncompressed data. If the record had no
//! digest, it is repeated after the data, with one. Images that refer to others (`kernel_id`,
//! `ramdisk_id`) are first announced by their records alone; record and data follow after all other
//! images. If the source fails during an image, its data is padded with zeros and invalid, and
//! `<id>.failed` follows with the reason. `SHA512SUMS` and a second manifest come last; the latter
//! marks the dump as complete.
//!
//! `tar -x` turns the stream into a dump that [`DumpStore`](crate::DumpStore) can read.

use std::io;

use glance_core::StoreError;
use glance_core::project::Project;
use glance_core::store::StoreErrorKind;
use serde_json::Value;

mod import;
mod incoming;
mod tar;
mod tar_writer;

pub use import::{Listed, StreamStore};
pub use tar_writer::TarWriter;

/// The content of a stream other than images.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Extras {
    /// The projects that own the images or share them.
    pub projects: Vec<Project>,
    /// Namespaces of metadata definitions, as `GET /v2/metadefs/namespaces/{namespace}` shows them.
    pub metadefs: Vec<Value>,
}

/// Turns an I/O error of a stream into a store error.
fn failed(operation: &'static str, error: io::Error) -> StoreError {
    let (kind, reason) = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
            (StoreErrorKind::LimitReached, "no space is left")
        }
        io::ErrorKind::BrokenPipe => (StoreErrorKind::Server, "the reader of the stream has gone"),
        io::ErrorKind::UnexpectedEof => {
            (StoreErrorKind::Unreadable, "the stream was truncated: it ends before its last entry")
        }
        io::ErrorKind::InvalidData => {
            (StoreErrorKind::Unreadable, "the input is not the stream of a dump")
        }
        _ => (StoreErrorKind::Server, "the stream failed"),
    };
    let failure = StoreError::new(kind, &NAME, operation, reason);
    match error.kind() {
        io::ErrorKind::UnexpectedEof | io::ErrorKind::BrokenPipe => failure,
        _ => failure.caused_by(error),
    }
}

/// The name of the stream in messages.
const NAME: &str = "the stream";
