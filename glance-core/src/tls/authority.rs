//! Which certificates may sign others, the same for every TLS library.

use x509_cert::der::Decode;
use x509_cert::ext::pkix::{BasicConstraints, KeyUsage};
use x509_cert::{Certificate, Version};

/// Whether the certificate (DER) may sign others: it says CA:TRUE, and its key usage does not
/// exclude it; or it is a root of version 1, which could not say so.
pub fn may_sign(der: &[u8]) -> bool {
    let Ok(certificate) = Certificate::from_der(der) else { return false };
    let certificate = certificate.tbs_certificate;
    if certificate.version == Version::V1 {
        return certificate.issuer == certificate.subject;
    }
    let is_ca = matches!(certificate.get::<BasicConstraints>(), Ok(Some((_, basic))) if basic.ca);
    let usage = match certificate.get::<KeyUsage>() {
        Ok(Some((_, usage))) => usage.key_cert_sign(),
        Ok(None) => true,
        Err(_) => false,
    };
    is_ca && usage
}

/// Whether the certificate (DER) may sign revocation lists: its key usage, where it has one, says
/// so (RFC 5280, 4.2.1.3).
pub fn may_sign_lists(der: &[u8]) -> bool {
    let Ok(certificate) = Certificate::from_der(der) else { return false };
    match certificate.tbs_certificate.get::<KeyUsage>() {
        Ok(Some((_, usage))) => usage.crl_sign(),
        Ok(None) => true,
        Err(_) => false,
    }
}
