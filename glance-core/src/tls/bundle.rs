//! Reads CA bundles strictly: what can't be used is an error, never skipped.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use x509_cert::der::{Decode, pem};

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
#[non_exhaustive]
pub enum BundleError {
    /// A block that looks like a certificate is none.
    #[error("{}, line {line}: {reason}", .file.display())]
    Block {
        /// The file.
        file: PathBuf,
        /// The line that the block begins on, from 1.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// There is no certificate in it.
    #[error("{} holds no certificate (PEM or DER)", .0.display())]
    Empty(PathBuf),
    /// It can't be read.
    #[error("cannot read {}: {source}", .file.display())]
    Unreadable {
        /// The file or directory.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Reads the certificates of a file (PEM or DER), or of the `.pem`, `.crt`, `.cer` and hashed
/// (`.0` to `.9`) files of a directory. Private keys and text beside certificates are passed over;
/// duplicates are dropped.
///
/// # Errors
/// When anything in it can't be used, or when there is no certificate.
pub fn load(path: &Path) -> Result<Vec<Certificate>, BundleError> {
    let unreadable = |source| BundleError::Unreadable { file: path.to_owned(), source };
    let files = match fs::metadata(path).map_err(unreadable)?.is_dir() {
        true => certificate_files(path).map_err(unreadable)?,
        false => vec![path.to_owned()],
    };
    let mut found: Vec<Certificate> = Vec::new();
    for file in files {
        for certificate in load_file(&file)? {
            if !found.iter().any(|known| known.der == certificate.der) {
                found.push(certificate);
            }
        }
    }
    match found.is_empty() {
        true => Err(BundleError::Empty(path.to_owned())),
        false => Ok(found),
    }
}

fn certificate_files(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let extension = path.extension().unwrap_or_default().to_string_lossy().into_owned();
        let hashed = extension.len() == 1 && extension.bytes().all(|byte| byte.is_ascii_digit());
        if hashed || ["pem", "crt", "cer"].contains(&extension.as_str()) {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn load_file(file: &Path) -> Result<Vec<Certificate>, BundleError> {
    let unreadable = |source| BundleError::Unreadable { file: file.to_owned(), source };
    let bytes = fs::read(file).map_err(unreadable)?;
    if bytes.starts_with(&[0x30, 0x82]) {
        return Ok(vec![certificate(file, 0, bytes)?]);
    }
    let text = String::from_utf8_lossy(&bytes);
    let mut lines = text.trim_start_matches('\u{feff}').lines().enumerate();
    let mut found = Vec::new();
    while let Some((index, line)) = lines.next() {
        let Some(label) = begin_label(line) else { continue };
        let start = index + 1;
        let block = |reason: &str| BundleError::Block {
            file: file.to_owned(),
            line: start,
            reason: reason.to_owned(),
        };
        let end = format!("-----END {label}-----");
        let mut body = String::new();
        loop {
            match lines.next() {
                None => return Err(block("the block has no END line")),
                Some((_, line)) if line.trim_end() == end => break,
                Some((_, line)) if line.contains("-----") => {
                    return Err(block("the block is not ended before the next one"));
                }
                Some((_, line)) => body.push_str(line.trim()),
            }
        }
        match label {
            "CERTIFICATE" | "X509 CERTIFICATE" => {
                let der = decode(&body).ok_or_else(|| block("the block is not base64"))?;
                found.push(certificate(file, start, der)?);
            }
            "TRUSTED CERTIFICATE" => {
                let reason = "OpenSSL's TRUSTED CERTIFICATE form carries conditions that are not \
                    honoured here: convert it with `openssl x509`";
                return Err(block(reason));
            }
            _ => {}
        }
    }
    Ok(found)
}

/// The label of a line that begins a block.
fn begin_label(line: &str) -> Option<&str> {
    line.trim_end().strip_prefix("-----BEGIN ")?.strip_suffix("-----")
}

/// Base64 in one piece, by the PEM decoder that wants lines of 64.
fn decode(base64: &str) -> Option<Vec<u8>> {
    let mut text = String::from("-----BEGIN CERTIFICATE-----\n");
    for line in base64.as_bytes().chunks(64) {
        text.push_str(std::str::from_utf8(line).ok()?);
        text.push('\n');
    }
    text.push_str("-----END CERTIFICATE-----\n");
    pem::decode_vec(text.as_bytes()).ok().map(|(_label, der)| der)
}

fn certificate(file: &Path, line: usize, der: Vec<u8>) -> Result<Certificate, BundleError> {
    match x509_cert::Certificate::from_der(&der) {
        Ok(_) => Ok(Certificate { der, file: file.to_owned(), line }),
        Err(error) => Err(BundleError::Block {
            file: file.to_owned(),
            line,
            reason: format!("it is not a certificate ({error})"),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pem() -> String {
        let key = rcgen::KeyPair::generate().unwrap();
        rcgen::CertificateParams::new(vec!["a".into()]).unwrap().self_signed(&key).unwrap().pem()
    }

    fn loaded(text: &str) -> Result<Vec<Certificate>, String> {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("bundle.pem");
        fs::write(&file, text).unwrap();
        load(&file).map_err(|error| error.to_string())
    }

    #[test]
    fn certificates_are_read_with_what_stands_around_them() {
        let (a, b) = (pem(), pem());
        let text = format!("\u{feff}# a comment\n{a}{b}\r\ntext\n{a}").replace('\n', "\r\n");
        let found = loaded(&text).unwrap();
        assert_eq!(found.len(), 2, "the duplicate is dropped");
        assert_eq!(found[0].line, 2);
    }

    #[test]
    fn what_cannot_be_used_is_an_error_with_its_line() {
        let good = pem();
        let cut = good.replace("-----END CERTIFICATE-----", "");
        assert!(loaded(&cut).unwrap_err().contains("line 1: the block has no END line"));
        let glued = format!("{cut}{good}");
        assert!(loaded(&glued).unwrap_err().contains("not ended before the next"));
        let bad = "-----BEGIN CERTIFICATE-----\n!!!!\n-----END CERTIFICATE-----\n";
        assert!(loaded(&format!("{good}{bad}")).unwrap_err().contains("not base64"));
        let junk = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert!(loaded(junk).unwrap_err().contains("not a certificate"));
        assert!(loaded("<html>").unwrap_err().contains("holds no certificate"));
    }
}
