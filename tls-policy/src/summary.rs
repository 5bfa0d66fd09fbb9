//! Human-readable summaries of certificates.

use std::time::Duration;

use x509_cert::der::asn1::ObjectIdentifier;

use crate::time::date;
use crate::x509::certificate::Known;

/// The contents of a certificate, for display.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// The subject's name.
    pub subject: String,
    /// The issuer's name.
    pub issuer: String,
    /// The DNS names and IP addresses that the certificate is valid for.
    pub names: Vec<String>,
    /// The beginning of the validity period, since the Unix epoch.
    pub not_before: Duration,
    /// The end of the validity period, since the Unix epoch.
    pub not_after: Duration,
    /// The key type, such as `RSA 2048` or `ECDSA P-256`.
    pub key: String,
}

impl Summary {
    /// Reads a certificate (DER); `None` if it cannot be parsed.
    pub fn from_der(der: &[u8]) -> Option<Self> {
        let known = Known::read(der)?;
        let algorithm = known.key_algorithm();
        let curve = algorithm.parameters.as_ref().and_then(|curve| curve.decode_as().ok());
        let key = match known.rsa_bits() {
            Some(bits) => format!("RSA {bits}"),
            None => key_name(algorithm.oid, curve),
        };
        Some(Self {
            subject: known.subject().to_string(),
            issuer: known.issuer().to_string(),
            names: known.names(),
            not_before: known.not_before(),
            not_after: known.not_after(),
            key,
        })
    }

    /// The beginning and end of the validity period in RFC 3339 format.
    pub fn validity(&self) -> (String, String) {
        (date(self.not_before), date(self.not_after))
    }
}

fn key_name(algorithm: ObjectIdentifier, curve: Option<ObjectIdentifier>) -> String {
    let known = KEYS.iter().find(|(oid, _)| Some(*oid) == curve || *oid == algorithm);
    known.map_or_else(|| algorithm.to_string(), |(_, name)| (*name).to_owned())
}

/// Names of keys by OID (RFC 5480, 2.1.1.1, and RFC 8410, 3).
const KEYS: &[(ObjectIdentifier, &str)] = &[
    (ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7"), "ECDSA P-256"),
    (ObjectIdentifier::new_unwrap("1.3.132.0.34"), "ECDSA P-384"),
    (ObjectIdentifier::new_unwrap("1.3.132.0.35"), "ECDSA P-521"),
    (ObjectIdentifier::new_unwrap("1.3.101.112"), "Ed25519"),
    (ObjectIdentifier::new_unwrap("1.3.101.113"), "Ed448"),
];
