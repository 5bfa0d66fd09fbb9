//! Why a certificate cannot be parsed.

use x509_cert::der::asn1::AnyRef;
use x509_cert::der::{Decode, Header, Reader, SliceReader, Tag, Tagged};
use x509_cert::name::Name;
use x509_cert::spki::{AlgorithmIdentifierRef, SubjectPublicKeyInfoRef};
use x509_cert::time::Validity;

/// The reason why a certificate (DER) cannot be parsed, if it can be determined, as a sentence
/// without its end.
pub(crate) fn unreadable(der: &[u8]) -> Option<String> {
    let mut reader = SliceReader::new(der).ok()?;
    let header = Header::decode(&mut reader).ok()?;
    let (has, wants) =
        (usize::try_from(reader.remaining_len()).ok()?, usize::try_from(header.length).ok()?);
    if has < wants {
        return Some(format!("{} bytes are missing at the end", wants - has));
    }
    if has > wants {
        return Some(format!("{} extra bytes follow the certificate", has - wants));
    }
    let content = reader.decode::<AnyRef<'_>>().ok()?;
    field(SliceReader::new(content.value()).ok()?)
}

/// The first field of a `TBSCertificate` that cannot be parsed.
fn field(mut fields: SliceReader<'_>) -> Option<String> {
    if fields.peek_byte()? == VERSION {
        fields.tlv_bytes().ok()?;
    }
    let number = fields.decode::<AnyRef<'_>>().ok()?;
    if number.tag() != Tag::Integer {
        return None;
    }
    if let length @ 22.. = number.value().len() {
        return Some(format!("the serial number has {length} octets (limit 20)"));
    }
    for (name, is_readable) in FIELDS {
        if !is_readable(fields.tlv_bytes().ok()?) {
            return Some(format!("the {name} is unreadable"));
        }
    }
    Some("the extensions are unreadable".to_owned())
}

type Readable = fn(&[u8]) -> bool;

const FIELDS: &[(&str, Readable)] = &[
    ("signature algorithm", |der| AlgorithmIdentifierRef::from_der(der).is_ok()),
    ("issuer", |der| Name::from_der(der).is_ok()),
    ("validity", |der| Validity::from_der(der).is_ok()),
    ("subject", |der| Name::from_der(der).is_ok()),
    ("public key", |der| SubjectPublicKeyInfoRef::from_der(der).is_ok()),
];

/// The tag `[0]` of the version, which precedes the serial number.
const VERSION: u8 = 0xa0;
