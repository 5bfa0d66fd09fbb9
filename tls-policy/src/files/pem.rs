//! Reads PEM files strictly: a block that cannot be used is an error and is never skipped.

use std::path::{Path, PathBuf};
use std::{fs, io};

use base64::prelude::{BASE64_STANDARD, Engine};

use super::forms::{self, Wanted};

/// A file with certificates, keys or revocation lists that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{}", self.text())]
#[non_exhaustive]
pub struct TlsFileError {
    /// Description of the error.
    pub what: String,
    /// The file or directory.
    pub file: PathBuf,
    /// The line, from 1, if the error concerns one.
    pub line: Option<usize>,
    /// The error of the filesystem, if the file could not be read.
    pub source: Option<io::Error>,
}

impl TlsFileError {
    /// An error in `file`, optionally with a line number.
    pub fn new(file: &Path, line: Option<usize>, what: &str) -> Self {
        Self { what: what.to_owned(), file: file.to_owned(), line, source: None }
    }

    /// The error for a file that cannot be read.
    pub fn unreadable(file: &Path, error: io::Error) -> Self {
        Self { source: Some(error), ..Self::new(file, None, "cannot be read") }
    }

    fn text(&self) -> String {
        let file = self.file.display();
        match (&self.source, self.line) {
            (Some(_), _) => format!("cannot read {file}"),
            (None, Some(line)) => format!("{file}, line {line}: {}", self.what),
            (None, None) => format!("{file}: {}", self.what),
        }
    }
}

/// A block between BEGIN and END.
pub(crate) struct Block {
    /// The label, such as `CERTIFICATE`.
    pub(crate) label: String,
    /// The line of BEGIN, from 1.
    pub(crate) line: usize,
    lines: Vec<String>,
}

pub(crate) fn read(file: &Path) -> Result<Vec<u8>, TlsFileError> {
    fs::read(file).map_err(|error| TlsFileError::unreadable(file, error))
}

/// Whether a file is DER rather than PEM: a SEQUENCE of 128 bytes or more. Large revocation lists
/// have a length of three bytes.
pub(crate) fn is_der(bytes: &[u8]) -> bool {
    matches!(bytes, [0x30, 0x81..=0x84, ..])
}

/// The error for a file that does not contain the wanted object. `others` are the labels of other
/// blocks in it.
pub(crate) fn nothing(
    file: &Path,
    bytes: &[u8],
    wanted: Wanted,
    others: &[String],
) -> TlsFileError {
    let what = match wanted {
        Wanted::Certificate | Wanted::ClientCertificate => "certificate",
        Wanted::PrivateKey => "private key",
        Wanted::RevocationList => "revocation list (X509 CRL)",
    };
    let why = match others {
        [] => forms::named(bytes, wanted).map(|form| format!("; {form}")),
        _ => Some(format!(", only {}", others.join(", "))),
    };
    let what = format!("no {what} found{}", why.unwrap_or_default());
    TlsFileError::new(file, None, &what)
}

/// The blocks of a PEM file. Text between the blocks is ignored.
pub(crate) fn blocks(bytes: &[u8], file: &Path) -> Result<Vec<Block>, TlsFileError> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    // Comments may be in any encoding; the blocks themselves are ASCII, or fail as base64.
    let text = String::from_utf8_lossy(bytes);
    let mut found = Vec::new();
    let mut open: Option<Block> = None;
    for (index, line) in text.split('\n').enumerate() {
        let line = line.trim_end();
        let number = index + 1;
        let wrong = |what: String| Err(TlsFileError::new(file, Some(number), &what));
        match (&mut open, boundary(line)) {
            (None, Some(("BEGIN", label))) => {
                open = Some(Block { label: label.to_owned(), line: number, lines: Vec::new() });
            }
            (Some(block), Some(("END", label))) if label == block.label => {
                found.extend(open.take());
            }
            (Some(block), Some(("BEGIN", _))) => return Err(block.without_end(file)),
            (Some(block), Some((_, label))) => {
                return wrong(format!("END {label} does not match BEGIN {}", block.label));
            }
            (None, Some((_, label))) => {
                return wrong(format!("END {label} has no BEGIN before it"));
            }
            (block, None) => match (damaged_boundary(line), block) {
                (Some(what), _) => return wrong(what.to_owned()),
                (None, Some(block)) => block.lines.push(line.to_owned()),
                (None, None) => {}
            },
        }
    }
    match open {
        Some(block) => Err(block.without_end(file)),
        None => Ok(found),
    }
}

