//! Why a server is not trusted, in the same words whatever the TLS library.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use x509_cert::der::asn1::{ObjectIdentifier, UintRef};
use x509_cert::der::{Decode, Reader, SliceReader};
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;

use super::Pin;
use crate::transport::{ClientCertificate, TransportError, TransportErrorKind};

/// What the TLS library found.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// The server's certificate, or one above it, has expired.
    Expired,
    /// The server's certificate, or one above it, is not valid yet.
    NotYetValid,
    /// The certificate is not for the host.
    WrongName,
    /// Nobody that is trusted signed the certificate.
    UnknownIssuer,
    /// The certificate may not be used by a server.
    WrongPurpose,
    /// A key is too short, or a signature is made in a way that can be forged.
    Weak,
    /// An authority may not sign for this name.
    OutOfBounds,
    /// The certificate says something that must be understood, and is not.
    UnknownExtension,
    /// A revocation list names the certificate, or one above it.
    Revoked,
    /// No revocation list covers the certificate, or one above it.
    NotCovered,
    /// The server's key is none of those pinned.
    NotPinned,
    /// The server insists on a client certificate, and there is none, or one it does not take: the
    /// server's words.
    ClientCertificate(ClientCertificate, String),
    /// What the server sends is not TLS.
    NotTls,
    /// Client and server share no version or method.
    NothingInCommon,
    /// The connection closed during the handshake. A retry can help.
    Closed(String),
    /// Anything else, a fragment of a sentence.
    Other(String),
}

/// The error of a handshake that failed. `chain` is what the server sent, its own certificate
/// first, as far as it is known.
pub fn refusal(fault: Fault, host: &str, endpoint: &str, chain: &[Vec<u8>]) -> TransportError {
    let parsed: Vec<_> = chain.iter().map_while(|der| Parsed::from_der(der)).collect();
    let kind = match fault {
        Fault::Closed(_) => TransportErrorKind::Interrupted,
        _ => TransportErrorKind::Tls,
    };
    let (reason, hint) = match fault {
        Fault::Expired | Fault::NotYetValid => dates(&fault, &parsed),
        Fault::WrongName => names(host, &parsed),
        Fault::UnknownIssuer => issuer(&parsed),
        Fault::Weak => weakness(&parsed),
        Fault::NotPinned => pin(chain),
        Fault::ClientCertificate(ClientCertificate::Missing, what) => {
            let reason =
                format!("the server asked for a client certificate, and got none ({what})");
            (reason, Some(ClientCertificate::Missing.hint()))
        }
        Fault::ClientCertificate(shown, what) => {
            let reason = format!("the server does not take the client certificate ({what})");
            (reason, Some(shown.hint()))
        }
        Fault::Closed(what) => (format!("closed during the TLS handshake: {what}"), None),
        Fault::Other(what) => (what, None),
        plain => words(&plain),
    };
    let hint = hint.map(str::to_owned);
    TransportError { kind, endpoint: endpoint.to_owned(), reason, hint, source: None }
}

