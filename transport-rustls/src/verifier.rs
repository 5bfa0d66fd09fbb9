//! The verdict on a server's certificate.
//!
//! rustls's own verifier gets operators' cases wrong both ways: it refuses a self-signed server
//! certificate that was put in the bundle, and it takes every listed certificate for an authority,
//! expired ones and servers' own too, so that a stolen server key could sign for every host. Here
//!
//! - an **authority** is a listed certificate that may issue (`CA:TRUE`) and is in date;
//! - a **server's own certificate**, listed, is accepted when it is presented exactly, for the
//!   names and times it carries, and for nothing else.

use std::sync::Arc;

use glance_core::tls::verdict::{self, Refusal};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, DigitallySignedStruct, Error, OtherError, RootCertStore, SignatureScheme,
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use x509_cert::Certificate;
use x509_cert::der::Decode;
use x509_cert::der::oid::db::rfc4519::COMMON_NAME;
use x509_cert::der::oid::db::rfc5280::{ANY_EXTENDED_KEY_USAGE, ID_KP_SERVER_AUTH};
use x509_cert::ext::pkix::{BasicConstraints, ExtendedKeyUsage, KeyUsage, KeyUsages};
use x509_cert::name::Name;
use x509_cert::time::Time;

#[derive(Debug)]
pub(crate) struct BundleVerifier {
    listed: Vec<(CertificateDer<'static>, Certificate)>,
    algorithms: WebPkiSupportedAlgorithms,
}

/// A refusal on its way through rustls's errors.
#[derive(Debug, thiserror::Error)]
#[error("the certificate was refused")]
pub(crate) struct Refused(pub(crate) Refusal);

impl BundleVerifier {
    pub(crate) fn new(trusted: &[CertificateDer<'static>], provider: &CryptoProvider) -> Self {
        let parsed = trusted.iter().filter_map(|der| Some((der.clone(), parse(der)?)));
        Self { listed: parsed.collect(), algorithms: provider.signature_verification_algorithms }
    }

    /// The listed certificates that may issue others now.
    fn authorities(&self, now: UnixTime) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        for (der, certificate) in &self.listed {
            if may_issue(certificate) && period(certificate).contains(&now.as_secs()) {
                // What webpki can't read stays out, as an authority that is not listed.
                let _ = roots.add(der.clone());
            }
        }
        roots
    }

