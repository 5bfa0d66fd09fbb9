//! Reads CA bundles strictly: what can't be used is an error, never skipped.
//!
//! A bundle with one certificate less than its owner believes fails on the day when that one is
//! needed. TLS libraries skip what they can't read; so both get their certificates from here.

use std::path::{Path, PathBuf};
use std::{fs, io};

use x509_cert::der::{self, Decode};

/// One certificate of a bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// The certificate, DER.
    pub der: Vec<u8>,
    /// The file it stands in.
    pub file: PathBuf,
    /// The line its block begins on, from 1; 0 in a DER file.
    pub line: usize,
}

/// A bundle that can't be used.
#[derive(Debug, thiserror::Error)]
#[error("{}", self.text())]
pub struct BundleError {
    /// What is wrong.
    pub what: String,
    /// The file or directory.
    pub file: PathBuf,
    /// The line, from 1, where there is one.
    pub line: Option<usize>,
    /// Why it could not be read.
    pub source: Option<io::Error>,
}

impl BundleError {
    fn text(&self) -> String {
        let file = self.file.display();
        match (&self.source, self.line) {
            (Some(_), _) => format!("cannot read {file}"),
            (None, Some(line)) => format!("{file}, line {line}: {}", self.what),
            (None, None) => format!("{file}: {}", self.what),
        }
    }
}

/// Reads the certificates of a file (PEM, or one in DER) or of a directory (each file named
/// `*.pem`, `*.crt`, `*.cer` or, by its hash, `*.0` to `*.9`), each certificate once.
///
/// # Errors
/// When anything in it can't be used, and when it has no certificate.
pub fn load(path: &Path) -> Result<Vec<Certificate>, BundleError> {
    let directory = fs::metadata(path).map_err(|error| unreadable(path, error))?.is_dir();
    let files = if directory { files_of(path)? } else { vec![path.to_owned()] };
    let mut all: Vec<Certificate> = Vec::new();
    for file in files {
        let bytes = fs::read(&file).map_err(|error| unreadable(&file, error))?;
        for certificate in parse(&bytes, &file)? {
            if !all.iter().any(|known| known.der == certificate.der) {
                all.push(certificate);
            }
        }
    }
    if all.is_empty() {
        return Err(broken(path, None, "there is no certificate in it"));
    }
    Ok(all)
}

fn files_of(directory: &Path) -> Result<Vec<PathBuf>, BundleError> {
    let entries = fs::read_dir(directory).map_err(|error| unreadable(directory, error))?;
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.map_err(|error| unreadable(directory, error))?.path();
        let ending = path.extension().and_then(|ending| ending.to_str());
        let hashed = |ending: &str| ending.len() == 1 && ending.as_bytes()[0].is_ascii_digit();
        let fits = |ending: &str| matches!(ending, "pem" | "crt" | "cer") || hashed(ending);
        if ending.is_some_and(fits) && !path.is_dir() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn parse(bytes: &[u8], file: &Path) -> Result<Vec<Certificate>, BundleError> {
    if bytes.starts_with(&[0x30, 0x82]) {
        return Ok(vec![checked(bytes.to_vec(), file, 0)?]);
    }
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    // Comments may be in any encoding; the blocks themselves are ASCII, or fail as base64.
    let text = String::from_utf8_lossy(bytes);
    let mut found = Vec::new();
    let mut open: Option<Block> = None;
    for (index, line) in text.split('\n').enumerate() {
        let line = line.trim_end();
        let number = index + 1;
        match (&mut open, boundary(line)) {
            (None, Some(("BEGIN", label))) => open = Some(Block::new(label, number)),
            (Some(block), Some(("END", label))) if label == block.label => {
                found.extend(block.certificate(file)?);
                open = None;
            }
            (Some(block), None) => block.push(line, number, file)?,
            (None, None) if !line.contains("-----BEGIN") && !line.contains("-----END") => {}
            _ => return Err(broken(file, Some(number), "a BEGIN or END line that fits nothing")),
        }
    }
    match open {
        Some(block) => {
            let what = format!("the block BEGIN {} has no END", block.label);
            Err(broken(file, Some(block.line), &what))
        }
        None => Ok(found),
    }
}

/// `-----BEGIN LABEL-----` or `-----END LABEL-----`, alone on its line.
fn boundary(line: &str) -> Option<(&str, &str)> {
    let (word, label) = line.strip_prefix("-----")?.strip_suffix("-----")?.split_once(' ')?;
    (matches!(word, "BEGIN" | "END") && !label.contains("-----")).then_some((word, label))
}

struct Block {
    label: String,
    line: usize,
    base64: String,
}

impl Block {
    fn new(label: &str, line: usize) -> Self {
        Self { label: label.to_owned(), line, base64: String::new() }
    }

    fn is_certificate(&self) -> bool {
        self.label == "CERTIFICATE" || self.label == "X509 CERTIFICATE"
    }

    fn push(&mut self, line: &str, number: usize, file: &Path) -> Result<(), BundleError> {
        let base64 = |byte: u8| byte.is_ascii_alphanumeric() || b"+/= \t".contains(&byte);
        if self.is_certificate() && !line.bytes().all(base64) {
            return Err(broken(file, Some(number), "this is not base64"));
        }
        self.base64.extend(line.chars().filter(|char| !char.is_whitespace()));
        Ok(())
    }

    /// The certificate in this block; none in a key, a CSR and the like.
    fn certificate(&self, file: &Path) -> Result<Option<Certificate>, BundleError> {
        if self.label == "TRUSTED CERTIFICATE" {
            let what = "OpenSSL's TRUSTED CERTIFICATE is not supported; \
                        convert it by `openssl x509 -in FILE -out NEW`";
            return Err(broken(file, Some(self.line), what));
        }
        if !self.is_certificate() {
            return Ok(None);
        }
        // The decoder insists on lines of 64; in files they are of any length.
        let mut pem = String::from("-----BEGIN CERTIFICATE-----\n");
        for (index, char) in self.base64.chars().enumerate() {
            if index > 0 && index % 64 == 0 {
                pem.push('\n');
            }
            pem.push(char);
        }
        pem.push_str("\n-----END CERTIFICATE-----\n");
        let (_, der) = der::pem::decode_vec(pem.as_bytes())
            .map_err(|_| broken(file, Some(self.line), "the certificate's base64 is damaged"))?;
        checked(der, file, self.line).map(Some)
    }
}

fn checked(der: Vec<u8>, file: &Path, line: usize) -> Result<Certificate, BundleError> {
    match x509_cert::Certificate::from_der(&der) {
        Ok(_) => Ok(Certificate { der, file: file.to_owned(), line }),
        Err(error) => {
            let what = format!("this is no certificate: {error}");
            Err(broken(file, (line > 0).then_some(line), &what))
        }
    }
}

fn unreadable(file: &Path, error: io::Error) -> BundleError {
    let what = "it can't be read".to_owned();
    BundleError { what, file: file.to_owned(), line: None, source: Some(error) }
}

fn broken(file: &Path, line: Option<usize>, what: &str) -> BundleError {
    BundleError { what: what.to_owned(), file: file.to_owned(), line, source: None }
}

#[cfg(test)]
mod tests;
