//! Certificate revocation lists from files.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use x509_cert::TbsCertificate;
use x509_cert::crl::{CertificateList, TbsCertList};
use x509_cert::der::asn1::{AnyRef, ObjectIdentifier};
use x509_cert::der::{Decode, Encode, Error, Reader, SliceReader, Tag};
use x509_cert::time::Time;

use super::forms::{self, Wanted};
use super::pem::{self, TlsFileError};
use crate::time;
use crate::x509::certificate;

/// One revocation list, signed by the authority that issued the listed certificates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevocationList {
    /// The list in DER.
    pub der: Vec<u8>,
    /// The file that contains the list.
    pub file: PathBuf,
    /// The time until which the list is valid, since the Unix epoch.
    pub until: Duration,
    /// The issuer's name in DER.
    issuer: Vec<u8>,
    /// The serial numbers of the revoked certificates.
    revoked: BTreeSet<Vec<u8>>,
}

impl RevocationList {
    /// Whether the list's issuer name is that of the issuer of the certificate (DER).
    pub fn covers(&self, certificate: &[u8]) -> bool {
        let issuer = |content: TbsCertificate| content.issuer.to_der().ok();
        content(certificate).and_then(issuer).is_some_and(|name| name == self.issuer)
    }

    /// Whether the certificate's serial number is on the list. A certificate that cannot be parsed
    /// counts as revoked.
    pub fn revokes(&self, certificate: &[u8]) -> bool {
        let number = |content: TbsCertificate| content.serial_number.as_bytes().to_vec();
        content(certificate).map(number).is_none_or(|number| self.revoked.contains(&number))
    }
}

fn content(certificate: &[u8]) -> Option<TbsCertificate> {
    x509_cert::Certificate::from_der(certificate).ok().map(|parsed| parsed.tbs_certificate)
}

/// Reads the lists of a file: PEM, or one list in DER.
///
/// # Errors
/// When a list cannot be used (it is damaged, out of date, signed with a broken algorithm, or
/// restricted to some of the authority's certificates), or when the file contains no list.
pub fn load(file: &Path) -> Result<Vec<RevocationList>, TlsFileError> {
    let bytes = pem::read(file)?;
    if pem::is_der(&bytes) {
        return Ok(vec![checked(bytes, file, None)?]);
    }
    let blocks = pem::blocks(&bytes, file)?;
    let (lists, others): (Vec<_>, Vec<_>) =
        blocks.iter().partition(|block| block.label == "X509 CRL");
    let lists = lists.into_iter();
    let lists = lists.map(|block| checked(block.decode(file)?, file, Some(block.line)));
    let lists = lists.collect::<Result<Vec<_>, _>>()?;
    if lists.is_empty() {
        let others: Vec<_> = others.into_iter().map(|block| block.label.clone()).collect();
        return Err(pem::nothing(file, &bytes, Wanted::RevocationList, &others));
    }
    Ok(lists)
}

fn checked(der: Vec<u8>, file: &Path, line: Option<usize>) -> Result<RevocationList, TlsFileError> {
    let wrong = |what: &str| TlsFileError::new(file, line, what);
    if is_version_1(&der).unwrap_or(false) {
        return Err(wrong(VERSION_1));
    }
    let damaged = |_| {
        let form = forms::named(&der, Wanted::RevocationList);
        let form = form.map(|form| format!("; {form}")).unwrap_or_default();
        wrong(&format!("this is not a revocation list, or the list is damaged{form}"))
    };
    let list = CertificateList::from_der(&der).map_err(damaged)?.tbs_cert_list;
    let until = in_force(&list).map_err(|what| wrong(&what))?;
    if let Some(what) = unusable(&list) {
        return Err(wrong(&what));
    }
    let entries = list.revoked_certificates.iter().flatten();
    let revoked = entries.map(|entry| entry.serial_number.as_bytes().to_vec()).collect();
    let issuer = list.issuer.to_der().map_err(damaged)?;
    Ok(RevocationList { der, file: file.to_owned(), until, issuer, revoked })
}

/// A version 1 list has no version field; its signed part begins with the signature algorithm.
fn is_version_1(der: &[u8]) -> Result<bool, Error> {
    let list: AnyRef<'_> = AnyRef::from_der(der)?;
    let content: AnyRef<'_> = SliceReader::new(list.value())?.decode()?;
    Ok(SliceReader::new(content.value())?.peek_tag()? == Tag::Sequence)
}

const VERSION_1: &str = "this is a version 1 revocation list; get a version 2 list \
    (`openssl ca` writes version 2 if its configuration has crl_extensions)";

/// The time until which the list is valid, if it is valid now.
fn in_force(list: &TbsCertList) -> Result<Duration, String> {
    let now = time::now();
    let from = list.this_update.to_unix_duration();
    let Some(until) = list.next_update.map(Time::to_unix_duration) else {
        return Err(
            "the revocation list has no expiry date (nextUpdate); get a list with one".to_owned()
        );
    };
    if until < now {
        let until = time::date(until);
        return Err(format!("the revocation list expired on {until}; get a new list"));
    }
    if from > now {
        let from = time::date(from);
        return Err(format!(
            "the revocation list is not valid before {from}; check this machine's clock"
        ));
    }
    Ok(until)
}

/// The reason why the list could be misinterpreted, if there is one.
fn unusable(list: &TbsCertList) -> Option<String> {
    if let Some(name) = certificate::weak_signature(list.signature.oid) {
        return Some(format!(
            "the revocation list is signed with {name}, which can be forged; get a new list"
        ));
    }
    let own = list.crl_extensions.iter().flatten();
    if own.clone().any(|one| PARTIAL.contains(&one.extn_id)) {
        let what = "the revocation list covers only some certificates; get the full list";
        return Some(what.to_owned());
    }
    let entries = list.revoked_certificates.iter().flatten();
    let of_entries = entries.flat_map(|entry| entry.crl_entry_extensions.iter().flatten());
    // RFC 5280, 5.2 and 5.3. A critical extension may change the meaning of the list.
    let critical = own.chain(of_entries).find(|one| one.critical)?;
    let oid = critical.extn_id;
    Some(format!(
        "the revocation list has an unsupported critical extension ({oid}); get a complete list"
    ))
}

/// Extensions of delta lists and of lists for one distribution point (RFC 5280, 5.2.4 and 5.2.5).
const PARTIAL: &[ObjectIdentifier] =
    &[ObjectIdentifier::new_unwrap("2.5.29.27"), ObjectIdentifier::new_unwrap("2.5.29.28")];
