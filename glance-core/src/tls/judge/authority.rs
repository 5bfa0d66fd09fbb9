//! What certificates may be used for, the same for every TLS library.

use x509_cert::der::Decode;
use x509_cert::der::asn1::ObjectIdentifier;
use x509_cert::ext::pkix::{BasicConstraints, ExtendedKeyUsage, KeyUsage};
use x509_cert::{Certificate, TbsCertificate, Version};

/// Whether the certificate (DER) may sign others: it says CA:TRUE, and its key usage does not
/// exclude it; or it is a root of version 1, which could not say so.
pub fn may_sign(der: &[u8]) -> bool {
    read(der).is_some_and(|one| no_authority(&one).is_none())
}

/// Whether the certificate (DER) may sign revocation lists (RFC 5280, 4.2.1.3).
pub fn may_sign_lists(der: &[u8]) -> bool {
    read(der).is_some_and(|one| allows(&one, |usage| usage.crl_sign()))
}

/// Whether a server may present the certificate (DER). OpenSSL also takes purposes of the days of
/// export ciphers, and webpki looks at no key usage.
pub fn may_serve(der: &[u8]) -> bool {
    read(der).is_some_and(|one| serves(&one))
}

/// Whether an authority (DER) may sign for servers: its purposes, where it has any, bound those of
/// the certificates below it. webpki does not ask this of a root.
pub fn may_sign_for_servers(der: &[u8]) -> bool {
    read(der).is_some_and(|one| is_for_servers(&one))
}

/// Why the certificate may not sign others, the end of a sentence; none when it may.
pub(crate) fn no_authority(one: &TbsCertificate) -> Option<&'static str> {
    if one.version == Version::V1 {
        return (one.issuer != one.subject).then_some("is of version 1, and not a root");
    }
    match one.get::<BasicConstraints>() {
        Err(_) => Some(BAD_BASICS),
        Ok(None) => Some("does not say that it is an authority (no basicConstraints)"),
        Ok(Some((_, basic))) if !basic.ca => Some("says that it is not an authority (CA:FALSE)"),
        Ok(Some(_)) if !allows(one, |usage| usage.key_cert_sign()) => {
            Some("may not sign certificates (key usage)")
        }
        Ok(Some(_)) => None,
    }
}

/// OpenSSL reads these; webpki does not, in the certificate of a server or an intermediate.
pub(crate) const BAD_BASICS: &str =
    "has basicConstraints that are not DER (in DER, TRUE is FF, not 01)";

pub(crate) fn serves(one: &TbsCertificate) -> bool {
    let serves = |usage: KeyUsage| {
        usage.digital_signature() || usage.key_encipherment() || usage.key_agreement()
    };
    is_for_servers(one) && allows(one, serves)
}

/// What the key usage says; without one everything is allowed.
fn allows(one: &TbsCertificate, wanted: impl Fn(KeyUsage) -> bool) -> bool {
    match one.get::<KeyUsage>() {
        Ok(Some((_, usage))) => wanted(usage),
        Ok(None) => true,
        Err(_) => false,
    }
}

pub(crate) fn is_for_servers(one: &TbsCertificate) -> bool {
    match one.get::<ExtendedKeyUsage>() {
        Ok(Some((_, purposes))) => purposes.0.contains(&SERVER_AUTH),
        Ok(None) => true,
        Err(_) => false,
    }
}

fn read(der: &[u8]) -> Option<TbsCertificate> {
    Certificate::from_der(der).ok().map(|certificate| certificate.tbs_certificate)
}

/// RFC 5280, 4.2.1.12. webpki and OpenSSL take anyExtendedKeyUsage for no permission.
const SERVER_AUTH: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.1");
