//! Parsed certificates, for messages and for our own checks.

use std::fmt;
use std::time::Duration;

use x509_cert::TbsCertificate;
use x509_cert::der::asn1::{ObjectIdentifier, UintRef};
use x509_cert::der::{Decode, Reader, SliceReader};
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{BasicConstraints, NameConstraints, SubjectAltName};
use x509_cert::name::Name;
use x509_cert::spki::AlgorithmIdentifierOwned;

use super::authority;
use crate::fault::Fault;

/// A certificate, parsed as far as messages and our own checks need it.
pub(crate) struct Known {
    der: Vec<u8>,
    content: TbsCertificate,
    says_once_how_it_is_signed: bool,
    /// Whether this is the server's own certificate.
    is_own: bool,
}

/// Orders the certificates from the server's own upward by matching issuer to subject names. `sent`
/// are the certificates that the server sent, its own first; `above` are further candidates.
pub(crate) fn path(sent: &[Vec<u8>], above: &[Vec<u8>]) -> Vec<Known> {
    let Some((own, others)) = sent.split_first() else { return Vec::new() };
    let Some(own) = Known::read(own) else { return Vec::new() };
    let mut rest: Vec<Known> =
        others.iter().chain(above).filter_map(|der| Known::read(der)).collect();
    let mut path = vec![Known { is_own: true, ..own }];
    while let Some(last) = path.last().filter(|last| !last.is_self_issued()) {
        let is_issuer = |one: &Known| one.content.subject == last.content.issuer;
        let Some(next) = rest.iter().position(is_issuer) else { break };
        path.push(rest.remove(next));
    }
    path
}

/// Parses a known path, from the server's own certificate upward.
pub(crate) fn read_all(path: &[Vec<u8>]) -> Result<Vec<Known>, Fault> {
    let read = |(index, der): (usize, &Vec<u8>)| match Known::read(der) {
        Some(one) => Ok(Known { is_own: index == 0, ..one }),
        None => Err(unreadable(der)),
    };
    path.iter().enumerate().map(read).collect()
}

/// The fault for a certificate that cannot be parsed.
pub(crate) fn unreadable(der: &[u8]) -> Fault {
    let why = super::unreadable(der).map(|why| format!(": {why}")).unwrap_or_default();
    Fault::Unfit(der.to_vec(), format!("cannot be read{why}"))
}

impl Known {
    pub(crate) fn read(der: &[u8]) -> Option<Self> {
        let whole = x509_cert::Certificate::from_der(der).ok()?;
        let content = whole.tbs_certificate;
        let says_once_how_it_is_signed = content.signature == whole.signature_algorithm;
        Some(Self { der: der.to_vec(), content, says_once_how_it_is_signed, is_own: false })
    }

    pub(crate) fn der(&self) -> &[u8] {
        &self.der
    }

    pub(crate) fn is(&self, der: &[u8]) -> bool {
        self.der == der
    }

    pub(crate) fn content(&self) -> &TbsCertificate {
        &self.content
    }

    /// Whether the signed part and the signature name the same signature algorithm.
    pub(crate) fn says_once_how_it_is_signed(&self) -> bool {
        self.says_once_how_it_is_signed
    }

    pub(crate) fn issuer(&self) -> &Name {
        &self.content.issuer
    }

    pub(crate) fn subject(&self) -> &Name {
        &self.content.subject
    }

    pub(crate) fn is_self_issued(&self) -> bool {
        self.content.issuer == self.content.subject
    }

    pub(crate) fn not_before(&self) -> Duration {
        self.content.validity.not_before.to_unix_duration()
    }

    pub(crate) fn not_after(&self) -> Duration {
        self.content.validity.not_after.to_unix_duration()
    }

