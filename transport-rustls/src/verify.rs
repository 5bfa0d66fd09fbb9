//! The verifier: what webpki says, and certificates that are trusted for themselves.
//!
//! webpki alone takes no self-signed server certificate that says CA:TRUE (what `openssl req
//! -x509` makes), takes one with CA:FALSE as an authority, and never looks at the dates of a root.

use std::fmt;
use std::sync::Arc;

use glance_core::tls::verdict::Fault;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, OtherError, SignatureScheme};
use x509_cert::der::Decode;
use x509_cert::der::oid::ObjectIdentifier;
use x509_cert::ext::pkix::{ExtendedKeyUsage, KeyUsage};

use crate::roots::Trusted;

/// Verifies servers.
#[derive(Debug)]
pub(crate) struct Verifier {
    pub(crate) trusted: Trusted,
    pub(crate) algorithms: WebPkiSupportedAlgorithms,
}

/// Why a server's certificate was refused, and what it sent.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) fault: Fault,
    pub(crate) chain: Vec<Vec<u8>>,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the certificate was refused: {:?}", self.fault)
    }
}

impl std::error::Error for Refused {}

impl Verifier {
    fn check(
        &self,
        leaf: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        host: &ServerName<'_>,
        now: UnixTime,
    ) -> Result<(), Fault> {
        let parsed = ParsedCertificate::try_from(leaf).map_err(|error| fault(&error))?;
        let content = x509_cert::Certificate::from_der(leaf)
            .map_err(|error| Fault::Other(format!("its certificate is damaged: {error}")))?
            .tbs_certificate;
        if self.trusted.pins.contains(leaf) {
            check_pin(&content, now)?;
        } else if content.issuer == content.subject {
            // Signed by itself with the name of a root that is trusted: not that root.
            return Err(Fault::UnknownIssuer);
        } else {
            self.check_chain(&parsed, chain, now)?;
        }
        verify_server_name(&parsed, host).map_err(|error| fault(&error))
    }

    fn check_chain(
        &self,
        leaf: &ParsedCertificate<'_>,
        chain: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), Fault> {
        let all = self.algorithms.all;
        let verify =
            |roots| verify_server_cert_signed_by_trust_anchor(leaf, &roots, chain, now, all);
        verify(self.trusted.in_date()).map_err(|error| match fault(&error) {
            Fault::UnknownIssuer if verify(self.trusted.of_any_date()).is_ok() => Fault::Expired,
            fault => fault,
        })
    }
}

/// A certificate that is trusted for itself: nobody's signature matters, all the rest does.
fn check_pin(content: &x509_cert::TbsCertificate, now: UnixTime) -> Result<(), Fault> {
    let validity = &content.validity;
    if now.as_secs() > validity.not_after.to_unix_duration().as_secs() {
        return Err(Fault::Expired);
    }
    if now.as_secs() < validity.not_before.to_unix_duration().as_secs() {
        return Err(Fault::NotYetValid);
    }
    let purpose = match content.get::<ExtendedKeyUsage>() {
        Ok(Some((_, purposes))) => purposes.0.iter().any(|one| SERVER_PURPOSES.contains(one)),
        Ok(None) => true,
        Err(_) => false,
    };
    let usage = match content.get::<KeyUsage>() {
        Ok(Some((_, usage))) => {
            usage.digital_signature() || usage.key_encipherment() || usage.key_agreement()
        }
        Ok(None) => true,
        Err(_) => false,
    };
    if purpose && usage { Ok(()) } else { Err(Fault::WrongPurpose) }
}

/// serverAuth and anyExtendedKeyUsage.
const SERVER_PURPOSES: &[ObjectIdentifier] = &[
    ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.1"),
    ObjectIdentifier::new_unwrap("2.5.29.37.0"),
];

fn fault(error: &Error) -> Fault {
    use CertificateError as C;
    let Error::InvalidCertificate(error) = error else { return Fault::Other(error.to_string()) };
    match error {
        C::Expired | C::ExpiredContext { .. } => Fault::Expired,
        C::NotValidYet | C::NotValidYetContext { .. } => Fault::NotYetValid,
        C::NotValidForName | C::NotValidForNameContext { .. } => Fault::WrongName,
        C::UnknownIssuer => Fault::UnknownIssuer,
        C::InvalidPurpose | C::InvalidPurposeContext { .. } => Fault::WrongPurpose,
        C::Other(OtherError(inner)) if not_an_authority(&**inner) => Fault::UnknownIssuer,
        other => Fault::Other(format!("its certificate can't be verified: {other}")),
    }
}

/// A server's certificate signed another one: the one above it is not trusted.
fn not_an_authority(error: &(dyn std::error::Error + 'static)) -> bool {
    // rustls passes on webpki's error, and hides its type.
    error.to_string() == "EndEntityUsedAsCa"
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        host: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.check(leaf, chain, host, now).map_err(|fault| {
            let chain = std::iter::once(leaf).chain(chain).map(|one| one.to_vec()).collect();
            let refused = Arc::new(Refused { fault, chain });
            Error::InvalidCertificate(CertificateError::Other(OtherError(refused)))
        })?;
        Ok(ServerCertVerified::assertion())
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