type Words = (String, Option<&'static str>);

/// The faults of which nothing more is known.
fn words(fault: &Fault) -> Words {
    let (reason, hint) = match fault {
        Fault::WrongPurpose => (
            "its certificate may not be used by a server (key usage)",
            "the server needs a certificate for server authentication",
        ),
        Fault::OutOfBounds => (
            "an authority above its certificate may not sign for this name (name constraints)",
            "the server needs a certificate of an authority that may",
        ),
        Fault::UnknownExtension => (
            "its certificate has a critical extension that is not known",
            "the server needs a certificate without it",
        ),
        Fault::Revoked => (
            "its certificate, or one above it, has been revoked",
            "the server needs a new certificate",
        ),
        Fault::NotCovered => (
            "no revocation list of the given file covers its certificate, or one above it",
            "add the lists of all authorities between the server and the root",
        ),
        Fault::NothingInCommon => (
            "the server offers no TLS version or cipher that is safe",
            "the server must speak TLS 1.2 or 1.3",
        ),
        _ => (
            "the server does not speak TLS; it may be plain http",
            "check the port, or have the server serve https",
        ),
    };
    (reason.to_owned(), Some(hint))
}

/// The guilty one of a chain: a short RSA key, or a signature by way of a broken digest. The
/// signature of a root is nobody's concern.
fn weakness(chain: &[Parsed]) -> Words {
    let found = chain.iter().find_map(|one| {
        let which = match chain.first() {
            Some(leaf) if std::ptr::eq(leaf, one) => "its certificate".to_owned(),
            _ => format!("the certificate of its authority {}", one.subject),
        };
        match (one.rsa_bits, &one.weak_signature) {
            (Some(bits @ ..2048), _) => {
                Some(format!("{which} has an RSA key of {bits} bits, too short"))
            }
            (_, Some(name)) if one.issuer != one.subject => {
                Some(format!("{which} is signed by way of {name}, which can be forged"))
            }
            _ => None,
        }
    });
    let reason = found.unwrap_or_else(|| {
        "its certificate, or one above it, has a weak key or signature".to_owned()
    });
    (reason, Some("the server needs a certificate with RSA 2048 or ECDSA P-256 and SHA-256"))
}

/// Whether a certificate (DER) has an RSA key below 2048 bits.
pub fn has_weak_key(certificate: &[u8]) -> bool {
    Parsed::from_der(certificate).is_some_and(|parsed| matches!(parsed.rsa_bits, Some(..2048)))
}

fn pin(chain: &[Vec<u8>]) -> Words {
    let has = chain.first().and_then(|leaf| Pin::of(leaf));
    let has = has.map_or_else(String::new, |pin| format!(": it is {pin}"));
    (format!("its key is none of those pinned{has}"), Some(NEW_PIN))
}

const NEW_PIN: &str = "if the server has a new key, and it is the right one, pin that one as well";

fn dates(fault: &Fault, chain: &[Parsed]) -> Words {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let late = *fault == Fault::Expired;
    let guilty = |c: &&Parsed| if late { c.not_after < now } else { c.not_before > now };
    let who = |guilty: &Parsed| match chain.first() {
        Some(leaf) if std::ptr::eq(leaf, guilty) => "its certificate".to_owned(),
        _ => format!("the certificate of its authority {}", guilty.subject),
    };
    let reason = match (chain.iter().find(guilty), late) {
        (Some(cert), true) => format!("{} expired on {}", who(cert), date(cert.not_after)),
        (Some(cert), false) => {
            format!("{} is not valid before {}", who(cert), date(cert.not_before))
        }
        (None, _) => {
            "an authority that signed its certificate has expired, or is not valid yet".to_owned()
        }
    };
    let hint = if late {
        "renew the certificate; or is this machine's clock right?"
    } else {
        "is this machine's clock right?"
    };
    (reason, Some(hint))
}

fn names(host: &str, chain: &[Parsed]) -> Words {
    let presented = chain.first().map(|leaf| leaf.names.join(", ")).unwrap_or_default();
    if presented.is_empty() {
        let reason = format!("its certificate names no host (no subjectAltName), not {host}");
        return (reason, Some("the server needs a certificate with a subjectAltName"));
    }
    let reason = format!("its certificate is for {presented}, not for {host}");
    (reason, Some("use a name of the certificate, or add this one to it"))
}

fn issuer(chain: &[Parsed]) -> Words {
    let Some(leaf) = chain.first() else {
        return ("nobody that is trusted signed its certificate".to_owned(), Some(NAME_THE_CA));
    };
    if leaf.issuer == leaf.subject {
        let reason = "its certificate is signed by itself, and is not listed".to_owned();
        return (reason, Some("name the certificate with --cacert FILE, if it is the right one"));
    }
    let top = chain.last().unwrap_or(leaf);
    let mut reason = format!("its certificate is signed by {}, which is not trusted", top.issuer);
    if chain.len() == 1 {
        reason += "; the server sent no intermediate certificate";
    }
    (reason, Some(NAME_THE_CA))
}

const NAME_THE_CA: &str = "name the CA with --cacert FILE, or have the server send its whole chain";

/// What messages say about a certificate.
pub(super) struct Parsed {
    pub(super) subject: String,
    pub(super) issuer: String,
    pub(super) names: Vec<String>,
    pub(super) not_before: Duration,
    pub(super) not_after: Duration,
    pub(super) rsa_bits: Option<usize>,
    pub(super) weak_signature: Option<&'static str>,
}

impl Parsed {
    pub(super) fn from_der(der: &[u8]) -> Option<Self> {
        let certificate = x509_cert::Certificate::from_der(der).ok()?.tbs_certificate;
        let names = match certificate.get::<SubjectAltName>() {
            Ok(Some((_, names))) => names.0.iter().filter_map(name).collect(),
            _ => Vec::new(),
        };
        Some(Self {
            subject: certificate.subject.to_string(),
            issuer: certificate.issuer.to_string(),
            names,
            not_before: certificate.validity.not_before.to_unix_duration(),
            not_after: certificate.validity.not_after.to_unix_duration(),
            rsa_bits: rsa_bits(&certificate),
            weak_signature: weak_signature(&certificate),
        })
    }
}

/// The length of the modulus; none for other keys.
fn rsa_bits(certificate: &x509_cert::TbsCertificate) -> Option<usize> {
    let info = &certificate.subject_public_key_info;
    if info.algorithm.oid != RSA {
        return None;
    }
    // RSAPublicKey ::= SEQUENCE { modulus INTEGER, publicExponent INTEGER } (RFC 8017, A.1.1)
    let mut key = SliceReader::new(info.subject_public_key.raw_bytes()).ok()?;
    let modulus =
        key.sequence(|key| Ok((key.decode::<UintRef<'_>>()?, key.decode::<UintRef<'_>>()?)));
    let modulus = modulus.ok()?.0.as_bytes();
    Some(modulus.len() * 8 - modulus.first()?.leading_zeros() as usize)
}

fn weak_signature(certificate: &x509_cert::TbsCertificate) -> Option<&'static str> {
    let known = WEAK_SIGNATURES.iter().find(|(oid, _)| *oid == certificate.signature.oid);
    known.map(|(_, name)| *name)
}

const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");

const WEAK_SIGNATURES: &[(ObjectIdentifier, &str)] = &[
    (ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.4"), "MD5"),
    (ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.5"), "SHA-1"),
    (ObjectIdentifier::new_unwrap("1.2.840.10045.4.1"), "SHA-1"),
];

fn name(name: &GeneralName) -> Option<String> {
    match name {
        GeneralName::DnsName(name) => Some(name.to_string()),
        GeneralName::IpAddress(bytes) => match bytes.as_bytes() {
            [a, b, c, d] => Some(std::net::Ipv4Addr::new(*a, *b, *c, *d).to_string()),
            bytes => {
                <[u8; 16]>::try_from(bytes).ok().map(|b| std::net::Ipv6Addr::from(b).to_string())
            }
        },
        _ => None,
    }
}

pub(super) fn date(since_epoch: Duration) -> String {
    let seconds = i64::try_from(since_epoch.as_secs()).unwrap_or(i64::MAX);
    jiff::Timestamp::from_second(seconds).map(|time| time.to_string()).unwrap_or_default()
}
