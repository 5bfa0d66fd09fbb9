//! The permitted uses of certificates, judged in the same way for every TLS library.

use x509_cert::der::Decode;
use x509_cert::der::asn1::ObjectIdentifier;
use x509_cert::ext::pkix::{BasicConstraints, ExtendedKeyUsage, KeyUsage};
use x509_cert::{Certificate, TbsCertificate, Version};

/// Whether the certificate (DER) may sign others: it has CA:TRUE and its key usage permits signing,
/// or it is a version 1 root, which has no such extensions.
pub fn may_sign(der: &[u8]) -> bool {
    read(der).is_some_and(|one| no_authority(&one).is_none())
}

/// Whether the certificate (DER) may sign revocation lists (RFC 5280, 4.2.1.3).
pub fn may_sign_lists(der: &[u8]) -> bool {
    read(der).is_some_and(|one| allows(&one, |usage| usage.crl_sign()))
}

/// Whether a server may present the certificate (DER). OpenSSL also accepts obsolete purposes of
/// the time of export ciphers, and webpki ignores the key usage.
pub fn may_serve(der: &[u8]) -> bool {
    read(der).is_some_and(|one| serves(&one))
}

/// Whether an authority (DER) may sign for servers: the purposes of an authority, if it has any,
/// limit those of the certificates below it. webpki does not check this for roots.
pub fn may_sign_for_servers(der: &[u8]) -> bool {
    read(der).is_some_and(|one| is_for_servers(&one))
}

/// The reason why the certificate may not sign others, as the end of a sentence; `None` if it may.
pub(crate) fn no_authority(one: &TbsCertificate) -> Option<&'static str> {
    if one.version == Version::V1 {
        return (one.issuer != one.subject).then_some("is a version 1 certificate and not a root");
    }
    match one.get::<BasicConstraints>() {
        Err(_) => Some(BAD_BASICS),
        Ok(None) => Some("is not marked as a CA (no basicConstraints)"),
        Ok(Some((_, basic))) if !basic.ca => Some("is not a CA (CA:FALSE)"),
        Ok(Some(_)) if !allows(one, |usage| usage.key_cert_sign()) => {
            Some("must not sign certificates (key usage)")
        }
        Ok(Some(_)) => None,
    }
}

/// OpenSSL accepts such an encoding; webpki rejects it in server and intermediate certificates.
pub(crate) const BAD_BASICS: &str =
    "has basicConstraints that are not DER (in DER, TRUE is FF, not 01)";

pub(crate) fn serves(one: &TbsCertificate) -> bool {
    let serves = |usage: KeyUsage| {
        usage.digital_signature() || usage.key_encipherment() || usage.key_agreement()
    };
    is_for_servers(one) && allows(one, serves)
}

/// Whether the key usage permits `wanted`. Without the extension, everything is permitted.
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

/// RFC 5280, 4.2.1.12. webpki and OpenSSL do not accept anyExtendedKeyUsage instead.
const SERVER_AUTH: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.1");
