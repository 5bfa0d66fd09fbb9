//! The destinations of results.

use std::fs::File;
use std::io::{self, BufWriter, Seek, Write};
use std::path::PathBuf;

use super::spool::{Spool, Spooled};
use super::{note_failure, standard};
use crate::args::Output;
use crate::error::CliError;
use crate::named_file::NamedFile;

/// A destination of results in one format.
#[derive(Debug)]
pub(super) struct Sink {
    pub(super) format: Output,
    place: Place,
}

#[derive(Debug)]
enum Place {
    /// Standard output, or standard error if standard output carries a stream.
    Standard,
    File(ReportFile),
    /// The document that other reports are made from.
    Spool(Spool),
}

/// A report file that is being written. The file appears under its name when it is complete.
#[derive(Debug)]
struct ReportFile {
    path: PathBuf,
    file: BufWriter<NamedFile>,
    /// The error of the first failed write.
    failure: Option<io::Error>,
}

impl Sink {
    pub(super) fn standard(format: Output) -> Self {
        Self { format, place: Place::Standard }
    }

    /// A report file. An earlier report of this name is removed, because it could be mistaken for the
    /// report of this run if this run is killed.
    pub(super) fn file(path: PathBuf, format: Output) -> Result<Self, CliError> {
        let file = BufWriter::new(create(&path)?);
        Ok(Self { format, place: Place::File(ReportFile { path, file, failure: None }) })
    }

    /// The document in a temporary file.
    pub(super) fn spool() -> Self {
        let spool = Spool::in_directory(std::env::temp_dir());
        Self { format: Output::Json, place: Place::Spool(spool) }
    }

    pub(super) fn is_standard(&self) -> bool {
        matches!(self.place, Place::Standard)
    }

    pub(super) fn is_spool(&self) -> bool {
        matches!(self.place, Place::Spool(_))
    }

    /// Writes a text. The end of the command reports a failed write.
    pub(super) fn write(&mut self, text: &str) {
        match &mut self.place {
            Place::Standard => note_failure(standard().write_all(text.as_bytes())),
            Place::File(report) => report.note(|file| file.write_all(text.as_bytes())),
            Place::Spool(spool) => spool.append(text.as_bytes()),
        }
    }

    /// Writes the contents of a file.
    pub(super) fn copy(&mut self, mut text: &File) {
        match &mut self.place {
            Place::Standard => {
                let copied = text.rewind().and_then(|()| io::copy(&mut text, &mut standard()));
                note_failure(copied.map(drop));
            }
            Place::File(report) => {
                report.note(|file| {
                    text.rewind()?;
                    io::copy(&mut text, file).map(drop)
                });
            }
            Place::Spool(spool) => match text.rewind() {
                Ok(()) => spool.append(text),
                Err(error) => spool.fail(error),
            },
        }
    }

    /// Completes the destination: a file gets its name. Returns the spooled document.
    pub(super) fn end(self) -> Result<Option<Spooled>, CliError> {
        match self.place {
            Place::Standard => Ok(None),
            Place::Spool(mut spool) => Ok(Some(spool.finish())),
            Place::File(ReportFile { path, file, failure }) => {
                let kept = match failure {
                    Some(failure) => Err(failure),
                    None => file.into_inner().map_err(io::IntoInnerError::into_error),
                };
                kept.and_then(NamedFile::keep).map_err(|error| cannot_write(path, error))?;
                Ok(None)
            }
        }
    }
}

impl ReportFile {
    fn note(&mut self, write: impl FnOnce(&mut BufWriter<NamedFile>) -> io::Result<()>) {
        if self.failure.is_none() {
            self.failure = write(&mut self.file).err();
        }
    }
}

/// Creates a report file.
pub(super) fn create(path: &PathBuf) -> Result<NamedFile, CliError> {
    NamedFile::create_anew(path).map_err(|error| cannot_write(path.clone(), error))
}

/// The error of a report file.
pub(crate) fn cannot_write(path: PathBuf, error: io::Error) -> CliError {
    CliError::unwritten(format!("cannot write the report {}", path.display()), error)
}