    fn judge(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        now: UnixTime,
    ) -> Result<(), Refusal> {
        let unreadable = |what: &str| Refusal::other(format!("its certificate is {what}"));
        let certificate = parse(leaf).ok_or_else(|| unreadable("malformed"))?;
        let parsed = ParsedCertificate::try_from(leaf).map_err(|_| unreadable("malformed"))?;
        in_date(&certificate, now)?;
        if self.listed.iter().any(|(listed, _)| listed == leaf) {
            if !may_serve(&certificate) {
                return Err(unreadable("not one for servers (its key usage forbids it)"));
            }
        } else {
            let roots = self.authorities(now);
            let algorithms = self.algorithms.all;
            verify_server_cert_signed_by_trust_anchor(
                &parsed,
                &roots,
                intermediates,
                now,
                algorithms,
            )
            .map_err(|error| chain_refusal(&error, &certificate, intermediates))?;
        }
        verify_server_name(&parsed, name)
            .map_err(|_| Refusal::wrong_name(&name.to_str(), &names(&certificate)))
    }
}

impl ServerCertVerifier for BundleVerifier {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        _ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match self.judge(leaf, intermediates, name, now) {
            Ok(()) => Ok(ServerCertVerified::assertion()),
            Err(refusal) => {
                let other = OtherError(Arc::new(Refused(refusal)));
                Err(Error::InvalidCertificate(CertificateError::Other(other)))
            }
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

fn chain_refusal(
    error: &Error,
    leaf: &Certificate,
    intermediates: &[CertificateDer<'_>],
) -> Refusal {
    match error {
        Error::InvalidCertificate(CertificateError::UnknownIssuer) => {
            let last = intermediates.last().and_then(parse).unwrap_or_else(|| leaf.clone());
            let last = &last.tbs_certificate;
            let (subject, issuer) = (common_name(&last.subject), common_name(&last.issuer));
            verdict::unknown_issuer(intermediates.len() + 1, &subject, &issuer)
        }
        Error::InvalidCertificate(error) => Refusal::other(format!("its certificate: {error:?}")),
        error => Refusal::other(error.to_string()),
    }
}

fn in_date(certificate: &Certificate, now: UnixTime) -> Result<(), Refusal> {
    let (now, period) = (now.as_secs(), period(certificate));
    let subject = common_name(&certificate.tbs_certificate.subject);
    let validity = &certificate.tbs_certificate.validity;
    if now < *period.start() {
        return Err(Refusal::not_yet_valid(&subject, &validity.not_before.to_string()));
    }
    if now > *period.end() {
        return Err(Refusal::expired(&subject, &validity.not_after.to_string()));
    }
    Ok(())
}

/// The seconds since 1970 in which a certificate is valid.
fn period(certificate: &Certificate) -> std::ops::RangeInclusive<u64> {
    let seconds = |time: &Time| time.to_unix_duration().as_secs();
    let validity = &certificate.tbs_certificate.validity;
    seconds(&validity.not_before)..=seconds(&validity.not_after)
}

/// Whether a certificate is an authority's: by its basic constraints, or, in version 1, which has
/// none, by being its own issuer.
fn may_issue(certificate: &Certificate) -> bool {
    let certificate = &certificate.tbs_certificate;
    let may_sign = match certificate.get::<KeyUsage>() {
        Ok(Some((_, usage))) => usage.0.contains(KeyUsages::KeyCertSign),
        Ok(None) => true,
        Err(_) => false,
    };
    let is_authority = match certificate.get::<BasicConstraints>() {
        Ok(Some((_, constraints))) => constraints.ca,
        Ok(None) => {
            certificate.version == x509_cert::Version::V1
                && certificate.subject == certificate.issuer
        }
        Err(_) => false,
    };
    may_sign && is_authority
}

/// Whether a certificate's usages allow its key to speak for a TLS server.
fn may_serve(certificate: &Certificate) -> bool {
    let certificate = &certificate.tbs_certificate;
    let purpose = match certificate.get::<ExtendedKeyUsage>() {
        Ok(Some((_, usage))) => {
            usage.0.iter().any(|oid| [ID_KP_SERVER_AUTH, ANY_EXTENDED_KEY_USAGE].contains(oid))
        }
        Ok(None) => true,
        Err(_) => false,
    };
    let serving =
        KeyUsages::DigitalSignature | KeyUsages::KeyEncipherment | KeyUsages::KeyAgreement;
    let usage = match certificate.get::<KeyUsage>() {
        Ok(Some((_, usage))) => usage.0.into_iter().any(|usage| serving.contains(usage)),
        Ok(None) => true,
        Err(_) => false,
    };
    purpose && usage
}

/// The names that a certificate holds for.
fn names(certificate: &Certificate) -> Vec<String> {
    use x509_cert::ext::pkix::SubjectAltName;
    use x509_cert::ext::pkix::name::GeneralName;

    let names = certificate.tbs_certificate.get::<SubjectAltName>();
    let Ok(Some((_, names))) = names else { return Vec::new() };
    let text = |name: &GeneralName| match name {
        GeneralName::DnsName(name) => Some(name.to_string()),
        GeneralName::IpAddress(bytes) => match bytes.as_bytes() {
            [a, b, c, d] => Some(std::net::Ipv4Addr::new(*a, *b, *c, *d).to_string()),
            bytes => {
                let bytes: [u8; 16] = bytes.try_into().ok()?;
                Some(std::net::Ipv6Addr::from(bytes).to_string())
            }
        },
        _ => None,
    };
    names.0.iter().filter_map(text).collect()
}

/// A distinguished name's common name, or all of it.
fn common_name(name: &Name) -> String {
    let attributes = name.0.iter().flat_map(|set| set.0.iter());
    let common = attributes.into_iter().find(|attribute| attribute.oid == COMMON_NAME);
    let text =
        common.and_then(|attribute| String::from_utf8(attribute.value.value().to_vec()).ok());
    text.unwrap_or_else(|| name.to_string())
}

fn parse(der: &CertificateDer<'_>) -> Option<Certificate> {
    Certificate::from_der(der.as_ref()).ok()
}
