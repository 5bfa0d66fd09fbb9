//! Report files that are made from the complete JSON document.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, IntoInnerError, Seek};

use serde_json::Value;

use self::document::Outline;
use super::write_page;
use crate::args::ReportFormat;
use crate::error::CliError;
use crate::exit::Exit;
use crate::metrics;
use crate::named_file::NamedFile;
use crate::output::{self, Closed, DerivedReport, Spooled};

mod case;
pub(crate) mod document;
mod junit;
mod ticket;

/// Completes the output of a command and writes its report files. Returns a worse exit if something
/// could not be written.
pub(crate) fn end(exit: Exit) -> Exit {
    end_keeping_document(exit).0
}

/// Like [`end`], and returns the document if another command's document will contain it.
pub(crate) fn end_keeping_document(exit: Exit) -> (Exit, Option<Spooled>) {
    let Closed { mut exit, document, reports } = output::end(exit);
    for report in reports {
        let path = report.path.clone();
        let written = match &document {
            Some(Spooled::Text(document)) => {
                write(report, document).map_err(|error| output::cannot_write(&path, error))
            }
            // The failure of the temporary file is already reported.
            _ => Err(CliError::limit(format!("cannot make the report {}", path.display()))),
        };
        if let Err(error) = written {
            exit = exit.worse(output::failure(&error));
        }
    }
    // The metrics have the final exit code.
    if let Err(error) = metrics::end(exit) {
        exit = exit.worse(output::failure(&error));
    }
    (exit, document)
}

/// Writes a report file from the document.
fn write(report: DerivedReport, document: &File) -> io::Result<()> {
    let mut file = BufWriter::new(report.file);
    let mut whole: &File = document;
    let document = Document(document);
    match report.format {
        ReportFormat::Html => write_page(&mut whole, &mut file)?,
        ReportFormat::JUnit => junit::write(&document, &mut file)?,
        _ => ticket::write(&document, &mut file)?,
    }
    file.into_inner().map_err(IntoInnerError::into_error).and_then(NamedFile::keep)
}

/// A complete document, which can be read several times.
struct Document<'a>(&'a File);

impl Document<'_> {
    /// The document without the entries of its lists.
    fn outline(&self) -> io::Result<Outline> {
        Ok(document::outline(self.reader()?)?)
    }

    /// Passes on the entries of a list.
    fn entries(&self, place: &[&str], each: &mut dyn FnMut(Value)) -> io::Result<()> {
        Ok(document::entries(self.reader()?, place, each)?)
    }

    fn reader(&self) -> io::Result<BufReader<&File>> {
        let mut file = self.0;
        file.rewind()?;
        Ok(BufReader::new(file))
    }
}
