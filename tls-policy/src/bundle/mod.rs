//! Reads CA bundles strictly: a certificate that cannot be used is an error and is never skipped.
//!
//! If a bundle silently lacks a certificate, connections fail on the day when that certificate is
//! needed. TLS libraries skip what they cannot read; this module therefore parses the certificates
//! for all of them.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::{fmt, fs};

use x509_cert::der::asn1::{AnyRef, ObjectIdentifier};
use x509_cert::der::{Decode, Error, Reader, SliceReader, Tag, Tagged};

use crate::files::forms::{self, Wanted};
use crate::files::pem::{self, Block, TlsFileError};
use crate::messages::first_of;
use crate::messages::warn_once;
use crate::x509;

/// One certificate from a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// The certificate in DER.
    pub der: Vec<u8>,
    /// The file that contains the certificate.
    pub file: PathBuf,
    /// The line on which the PEM block begins, from 1; 0 for a DER file.
    pub line: usize,
}

/// Shows the file and line.
impl fmt::Display for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        match self.line {
            0 => Ok(()),
            line => write!(f, ", line {line}"),
        }
    }
}

/// Reads the certificates of a file (PEM, or one certificate in DER) or of a directory (each file
/// named `*.pem`, `*.crt`, `*.cer` or, as a hashed name, `*.0` to `*.9`). Duplicates are dropped.
///
/// OpenSSL's `TRUSTED CERTIFICATE` blocks are read if they are trusted for servers.
///
/// # Errors
/// When anything in the files cannot be used, or when there is no certificate.
pub fn load(path: &Path) -> Result<Vec<Certificate>, TlsFileError> {
    load_as(path, Wanted::Certificate)
}

/// Reads certificates, as [`load`] does from a file, that a program has from another place, such as
/// its own configuration. `named` stands for the file in messages.
///
/// # Errors
/// When anything in `bytes` cannot be used, or when there is no certificate.
pub fn from_bytes(bytes: &[u8], named: &str) -> Result<Vec<Certificate>, TlsFileError> {
    let (named, mut skipped) = (Path::new(named), Vec::new());
    let found = parse(bytes, named, Wanted::Certificate, &mut skipped)?;
    let mut all: Vec<Certificate> = Vec::new();
    for certificate in found {
        if !all.iter().any(|known| known.der == certificate.der) {
            all.push(certificate);
        }
    }
    match all.is_empty() {
        true => Err(pem::nothing(named, bytes, Wanted::Certificate, &skipped)),
        false => Ok(all),
    }
}

/// Like [`load`], with the purpose of the certificate for error messages.
pub(super) fn load_as(path: &Path, wanted: Wanted) -> Result<Vec<Certificate>, TlsFileError> {
    let metadata = fs::metadata(path).map_err(|error| TlsFileError::unreadable(path, error))?;
    let files = if metadata.is_dir() { files_of(path)? } else { vec![path.to_owned()] };
    let mut all: Vec<Certificate> = Vec::new();
    let mut others = Vec::new();
    for file in &files {
        let bytes = pem::read(file)?;
        let mut skipped = Vec::new();
        let found = parse(&bytes, file, wanted, &mut skipped)?;
        if found.is_empty() && skipped.is_empty() {
            let nothing = pem::nothing(file, &bytes, wanted, &[]);
            if file == path {
                return Err(nothing);
            }
            warn_once(format!("{nothing}; the file was skipped"));
        }
        others.extend(skipped);
        for certificate in found {
            if !all.iter().any(|known| known.der == certificate.der) {
                all.push(certificate);
            }
        }
    }
    if all.is_empty() {
        return Err(pem::nothing(path, b"-", wanted, &others));
    }
    if others.iter().any(|other| other == NOT_FOR_SERVERS) {
        warn_once(format!("{}: skipped {NOT_FOR_SERVERS}", path.display()));
    }
    Ok(all)
}

const NOT_FOR_SERVERS: &str = "a certificate that is not trusted for servers";