/// `-----BEGIN LABEL-----` or `-----END LABEL-----`, alone on its line.
fn boundary(line: &str) -> Option<(&str, &str)> {
    let (word, label) = line.strip_prefix("-----")?.strip_suffix("-----")?.split_once(' ')?;
    (matches!(word, "BEGIN" | "END") && !label.contains("-----")).then_some((word, label))
}

/// The damage to a line that was once BEGIN or END, with the remedy; `None` for other lines.
fn damaged_boundary(line: &str) -> Option<&'static str> {
    if line.contains("-----BEGIN") || line.contains("-----END") {
        return Some(match line {
            _ if line.contains("-----\\n") => WRITTEN_BREAKS,
            _ if line.contains('\r') => MAC_BREAKS,
            _ if boundary(line.trim_start()).is_some() => INDENTED,
            _ => NO_BREAKS,
        });
    }
    // Word processors replace two hyphens by a dash, and incomplete copying leaves four hyphens.
    let dashes = ['-', '\u{2010}', '\u{2011}', '\u{2012}', '\u{2013}', '\u{2014}', '\u{2212}'];
    let inner = line.trim_start().strip_prefix(dashes)?.trim_start_matches(dashes);
    let is_boundary = inner.starts_with("BEGIN ") || inner.starts_with("END ");
    (is_boundary && inner.ends_with(dashes)).then_some(WRONG_DASHES)
}

const WRITTEN_BREAKS: &str = "the line breaks are written as \\n; \
    convert the file to PEM with `printf '%b' \"$(tr -d '\"' < FILE)\" > NEW`";
const MAC_BREAKS: &str = "the line breaks are carriage returns; \
    convert the file to PEM with `tr '\\r' '\\n' < FILE > NEW`";
const INDENTED: &str = "there are blanks before BEGIN or END; \
    convert the file to PEM with `sed 's/^[[:blank:]]*//' FILE > NEW`";
const NO_BREAKS: &str = "line breaks are missing; convert the file to PEM with \
    `sed -E 's/[[:blank:]]*(-----(BEGIN|END) [A-Z0-9 ]+-----)[[:blank:]]*/\\n\\1\\n/g' FILE > NEW`";
const WRONG_DASHES: &str = "write five hyphens before and after BEGIN and END";

impl Block {
    fn without_end(&self, file: &Path) -> TlsFileError {
        let what = format!("the block BEGIN {} has no END", self.label);
        TlsFileError::new(file, Some(self.line), &what)
    }

    /// Whether the block has headers, as in OpenSSL's old format of encrypted keys.
    pub(crate) fn has_headers(&self) -> bool {
        self.lines.iter().any(|line| line.contains(':'))
    }

    /// Decodes the contents of the block.
    pub(crate) fn decode(&self, file: &Path) -> Result<Vec<u8>, TlsFileError> {
        let base64 = |byte: u8| byte.is_ascii_alphanumeric() || b"+/= \t".contains(&byte);
        for (index, line) in self.lines.iter().enumerate() {
            if !line.bytes().all(base64) {
                let number = self.line + 1 + index;
                return Err(TlsFileError::new(file, Some(number), "this line is not base64"));
            }
        }
        let all: String = self.lines.iter().flat_map(|line| line.split_whitespace()).collect();
        BASE64_STANDARD.decode(all).map_err(|_| {
            let what = format!("the base64 in the block BEGIN {} is damaged", self.label);
            TlsFileError::new(file, Some(self.line), &what)
        })
    }
}
