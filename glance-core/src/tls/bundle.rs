//! Reads CA bundles strictly: what can't be used is an error, never skipped.
//!
//! A bundle with one certificate less than its owner believes fails on the day when that one is
//! needed. TLS libraries skip what they can't read; so both get their certificates from here.

use std::path::{Path, PathBuf};
use std::{fmt, fs};

use x509_cert::der::asn1::{AnyRef, ObjectIdentifier};
use x509_cert::der::{Decode, Error, Reader, SliceReader, Tag, Tagged};

use super::pem::{self, Block, TlsFileError};

/// One certificate of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// The certificate, DER.
    pub der: Vec<u8>,
    /// The file it stands in.
    pub file: PathBuf,
    /// The line its block begins on, from 1; 0 in a DER file.
    pub line: usize,
}

/// Where it stands.
impl fmt::Display for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        match self.line {
            0 => Ok(()),
            line => write!(f, ", line {line}"),
        }
    }
}

/// Reads the certificates of a file (PEM, or one in DER) or of a directory (each file named
/// `*.pem`, `*.crt`, `*.cer` or, by its hash, `*.0` to `*.9`), each certificate once.
///
/// Of OpenSSL's `TRUSTED CERTIFICATE` blocks it takes those that are trusted for servers.
///
/// # Errors
/// When anything in it can't be used, and when it has no certificate.
pub fn load(path: &Path) -> Result<Vec<Certificate>, TlsFileError> {
    let metadata = fs::metadata(path).map_err(|error| TlsFileError::unreadable(path, error))?;
    let files = if metadata.is_dir() { files_of(path)? } else { vec![path.to_owned()] };
    let mut all: Vec<Certificate> = Vec::new();
    let mut others = Vec::new();
    for file in files {
        let bytes = pem::read(&file)?;
        for certificate in parse(&bytes, &file, &mut others)? {
            if !all.iter().any(|known| known.der == certificate.der) {
                all.push(certificate);
            }
        }
    }
    match all.as_slice() {
        [] => Err(TlsFileError::new(path, None, &nothing_in_it(&others))),
        _ => Ok(all),
    }
}

fn nothing_in_it(others: &[String]) -> String {
    match others {
        [] => "there is no certificate in it".to_owned(),
        _ => format!("there is no certificate in it, only {}", others.join(", ")),
    }
}

fn files_of(directory: &Path) -> Result<Vec<PathBuf>, TlsFileError> {
    let unreadable = |error| TlsFileError::unreadable(directory, error);
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
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

/// The certificates of a file; what else is in it goes to `others`.
fn parse(
    bytes: &[u8],
    file: &Path,
    others: &mut Vec<String>,
) -> Result<Vec<Certificate>, TlsFileError> {
    if pem::is_der(bytes) {
        return Ok(vec![checked(bytes.to_vec(), file, 0)?]);
    }
    let mut found = Vec::new();
    for block in pem::blocks(bytes, file)? {
        match block.label.as_str() {
            "CERTIFICATE" | "X509 CERTIFICATE" => {
                found.push(checked(block.decode(file)?, file, block.line)?);
            }
            "TRUSTED CERTIFICATE" => match trusted(&block, file)? {
                Some(certificate) => found.push(certificate),
                None => others.push("a certificate that is not trusted for servers".to_owned()),
            },
            label => others.push(label.to_owned()),
        }
    }
    Ok(found)
}

/// OpenSSL's own form: a certificate, followed by what it is trusted for. None when that is not
/// to be a server, or nothing.
fn trusted(block: &Block, file: &Path) -> Result<Option<Certificate>, TlsFileError> {
    let bytes = block.decode(file)?;
    let damaged = |error: Error| {
        let what = format!("the TRUSTED CERTIFICATE is damaged: {error}");
        TlsFileError::new(file, Some(block.line), &what)
    };
    let (der, for_servers) = split_trusted(&bytes).map_err(damaged)?;
    let certificate = checked(der.to_vec(), file, block.line)?;
    Ok(for_servers.then_some(certificate))
}

/// `X509_CERT_AUX` of OpenSSL's `x509.h`: a SEQUENCE of the purposes trusted (SEQUENCE), those
/// rejected (`[0]`), a name and more.
fn split_trusted(bytes: &[u8]) -> Result<(&[u8], bool), Error> {
    let mut reader = SliceReader::new(bytes)?;
    let der = reader.tlv_bytes()?;
    if reader.is_finished() {
        return Ok((der, true));
    }
    let aux: AnyRef<'_> = reader.decode()?;
    let mut parts = SliceReader::new(aux.value())?;
    let (mut trusted, mut rejected) = (true, false);
    while !parts.is_finished() {
        let part: AnyRef<'_> = parts.decode()?;
        match part.tag() {
            Tag::Sequence => trusted = names_servers(part.value())?,
            Tag::ContextSpecific { number, .. } if number.value() == 0 => {
                rejected = names_servers(part.value())?;
            }
            _ => {}
        }
    }
    Ok((der, trusted && !rejected))
}

fn names_servers(mut purposes: &[u8]) -> Result<bool, Error> {
    let mut found = false;
    while !purposes.is_empty() {
        let mut reader = SliceReader::new(purposes)?;
        let purpose = ObjectIdentifier::from_der(reader.tlv_bytes()?)?;
        found |= SERVER_PURPOSES.contains(&purpose);
        purposes = &purposes[usize::try_from(reader.position())?..];
    }
    Ok(found)
}

/// serverAuth and anyExtendedKeyUsage (RFC 5280, 4.2.1.12).
const SERVER_PURPOSES: &[ObjectIdentifier] = &[
    ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.1"),
    ObjectIdentifier::new_unwrap("2.5.29.37.0"),
];

fn checked(der: Vec<u8>, file: &Path, line: usize) -> Result<Certificate, TlsFileError> {
    match x509_cert::Certificate::from_der(&der) {
        Ok(_) => Ok(Certificate { der, file: file.to_owned(), line }),
        Err(error) => {
            let what = format!("this is no certificate: {error}");
            Err(TlsFileError::new(file, (line > 0).then_some(line), &what))
        }
    }
}

#[cfg(test)]
mod tests;
