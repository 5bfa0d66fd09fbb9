//! What messages say about certificates.

use std::fmt;
use std::time::Duration;

use x509_cert::TbsCertificate;
use x509_cert::der::asn1::{ObjectIdentifier, UintRef};
use x509_cert::der::{Decode, Reader, SliceReader};
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{BasicConstraints, NameConstraints, SubjectAltName};
use x509_cert::name::Name;
use x509_cert::spki::AlgorithmIdentifierOwned;

use crate::tls::authority;

/// A certificate, understood as far as messages need it.
pub(in crate::tls) struct Known {
    der: Vec<u8>,
    content: TbsCertificate,
    /// Whether it is the server's own.
    is_own: bool,
}

/// The certificates from the server's own upward, as their names tell, of those that it sent (its
/// own first) and those that may stand above.
pub(in crate::tls) fn path(sent: &[Vec<u8>], above: &[Vec<u8>]) -> Vec<Known> {
    let mut rest: Vec<Known> =
        sent.iter().chain(above).filter_map(|der| Known::read(der)).collect();
    if rest.is_empty() {
        return rest;
    }
    let mut path = vec![Known { is_own: true, ..rest.remove(0) }];
    while let Some(last) = path.last().filter(|last| !last.is_self_issued()) {
        let is_issuer = |one: &Known| one.content.subject == last.content.issuer;
        let Some(next) = rest.iter().position(is_issuer) else { break };
        path.push(rest.remove(next));
    }
    path
}

impl Known {
    pub(in crate::tls) fn read(der: &[u8]) -> Option<Self> {
        let content = x509_cert::Certificate::from_der(der).ok()?.tbs_certificate;
        Some(Self { der: der.to_vec(), content, is_own: false })
    }

    pub(in crate::tls) fn is(&self, der: &[u8]) -> bool {
        self.der == der
    }

    pub(in crate::tls) fn issuer(&self) -> &Name {
        &self.content.issuer
    }

    pub(in crate::tls) fn subject(&self) -> &Name {
        &self.content.subject
    }

    pub(in crate::tls) fn is_self_issued(&self) -> bool {
        self.content.issuer == self.content.subject
    }

    pub(in crate::tls) fn not_before(&self) -> Duration {
        self.content.validity.not_before.to_unix_duration()
    }

    pub(in crate::tls) fn not_after(&self) -> Duration {
        self.content.validity.not_after.to_unix_duration()
    }

    pub(in crate::tls) fn may_sign(&self) -> bool {
        authority::may_sign(&self.der)
    }

    pub(in crate::tls) fn has_purpose(&self) -> bool {
        match self.is_own {
            true => authority::may_serve(&self.der),
            false => authority::may_sign_for_servers(&self.der),
        }
    }

    pub(in crate::tls) fn has_name_constraints(&self) -> bool {
        !matches!(self.content.get::<NameConstraints>(), Ok(None))
    }

    /// How many authorities may stand between it and the server.
    pub(in crate::tls) fn path_length(&self) -> Option<u8> {
        self.content.get::<BasicConstraints>().ok()??.1.path_len_constraint
    }

    /// A critical extension that no TLS library knows.
    pub(in crate::tls) fn unknown_extension(&self) -> Option<ObjectIdentifier> {
        let mut all = self.content.extensions.iter().flatten();
        let unknown = all.find(|one| one.critical && !KNOWN.contains(&one.extn_id))?;
        Some(unknown.extn_id)
    }

    /// The hosts that it is for.
    pub(in crate::tls) fn names(&self) -> Vec<String> {
        match self.content.get::<SubjectAltName>() {
            Ok(Some((_, names))) => names.0.iter().filter_map(name).collect(),
            _ => Vec::new(),
        }
    }

    pub(in crate::tls) fn key_algorithm(&self) -> &AlgorithmIdentifierOwned {
        &self.content.subject_public_key_info.algorithm
    }

    /// The length of an RSA key; none for other keys.
    pub(in crate::tls) fn rsa_bits(&self) -> Option<usize> {
        let info = &self.content.subject_public_key_info;
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

    /// The broken digest that its signature goes by. The signature of a root is nobody's concern.
    pub(in crate::tls) fn weak_signature(&self) -> Option<&'static str> {
        weak_signature(self.content.signature.oid).filter(|_| !self.is_self_issued())
    }
}

/// As the guilty one of a sentence.
impl fmt::Display for Known {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (subject, issuer) = (self.subject(), self.issuer());
        match (self.is_own, self.is_self_issued()) {
            (true, true) => write!(f, "its certificate ({subject}, signed by itself)"),
            (true, false) => write!(f, "its certificate ({subject}, by {issuer})"),
            (false, _) => write!(f, "the certificate of its authority {subject}"),
        }
    }
}

/// The broken digest of a signature algorithm.
pub(in crate::tls) fn weak_signature(algorithm: ObjectIdentifier) -> Option<&'static str> {
    let known = WEAK_SIGNATURES.iter().find(|(oid, _)| *oid == algorithm);
    known.map(|(_, name)| *name)
}

fn name(name: &GeneralName) -> Option<String> {
    match name {
        // A server may write anything here, as escapes that a terminal obeys.
        GeneralName::DnsName(name) => Some(name.as_str().escape_debug().to_string()),
        GeneralName::IpAddress(bytes) => match bytes.as_bytes() {
            [a, b, c, d] => Some(std::net::Ipv4Addr::new(*a, *b, *c, *d).to_string()),
            bytes => {
                <[u8; 16]>::try_from(bytes).ok().map(|b| std::net::Ipv6Addr::from(b).to_string())
            }
        },
        _ => None,
    }
}

const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");

const WEAK_SIGNATURES: &[(ObjectIdentifier, &str)] = &[
    (ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.4"), "MD5"),
    (ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.5"), "SHA-1"),
    (ObjectIdentifier::new_unwrap("1.2.840.10045.4.1"), "SHA-1"),
];

/// What both TLS libraries understand (RFC 5280, 4.2.1): key usage, alternative names, basic and
/// name constraints, purposes.
const KNOWN: &[ObjectIdentifier] = &[
    ObjectIdentifier::new_unwrap("2.5.29.15"),
    ObjectIdentifier::new_unwrap("2.5.29.17"),
    ObjectIdentifier::new_unwrap("2.5.29.19"),
    ObjectIdentifier::new_unwrap("2.5.29.30"),
    ObjectIdentifier::new_unwrap("2.5.29.37"),
];
