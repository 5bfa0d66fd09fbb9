//! Machine images in a directory.
//!
//! `manifest.json` says what the directory is; `ID.json` is an image's record as the v2 API shows
//! it, with its members; `ID.img` is its data. Data is written under another name and renamed
//! when it is whole and on the disk, and a record says `active` only after that: whenever the
//! writing ends, what is there is whole. Directories of the old glance-replicator are read too.

mod directory;

mod record;

mod store;

mod v1;

pub use store::DumpStore;
