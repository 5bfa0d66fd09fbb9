//! Certificate revocation lists, from files: which certificates are no longer good.

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use x509_cert::crl::CertificateList;
use x509_cert::der::asn1::ObjectIdentifier;
use x509_cert::der::{Decode, Encode};

use super::pem::{self, TlsFileError};
use super::verdict;

/// One list, signed by the authority whose certificates it lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevocationList {
    /// The list, DER.
    pub der: Vec<u8>,
    /// The file it stands in.
    pub file: PathBuf,
}

/// Reads the lists of a file, PEM or one in DER.
///
/// # Errors
/// When one can't be used: damaged, out of date, or for a part of its authority's certificates
/// only; and when there is none.
pub fn load(file: &Path) -> Result<Vec<RevocationList>, TlsFileError> {
    let bytes = pem::read(file)?;
    if pem::is_der(&bytes) {
        return Ok(vec![checked(bytes, file, None)?]);
    }
    let blocks = pem::blocks(&bytes, file)?;
    let lists = blocks.iter().filter(|block| block.label == "X509 CRL");
    let lists = lists.map(|block| checked(block.decode(file)?, file, Some(block.line)));
    let lists = lists.collect::<Result<Vec<_>, _>>()?;
    match lists.as_slice() {
        [] => Err(TlsFileError::new(file, None, "there is no revocation list (X509 CRL) in it")),
        _ => Ok(lists),
    }
}

fn checked(der: Vec<u8>, file: &Path, line: Option<usize>) -> Result<RevocationList, TlsFileError> {
    let wrong = |what: &str| TlsFileError::new(file, line, what);
    let list = CertificateList::from_der(&der)
        .map_err(|error| wrong(&format!("this is no revocation list: {error}")))?
        .tbs_cert_list;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let until = list.next_update.map(x509_cert::time::Time::to_unix_duration);
    let from = list.this_update.to_unix_duration();
    let partial = list.crl_extensions.iter().flatten().any(|one| PARTIAL.contains(&one.extn_id));
    match until {
        None => Err(wrong("the revocation list does not say until when it holds (nextUpdate)")),
        Some(until) if until < now => {
            let until = verdict::date(until);
            Err(wrong(&format!("the revocation list is out of date since {until}; get a new one")))
        }
        Some(_) if from > now => {
            let from = verdict::date(from);
            Err(wrong(&format!("the revocation list holds from {from} on; is the clock right?")))
        }
        Some(_) if partial => {
            Err(wrong("the revocation list is for a part of the certificates; get the full one"))
        }
        Some(_) => Ok(RevocationList { der, file: file.to_owned() }),
    }
}

/// Delta lists and lists of one distribution point (RFC 5280, 5.2.4 and 5.2.5).
const PARTIAL: &[ObjectIdentifier] =
    &[ObjectIdentifier::new_unwrap("2.5.29.27"), ObjectIdentifier::new_unwrap("2.5.29.28")];

/// Whether one of the lists names the certificate (DER), going by its issuer's name and its
/// number. For a certificate that is trusted for itself: whose signature is on the list does not
/// matter when the list can only take trust away.
pub fn revoked(lists: &[RevocationList], certificate: &[u8]) -> bool {
    let Ok(certificate) = x509_cert::Certificate::from_der(certificate) else { return true };
    let certificate = certificate.tbs_certificate;
    let issuer = certificate.issuer.to_der().ok();
    lists.iter().any(|list| {
        let Ok(list) = CertificateList::from_der(&list.der) else { return true };
        let list = list.tbs_cert_list;
        let mut entries = list.revoked_certificates.iter().flatten();
        list.issuer.to_der().ok() == issuer
            && entries.any(|entry| entry.serial_number == certificate.serial_number)
    })
}