    /// The reason why this certificate may not sign others, if it may not.
    pub(crate) fn no_authority(&self) -> Option<&'static str> {
        authority::no_authority(&self.content)
    }

    pub(crate) fn has_purpose(&self) -> bool {
        match self.is_own {
            true => authority::serves(&self.content),
            false => authority::is_for_servers(&self.content),
        }
    }

    /// Whether a server may present this certificate.
    pub(crate) fn may_serve(&self) -> bool {
        authority::serves(&self.content)
    }

    pub(crate) fn has_name_constraints(&self) -> bool {
        !matches!(self.content.get::<NameConstraints>(), Ok(None))
    }

    /// The maximum number of intermediate authorities below this one.
    pub(crate) fn path_length(&self) -> Option<u8> {
        self.content.get::<BasicConstraints>().ok()??.1.path_len_constraint
    }

    /// A critical extension that this TLS library or the other one does not know.
    pub(crate) fn unsupported_extension(&self) -> Option<ObjectIdentifier> {
        self.unknown_extension().or_else(|| self.policies())
    }

    /// A critical extension that at least one of the TLS libraries does not know.
    pub(crate) fn unknown_extension(&self) -> Option<ObjectIdentifier> {
        self.critical().find(|one| !KNOWN.contains(one) && !POLICIES.contains(one))
    }

    /// A critical policy extension, which rustls does not know.
    pub(crate) fn policies(&self) -> Option<ObjectIdentifier> {
        self.critical().find(|one| POLICIES.contains(one))
    }

    fn critical(&self) -> impl Iterator<Item = ObjectIdentifier> {
        let all = self.content.extensions.iter().flatten();
        all.filter(|one| one.critical).map(|one| one.extn_id)
    }

    /// All alternative names; `None` if they cannot be parsed.
    pub(crate) fn general_names(&self) -> Option<Vec<GeneralName>> {
        let names = self.content.get::<SubjectAltName>().ok()?;
        Some(names.map(|(_, names)| names.0).unwrap_or_default())
    }

    /// The host names and IP addresses that the certificate is valid for.
    pub(crate) fn names(&self) -> Vec<String> {
        self.general_names().iter().flatten().filter_map(name).collect()
    }

    pub(crate) fn key_algorithm(&self) -> &AlgorithmIdentifierOwned {
        &self.content.subject_public_key_info.algorithm
    }

    /// The length of an RSA key in bits; `None` for other keys.
    pub(crate) fn rsa_bits(&self) -> Option<usize> {
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

    /// The reason why the key is too weak, as the end of a sentence.
    pub(crate) fn weak_key(&self) -> Option<String> {
        if let Some(bits @ ..2048) = self.rsa_bits() {
            return Some(format!("has an RSA key of {bits} bits, which is too short"));
        }
        let algorithm = self.key_algorithm();
        let curve = || algorithm.parameters.as_ref()?.decode_as::<ObjectIdentifier>().ok();
        let what = match algorithm.oid {
            DSA => "has a DSA key, which is no longer secure",
            ECDSA => match curve() {
                None => "has an ECDSA key on a custom curve",
                Some(P192) => "has an ECDSA key on P-192, which is too short",
                Some(_) => return None,
            },
            _ => return None,
        };
        Some(what.to_owned())
    }

    /// The broken digest of the certificate's signature. `None` for a root, whose signature is
    /// irrelevant.
    pub(crate) fn weak_signature(&self) -> Option<&'static str> {
        weak_signature(self.content.signature.oid).filter(|_| !self.is_self_issued())
    }
}

/// Names the certificate as the subject of a sentence.
impl fmt::Display for Known {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (subject, issuer) = (self.subject(), self.issuer());
        match (self.is_own, self.is_self_issued()) {
            (true, true) => write!(f, "the server's certificate ({subject}, self-signed)"),
            (true, false) => write!(f, "the server's certificate ({subject}, issued by {issuer})"),
            (false, _) => write!(f, "the CA certificate {subject}"),
        }
    }
}

/// The broken digest of a signature algorithm.
pub(crate) fn weak_signature(algorithm: ObjectIdentifier) -> Option<&'static str> {
    let known = WEAK_SIGNATURES.iter().find(|(oid, _)| *oid == algorithm);
    known.map(|(_, name)| *name)
}

fn name(name: &GeneralName) -> Option<String> {
    match name {
        // A server can put any characters here, including terminal escape sequences.
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

/// OIDs of keys (RFC 3279, 2.3, and RFC 5480, 2.1.1).
const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const DSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10040.4.1");
const ECDSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const P192: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.1");

const WEAK_SIGNATURES: &[(ObjectIdentifier, &str)] = &[
    (ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.4"), "MD5"),
    (ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.5"), "SHA-1"),
    (ObjectIdentifier::new_unwrap("1.2.840.10045.4.1"), "SHA-1"),
];

/// Extensions that both TLS libraries understand (RFC 5280, 4.2.1): key usage, alternative names,
/// basic constraints, name constraints, CRL distribution points, extended key usage.
const KNOWN: &[ObjectIdentifier] = &[
    ObjectIdentifier::new_unwrap("2.5.29.15"),
    ObjectIdentifier::new_unwrap("2.5.29.17"),
    ObjectIdentifier::new_unwrap("2.5.29.19"),
    ObjectIdentifier::new_unwrap("2.5.29.30"),
    ObjectIdentifier::new_unwrap("2.5.29.31"),
    ObjectIdentifier::new_unwrap("2.5.29.37"),
];

/// Extensions that OpenSSL understands and webpki does not: certificate policies, policy mappings,
/// policy constraints and inhibit anyPolicy (RFC 5280, 4.2.1.4, 4.2.1.5, 4.2.1.11 and 4.2.1.14).
const POLICIES: &[ObjectIdentifier] = &[
    ObjectIdentifier::new_unwrap("2.5.29.32"),
    ObjectIdentifier::new_unwrap("2.5.29.33"),
    ObjectIdentifier::new_unwrap("2.5.29.36"),
    ObjectIdentifier::new_unwrap("2.5.29.54"),
];
