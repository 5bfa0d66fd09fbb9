//! Stores in directories, dumps and OCI image layouts: how arguments name them, and how they open.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use format_dump::{DumpStore, Encoding};
use format_oci::LayoutStore;
use glance_core::digest::Hashers;
use glance_core::store::StoreError;
use safe_files::file_lock::{Holder, Lock};

use crate::error::CliError;

mod store;

pub(crate) use store::DirectoryStore;

/// A directory with a store, or for a store yet to be created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DirectoryPlace {
    pub(crate) path: PathBuf,
    pub(crate) format: DirectoryFormat,
}

/// The format of a store in a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DirectoryFormat {
    /// A dump, and the encoding of image data that is written there.
    Dump(Encoding),
    /// An OCI image layout.
    Layout,
}

impl DirectoryPlace {
    /// The directory of a dump.
    pub(crate) fn dump(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), format: DirectoryFormat::Dump(Encoding::default()) }
    }

    /// The directory that an argument names by its scheme; `None` for other arguments.
    pub(crate) fn by_scheme(word: &str) -> Option<Self> {
        if let Some(path) = word.strip_prefix("oci:") {
            return Some(Self { path: path.into(), format: DirectoryFormat::Layout });
        }
        word.strip_prefix("dir:").map(Self::dump)
    }

    /// The same directory, with compressed image data.
    pub(crate) fn compressed(self) -> Result<Self, CliError> {
        match self.format {
            DirectoryFormat::Dump(_) => {
                Ok(Self { format: DirectoryFormat::Dump(Encoding::Zstd), ..self })
            }
            DirectoryFormat::Layout => {
                let what =
                    "an OCI image layout holds the data as it is, so --compress cannot be used";
                Err(CliError::usage(what).hint("leave out --compress, or dump to a directory"))
            }
        }
    }

    /// The directory that an operand names which can be nothing else.
    pub(crate) fn of_operand(path: &Path) -> Self {
        path.to_str().and_then(Self::by_scheme).unwrap_or_else(|| Self::dump(path))
    }

    /// Whether a run would create the store.
    pub(crate) fn is_yet_to_be_made(&self) -> bool {
        match std::fs::read_dir(&self.path) {
            Ok(mut entries) => entries.next().is_none(),
            Err(error) => error.kind() == ErrorKind::NotFound,
        }
    }

    /// The address of the store, with the absolute path.
    pub(crate) fn address(&self) -> String {
        let path = std::path::absolute(&self.path).unwrap_or_else(|_| self.path.clone());
        format!("{}:{}", self.scheme(), path.display())
    }

    fn scheme(&self) -> &'static str {
        match self.format {
            DirectoryFormat::Dump(_) => "dir",
            DirectoryFormat::Layout => "oci",
        }
    }

    /// What the directory holds, in messages.
    pub(crate) fn kind(&self) -> &'static str {
        match self.format {
            DirectoryFormat::Dump(_) => "dump",
            DirectoryFormat::Layout => "layout",
        }
    }

    /// Locks the directory against other writers.
    pub(crate) fn lock(&self, holder: &Holder) -> Result<Lock, StoreError> {
        match self.format {
            DirectoryFormat::Dump(_) => DumpStore::lock(&self.path, holder),
            DirectoryFormat::Layout => LayoutStore::lock(&self.path, holder),
        }
    }

    /// Opens the store for writing, and creates it if it is missing.
    pub(crate) fn create(&self, hashers: Hashers) -> Result<DirectoryStore, StoreError> {
        Ok(match self.format {
            DirectoryFormat::Dump(encoding) => {
                let dump = DumpStore::create(&self.path)?.encoding_as(encoding);
                DirectoryStore::Dump(Arc::new(dump.hashing_with(hashers)))
            }
            DirectoryFormat::Layout => {
                let layout = LayoutStore::create(&self.path)?;
                DirectoryStore::Layout(Arc::new(layout.hashing_with(hashers)))
            }
        })
    }

    /// Opens the store for reading.
    pub(crate) fn open(&self, hashers: Hashers) -> Result<DirectoryStore, StoreError> {
        Ok(match self.format {
            DirectoryFormat::Dump(_) => {
                let dump = DumpStore::open(&self.path).map_err(|error| self.hinted(error))?;
                DirectoryStore::Dump(Arc::new(dump.hashing_with(hashers)))
            }
            DirectoryFormat::Layout => {
                let layout = LayoutStore::open(&self.path)?;
                DirectoryStore::Layout(Arc::new(layout.hashing_with(hashers)))
            }
        })
    }

    /// Opens the store as a source: an image whose data is missing is damaged, not new.
    pub(crate) fn open_source(&self, hashers: Hashers) -> Result<DirectoryStore, StoreError> {
        Ok(match self.format {
            DirectoryFormat::Dump(_) => {
                let dump = DumpStore::open(&self.path).map_err(|error| self.hinted(error))?;
                let dump = dump.expecting_data().hashing_with(hashers);
                DirectoryStore::Dump(Arc::new(dump))
            }
            DirectoryFormat::Layout => {
                let layout = LayoutStore::open(&self.path)?.expecting_data().hashing_with(hashers);
                DirectoryStore::Layout(Arc::new(layout))
            }
        })
    }

    /// Adds the word that names the directory as a layout, if it is one.
    fn hinted(&self, error: StoreError) -> StoreError {
        match self.path.join("oci-layout").is_file() {
            true => {
                let word = self.path.display();
                error.hint(format!("this is an OCI image layout: write oci:{word}"))
            }
            false => error,
        }
    }
}
