//! Recognizes files that are not PEM of the wanted kind, and suggests a command to convert them.

use x509_cert::der::asn1::{AnyRef, ObjectIdentifier};
use x509_cert::der::{Decode, Header, Reader, SliceReader, Tag, Tagged};

/// The kind of object that is expected in a file.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    Certificate,
    /// A client's certificate, whose key may be in the same file.
    ClientCertificate,
    PrivateKey,
    RevocationList,
}

/// A sentence that names the file's format and how to convert it to PEM; `None` if the format is
/// not recognized.
pub(crate) fn named(bytes: &[u8], wanted: Wanted) -> Option<String> {
    if bytes.trim_ascii().is_empty() {
        return Some("the file is empty".to_owned());
    }
    encoded(bytes).or_else(|| text(bytes)).or_else(|| binary(bytes, wanted))
}

/// Recognizes PEM that has been encoded once more.
fn encoded(bytes: &[u8]) -> Option<String> {
    let has = |needle: &[u8]| bytes.windows(needle.len()).any(|window| window == needle);
    let is_base64 = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/=\r\n ".contains(byte);
    let what = if has(b"-\0-\0-\0-\0-\0B\0") || has(b"\0-\0-\0-\0-\0-\0B") {
        "this is UTF-16; convert it to PEM with `iconv -f UTF-16 -t UTF-8 FILE > NEW`"
    } else if has(BEGIN_IN_BASE64) {
        "this is base64-encoded PEM; convert it to PEM with `base64 -d FILE > NEW`"
    } else if bytes.starts_with(b"MII") && bytes.iter().all(is_base64) {
        "this is base64 without BEGIN and END; add a line such as \
         -----BEGIN CERTIFICATE----- before it, and the matching END line after it"
    } else {
        return None;
    };
    Some(what.to_owned())
}

/// `-----BEGIN` at the beginning of a text, in base64.
const BEGIN_IN_BASE64: &[u8] = b"LS0tLS1CRUdJTi";

fn text(bytes: &[u8]) -> Option<String> {
    let start = bytes.get(..TEXT.min(bytes.len())).unwrap_or_default();
    let start = String::from_utf8_lossy(start).trim_start().to_ascii_lowercase();
    let what = if start.starts_with("<!doctype") || start.starts_with("<html") {
        "this is a web page"
    } else if start.starts_with("putty-user-key-file") {
        "this is a PuTTY key; export it as an OpenSSH key with PuTTYgen, then convert it to PEM \
         with `ssh-keygen -p -m PKCS8 -f FILE`"
    } else if ["ssh-", "ecdsa-sha2-"].iter().any(|kind| start.starts_with(kind)) {
        "this is an SSH public key, which TLS cannot use"
    } else {
        return None;
    };
    Some(what.to_owned())
}

/// The number of bytes that are examined to recognize a text.
const TEXT: usize = 200;

fn binary(bytes: &[u8], wanted: Wanted) -> Option<String> {
    let pkcs12 = match wanted {
        Wanted::PrivateKey => "-nocerts -out NEW",
        Wanted::ClientCertificate => "-out NEW",
        Wanted::Certificate | Wanted::RevocationList => "-nokeys -out NEW",
    };
    let has_key = matches!(wanted, Wanted::PrivateKey | Wanted::ClientCertificate);
    Some(match kind(bytes)? {
        Kind::Pkcs12 => {
            format!("this is PKCS #12; convert it to PEM with `openssl pkcs12 -in FILE {pkcs12}`")
        }
        Kind::Pkcs7 => {
            let cure = "openssl pkcs7 -inform DER -print_certs -in FILE -out NEW";
            format!("this is PKCS #7; convert it to PEM with `{cure}`")
        }
        Kind::JavaKeyStore => {
            let (cure, format) = match has_key {
                true => (
                    "-importkeystore -srckeystore FILE -deststoretype PKCS12 -destkeystore NEW",
                    "PKCS #12",
                ),
                false => ("-list -rfc -keystore FILE > NEW", "PEM"),
            };
            format!("this is a Java key store; convert it to {format} with `keytool {cure}`")
        }
        Kind::PrivateKey => "this is a private key in DER; \
             convert it to PEM with `openssl pkey -inform DER -in FILE -out NEW`"
            .to_owned(),
        Kind::Request => "this is a certificate request, not yet signed by a CA".to_owned(),
        Kind::Certificate if wanted == Wanted::PrivateKey || wanted == Wanted::RevocationList => {
            "this is a certificate".to_owned()
        }
        Kind::Certificate => return None,
    })
}

enum Kind {
    Pkcs12,
    Pkcs7,
    JavaKeyStore,
    PrivateKey,
    Certificate,
    Request,
}

/// Recognizes DER by its beginning. Each kind is a SEQUENCE: PFX (RFC 7292, 4), `ContentInfo` (RFC
/// 5652, 3), keys (RFC 5208, 5 and 6; RFC 8017, A.1.2; RFC 5915, 3), certificates (RFC 5280, 4.1),
/// requests (RFC 2986, 4.2). Some programs write the first two in BER with an indefinite length.
fn kind(bytes: &[u8]) -> Option<Kind> {
    match bytes {
        [0xfe, 0xed, 0xfe, 0xed, ..] | [0xce, 0xce, 0xce, 0xce, ..] => {
            return Some(Kind::JavaKeyStore);
        }
        [0x30, 0x80, 0x02, 0x01, 0x03, ..] => return Some(Kind::Pkcs12),
        [0x30, 0x80, 0x06, ..] => return Some(Kind::Pkcs7),
        _ => {}
    }
    let mut reader = SliceReader::new(bytes).ok()?;
    let outer = Header::decode(&mut reader).ok()?;
    if outer.tag != Tag::Sequence {
        return None;
    }
    let first: AnyRef<'_> = reader.decode().ok()?;
    let second = reader.peek_tag().ok();
    match (first.tag(), first.value(), second) {
        (Tag::Integer, [3], Some(Tag::Sequence)) => Some(Kind::Pkcs12),
        (Tag::Integer, [0 | 1], Some(Tag::Sequence | Tag::Integer | Tag::OctetString)) => {
            Some(Kind::PrivateKey)
        }
        (Tag::ObjectIdentifier, _, _) => {
            let content = first.decode_as::<ObjectIdentifier>().ok()?;
            (content == SIGNED_DATA).then_some(Kind::Pkcs7)
        }
        (Tag::Sequence, _, Some(Tag::OctetString)) => Some(Kind::PrivateKey),
        (Tag::Sequence, [0xa0, ..], Some(Tag::Sequence)) => Some(Kind::Certificate),
        (Tag::Sequence, [0x02, 0x01, 0x00, 0x30, ..], Some(Tag::Sequence)) => Some(Kind::Request),
        _ => None,
    }
}

/// The content type in which PKCS #7 holds certificates (RFC 5652, 5.1).
const SIGNED_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.2");
