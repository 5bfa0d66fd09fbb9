//! Temporary files for the parts of a JSON document that are written before their place is reached.

use std::fs::File;
use std::io::{self, BufWriter, IntoInnerError, Read, Seek};
use std::path::PathBuf;

use safe_files::dir::Dir;

use super::note_spool_failure;

/// The text of a part of a document. The first write creates a temporary file.
#[derive(Debug)]
pub(super) struct Spool {
    directory: PathBuf,
    file: Option<BufWriter<File>>,
    is_failed: bool,
}

/// The text of a completed spool.
#[derive(Debug)]
pub(crate) enum Spooled {
    /// Nothing was written.
    Nothing,
    /// The file contains the text and is at its start.
    Text(File),
    /// A write failed.
    Lost,
}

impl Spool {
    pub(super) fn in_directory(directory: PathBuf) -> Self {
        Self { directory, file: None, is_failed: false }
    }

    /// Appends a text. The end of the command reports a failed write. After a failure, nothing more
    /// is written: the text would lack an entry and still look complete.
    pub(super) fn append(&mut self, text: impl Read) {
        if self.is_failed {
            return;
        }
        if let Err(error) = self.try_append(text) {
            self.fail(error);
        }
    }

    fn try_append(&mut self, mut text: impl Read) -> io::Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            None => self.file.insert(BufWriter::new(Dir::open(&self.directory)?.unnamed_file()?)),
        };
        io::copy(&mut text, file).map(drop)
    }

    /// Records a failed write.
    pub(super) fn fail(&mut self, error: io::Error) {
        self.is_failed = true;
        note_spool_failure(&self.directory, error);
    }

    /// Whether nothing was appended.
    pub(super) fn is_empty(&self) -> bool {
        self.file.is_none()
    }

    /// The complete text. Nothing can be appended afterwards.
    pub(super) fn finish(&mut self) -> Spooled {
        match self.file.take().map(rewound) {
            _ if self.is_failed => Spooled::Lost,
            None => Spooled::Nothing,
            Some(Ok(file)) => Spooled::Text(file),
            Some(Err(error)) => {
                self.fail(error);
                Spooled::Lost
            }
        }
    }
}

/// The file at its start, with everything that was written.
fn rewound(file: BufWriter<File>) -> io::Result<File> {
    let mut file = file.into_inner().map_err(IntoInnerError::into_error)?;
    file.rewind()?;
    Ok(file)
}
