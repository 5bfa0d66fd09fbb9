//! What certificates may be used for, the same for every TLS library.

use x509_cert::der::Decode;
use x509_cert::der::asn1::ObjectIdentifier;
use x509_cert::ext::pkix::{BasicConstraints, ExtendedKeyUsage, KeyUsage};
use x509_cert::{Certificate, TbsCertificate, Version};

/// Whether the certificate (DER) may sign others: it says CA:TRUE, and its key usage does not
/// exclude it; or it is a root of version 1, which could not say so.
pub fn may_sign(der: &[u8]) -> bool {
    let Ok(certificate) = Certificate::from_der(der) else { return false };
    let certificate = certificate.tbs_certificate;
    if certificate.version == Version::V1 {
        return certificate.issuer == certificate.subject;
    }
    let is_ca = matches!(certificate.get::<BasicConstraints>(), Ok(Some((_, basic))) if basic.ca);
    is_ca && allows(&certificate, |usage| usage.key_cert_sign())
}

/// Whether the certificate (DER) may sign revocation lists (RFC 5280, 4.2.1.3).
pub fn may_sign_lists(der: &[u8]) -> bool {
    let Ok(certificate) = Certificate::from_der(der) else { return false };
    allows(&certificate.tbs_certificate, |usage| usage.crl_sign())
}

/// Whether a server may present the certificate (DER). OpenSSL also takes purposes of the days of
/// export ciphers, and webpki looks at no key usage.
pub fn may_serve(der: &[u8]) -> bool {
    let Ok(certificate) = Certificate::from_der(der) else { return false };
    let serves = |usage: KeyUsage| {
        usage.digital_signature() || usage.key_encipherment() || usage.key_agreement()
    };
    is_for_servers(&certificate.tbs_certificate) && allows(&certificate.tbs_certificate, serves)
}

/// Whether an authority (DER) may sign for servers: its purposes, where it has any, bound those of
/// the certificates below it. webpki does not ask this of a root.
pub fn may_sign_for_servers(der: &[u8]) -> bool {
    let Ok(certificate) = Certificate::from_der(der) else { return false };
    is_for_servers(&certificate.tbs_certificate)
}

/// What the key usage says; without one everything is allowed.
fn allows(certificate: &TbsCertificate, wanted: impl Fn(KeyUsage) -> bool) -> bool {
    match certificate.get::<KeyUsage>() {
        Ok(Some((_, usage))) => wanted(usage),
        Ok(None) => true,
        Err(_) => false,
    }
}

fn is_for_servers(certificate: &TbsCertificate) -> bool {
    match certificate.get::<ExtendedKeyUsage>() {
        Ok(Some((_, purposes))) => purposes.0.contains(&SERVER_AUTH),
        Ok(None) => true,
        Err(_) => false,
    }
}

/// RFC 5280, 4.2.1.12. webpki and OpenSSL take anyExtendedKeyUsage for no permission.
const SERVER_AUTH: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.1");
