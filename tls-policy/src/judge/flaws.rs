//! Flaws that make a certificate invalid in any role.

use x509_cert::der::asn1::{AnyRef, ObjectIdentifier};
use x509_cert::der::{Decode, Reader, SliceReader, Tag, Tagged};
use x509_cert::ext::pkix::NameConstraints;

use crate::fault::Fault;
use crate::x509::certificate::Known;

/// Returns the flaw of a certificate, if it has one. Each TLS library finds only some of these
/// flaws and reports some of them as other faults.
pub(crate) fn flaw(one: &Known) -> Option<Fault> {
    if let Some(what) = malformed(one) {
        return Some(Fault::Unfit(one.der().to_vec(), what));
    }
    if one.unknown_extension().is_some() {
        return Some(Fault::UnknownExtension);
    }
    one.weak_key().map(|_| Fault::Weak)
}

/// The malformed part of the certificate, as the end of a sentence.
fn malformed(one: &Known) -> Option<String> {
    if !one.says_once_how_it_is_signed() {
        return Some("names two different signature algorithms".to_owned());
    }
    let content = one.content();
    let extensions = content.extensions.as_deref().unwrap_or_default();
    for (index, one) in extensions.iter().enumerate() {
        if extensions[..index].iter().any(|before| before.extn_id == one.extn_id) {
            return Some(format!("has the extension {} twice", one.extn_id));
        }
        if one.extn_id == SUBJECT_ALT_NAME && !are_names(one.extn_value.as_bytes()) {
            return Some("has an unreadable subjectAltName".to_owned());
        }
    }
    let unreadable = content.get::<NameConstraints>().is_err();
    unreadable.then(|| "has unreadable name constraints".to_owned())
}

/// Whether the value of a subjectAltName is a sequence of names of any kinds (RFC 5280, 4.2.1.6).
fn are_names(value: &[u8]) -> bool {
    let Ok(names) = AnyRef::from_der(value) else { return false };
    let Ok(mut reader) = SliceReader::new(names.value()) else { return names.value().is_empty() };
    let mut one = || {
        let kind = reader.peek_byte();
        reader.tlv_bytes().ok().and(kind).map(|kind| (kind, reader.is_finished()))
    };
    if names.tag() != Tag::Sequence {
        return false;
    }
    while let Some((kind, is_last)) = one() {
        match (NAME_KINDS.contains(&kind), is_last) {
            (true, true) => return true,
            (true, false) => {}
            (false, _) => return false,
        }
    }
    false
}

/// The tags of `GeneralName` (RFC 5280, appendix A.2).
const NAME_KINDS: [u8; 9] = [0xa0, 0x81, 0x82, 0xa3, 0xa4, 0xa5, 0x86, 0x87, 0x88];

const SUBJECT_ALT_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.17");