/// The files of a directory that may contain certificates, by their names.
fn files_of(directory: &Path) -> Result<Vec<PathBuf>, TlsFileError> {
    let unreadable = |error| TlsFileError::unreadable(directory, error);
    let (mut files, mut passed_over) = (Vec::new(), Vec::new());
    for entry in fs::read_dir(directory).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        match is_for_certificates(&path) {
            _ if path.is_dir() => {}
            true => files.push(path),
            false => passed_over.push(path),
        }
    }
    files.sort();
    passed_over.sort();
    if files.is_empty() {
        let what = format!("the directory has no file named {NAMES}{}", listed(&passed_over));
        return Err(TlsFileError::new(directory, None, &what));
    }
    passed_over.retain(|path| has_certificates(path));
    if !passed_over.is_empty() {
        let (directory, listed) = (directory.display(), listed(&passed_over));
        warn_once(format!("{directory}: rename files with certificates to {NAMES}{listed}"));
    }
    Ok(files)
}

const NAMES: &str = "*.pem, *.crt, *.cer or *.0";

fn is_for_certificates(path: &Path) -> bool {
    let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    matches!(ending, "pem" | "crt" | "cer") || matches!(ending.as_bytes(), [b'0'..=b'9'])
}

/// Whether the first 64 KiB of the file contain a PEM certificate.
fn has_certificates(path: &Path) -> bool {
    let mut start = Vec::new();
    let read = fs::File::open(path).and_then(|file| file.take(1 << 16).read_to_end(&mut start));
    read.is_ok() && String::from_utf8_lossy(&start).contains("-----BEGIN CERTIFICATE-----")
}

fn listed(passed_over: &[PathBuf]) -> String {
    let names = passed_over.iter().filter_map(|path| path.file_name());
    let names: Vec<_> =
        names.map(|name| name.to_string_lossy().escape_debug().to_string()).collect();
    match names.is_empty() {
        true => String::new(),
        false => format!("; skipped: {}", first_of(&names)),
    }
}

/// Reads the certificates of a file; the labels of other blocks are added to `others`.
fn parse(
    bytes: &[u8],
    file: &Path,
    wanted: Wanted,
    others: &mut Vec<String>,
) -> Result<Vec<Certificate>, TlsFileError> {
    if pem::is_der(bytes) {
        return Ok(vec![checked(bytes.to_vec(), file, 0, wanted)?]);
    }
    let mut found = Vec::new();
    for block in pem::blocks(bytes, file)? {
        match block.label.as_str() {
            "CERTIFICATE" | "X509 CERTIFICATE" => {
                found.push(checked(block.decode(file)?, file, block.line, wanted)?);
            }
            "TRUSTED CERTIFICATE" => match trusted(&block, file, wanted)? {
                Some(certificate) => found.push(certificate),
                None => others.push(NOT_FOR_SERVERS.to_owned()),
            },
            "PKCS7" | "PKCS #7 SIGNED DATA" | "CMS" => {
                let what = "this is PKCS #7; convert it to PEM with \
                            `openssl pkcs7 -print_certs -in FILE -out NEW`";
                return Err(TlsFileError::new(file, Some(block.line), what));
            }
            label => others.push(label.to_owned()),
        }
    }
    Ok(found)
}

/// Reads OpenSSL's own format: a certificate followed by its trusted purposes. `None` if the
/// certificate is not trusted for servers.
fn trusted(
    block: &Block,
    file: &Path,
    wanted: Wanted,
) -> Result<Option<Certificate>, TlsFileError> {
    let bytes = block.decode(file)?;
    let damaged =
        |_| TlsFileError::new(file, Some(block.line), "the block TRUSTED CERTIFICATE is damaged");
    let (der, for_servers) = split_trusted(&bytes).map_err(damaged)?;
    let certificate = checked(der.to_vec(), file, block.line, wanted)?;
    Ok(for_servers.then_some(certificate))
}

/// Returns the block's certificate, and whether it is trusted for servers. `X509_CERT_AUX` of
/// OpenSSL's `x509.h` is a SEQUENCE of the trusted purposes (SEQUENCE), the rejected purposes
/// (`[0]`), a name and more.
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

fn checked(
    der: Vec<u8>,
    file: &Path,
    line: usize,
    wanted: Wanted,
) -> Result<Certificate, TlsFileError> {
    if x509_cert::Certificate::from_der(&der).is_ok() {
        return Ok(Certificate { der, file: file.to_owned(), line });
    }
    let what = match (forms::named(&der, wanted), x509::unreadable(&der)) {
        (Some(form), _) => form,
        (None, Some(why)) => format!("unreadable certificate: {why}"),
        (None, None) => "this is not a certificate".to_owned(),
    };
    Err(TlsFileError::new(file, (line > 0).then_some(line), &what))
}

#[cfg(test)]
mod tests;
