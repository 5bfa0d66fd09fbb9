//! Verifies servers with webpki, and adds the checks that webpki lacks.
//!
//! webpki alone rejects a trusted self-signed server certificate with CA:TRUE (as made by `openssl
//! req -x509`), accepts one with CA:FALSE as a CA, and ignores the validity period of trust
//! anchors.

use std::cell::RefCell;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, Error, OtherError, SignatureScheme};
use tls_policy::fault::Fault;
use tls_policy::judge::checks::Checks;
use tls_policy::{RevocationList, TlsPolicy};
use transport_hyper::{HandshakeFault, TlsSetupError};
use webpki::{EndEntityCert, KeyUsage, VerifiedPath};
use x509_cert::Certificate;
use x509_cert::der::asn1::{AnyRef, BitStringRef};
use x509_cert::der::{Decode, Encode, Reader, SliceReader};

use crate::roots::Trusted;

/// Verifies the certificates of servers.
#[derive(Debug)]
pub(crate) struct Verifier {
    trusted: Trusted,
    algorithms: WebPkiSupportedAlgorithms,
    checks: Checks,
}

impl Verifier {
    pub(crate) fn new(
        policy: &TlsPolicy,
        algorithms: WebPkiSupportedAlgorithms,
    ) -> Result<Self, TlsSetupError> {
        Ok(Self {
            trusted: Trusted::of(policy, algorithms)?,
            algorithms,
            checks: Checks::of(policy),
        })
    }

    fn check(
        &self,
        leaf: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        host: &ServerName<'_>,
        now: UnixTime,
    ) -> Result<(), Fault> {
        let parsed = EndEntityCert::try_from(leaf).map_err(|error| match error {
            // A version 1 certificate has no subject alternative names.
            webpki::Error::UnsupportedCertVersion => Fault::WrongName,
            error => fault(&error),
        })?;
        let content = Certificate::from_der(leaf)
            .map_err(|error| Fault::Other(format!("the server's certificate is damaged: {error}")))?
            .tbs_certificate;
        // Check the name before dates and constraints, as OpenSSL does.
        parsed.verify_is_valid_for_subject_name(host).map_err(|error| fault(&error))?;
        if self.trusted.pins.contains(leaf) {
            check_dates(&content.validity, now)?;
            self.objection(&[leaf.to_vec()]).map_or(Ok(()), Err)
        } else if content.issuer == content.subject {
            // A self-signed certificate that uses the name of a trusted root without being that
            // root.
            Err(Fault::UnknownIssuer)
        } else {
            self.check_chain(&parsed, chain, now)
        }
    }

    fn check_chain(
        &self,
        leaf: &EndEntityCert<'_>,
        chain: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), Fault> {
        let found = RefCell::new(None);
        let judge = |path: &VerifiedPath<'_>| match self.judge(path, now) {
            None => Ok(()),
            Some(fault) => {
                found.replace(Some(fault));
                // webpki tries other paths, and returns this error if there are none.
                Err(webpki::Error::UnknownIssuer)
            }
        };
        let (all, usage) = (self.algorithms.all, KeyUsage::server_auth());
        let roots = self.trusted.anchors();
        match leaf.verify_for_usage(all, &roots, chain, now, usage, None, Some(&judge)) {
            Ok(_) => Ok(()),
            Err(error) => Err(found.take().unwrap_or_else(|| fault(&error))),
        }
    }

    /// Checks a path that webpki accepts for faults that webpki does not look for.
    fn judge(&self, path: &VerifiedPath<'_>, now: UnixTime) -> Option<Fault> {
        let Some(anchor) = self.trusted.anchor(path.anchor()) else {
            return Some(Fault::UnknownIssuer);
        };
        let mut ders = vec![path.end_entity().der().to_vec()];
        ders.extend(path.intermediate_certificates().map(|one| one.der().to_vec()));
        ders.push(anchor.der.to_vec());
        anchor.out_of_date(now).or_else(|| self.objection(&ders))
    }

    fn objection(&self, path: &[Vec<u8>]) -> Option<Fault> {
        self.checks.objection(path, &|list, issuer| self.signed(list, issuer).unwrap_or(false))
    }

    /// Whether the key of `issuer` signed the revocation list.
    fn signed(&self, list: &RevocationList, issuer: &[u8]) -> Result<bool, x509_cert::der::Error> {
        let issuer = Certificate::from_der(issuer)?.tbs_certificate.subject_public_key_info;
        let key_algorithm = issuer.algorithm.to_der()?;
        // CertificateList ::= SEQUENCE { tbsCertList, signatureAlgorithm, signatureValue } (RFC
        // 5280, 5.1)
        let (content, algorithm, signature) = SliceReader::new(&list.der)?.sequence(|list| {
            Ok((
                list.tlv_bytes()?,
                list.decode::<AnyRef<'_>>()?,
                list.decode::<BitStringRef<'_>>()?,
            ))
        })?;
        let key_algorithm = AnyRef::from_der(&key_algorithm)?;
        Ok(self.algorithms.all.iter().any(|one| {
            one.signature_alg_id().as_ref() == algorithm.value()
                && one.public_key_alg_id().as_ref() == key_algorithm.value()
                && one
                    .verify_signature(
                        issuer.subject_public_key.raw_bytes(),
                        content,
                        signature.raw_bytes(),
                    )
                    .is_ok()
        }))
    }

    /// Describes why the server is rejected, with the certificates it sent.
    fn finding(&self, fault: Fault, sent: &[CertificateDer<'_>]) -> HandshakeFault {
        let mut above = self.trusted.above(sent);
        let is_listed = sent.first().is_some_and(|own| self.trusted.pins.contains(own));
        // webpki checks a certificate before it looks for the issuer, OpenSSL after that. Report an
        // unknown issuer first, as OpenSSL does.
        let fault = if above.is_empty() && !is_listed { Fault::UnknownIssuer } else { fault };
        let sent: Vec<_> = sent.iter().map(|one| one.to_vec()).collect();
        above.extend(self.checks.listed_above(&sent));
        HandshakeFault {
            fault: self.checks.explained(fault, &sent, &above, is_listed),
            sent,
            above,
        }
    }
}

/// Checks the validity period of a pinned certificate.
fn check_dates(validity: &x509_cert::time::Validity, now: UnixTime) -> Result<(), Fault> {
    if now.as_secs() > validity.not_after.to_unix_duration().as_secs() {
        return Err(Fault::Expired);
    }
    if now.as_secs() < validity.not_before.to_unix_duration().as_secs() {
        return Err(Fault::NotYetValid);
    }
    Ok(())
}

fn fault(error: &webpki::Error) -> Fault {
    use webpki::Error as E;
    match error {
        E::CertExpired { .. } => Fault::Expired,
        E::CertNotValidYet { .. } => Fault::NotYetValid,
        E::CertNotValidForName(_) => Fault::WrongName,
        E::UnknownIssuer
        | E::EndEntityUsedAsCa
        | E::UnsupportedCertVersion
        | E::InvalidSignatureForPublicKey => Fault::UnknownIssuer,
        E::CaUsedAsEndEntity => Fault::IsAuthority,
        E::RequiredEkuNotFoundContext(_) | E::EmptyEkuExtension => Fault::WrongPurpose,
        E::NameConstraintViolation
        | E::MalformedNameConstraint
        | E::MalformedDnsIdentifier
        | E::InvalidNetworkMaskConstraint => Fault::OutOfBounds,
        E::MaximumPathDepthExceeded
        | E::MaximumPathBuildCallsExceeded
        | E::MaximumSignatureChecksExceeded
        | E::MaximumNameConstraintComparisonsExceeded => Fault::TooMuch,
        E::PathLenConstraintViolated => Fault::TooLong,
        E::UnsupportedCriticalExtension => Fault::UnknownExtension,
        E::UnsupportedSignatureAlgorithmContext(_)
        | E::UnsupportedSignatureAlgorithmForPublicKeyContext(_) => Fault::Weak,
        other => Fault::Other(format!("cannot verify the server's certificate: {other}")),
    }
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
            let sent: Vec<_> = std::iter::once(leaf).chain(chain).cloned().collect();
            let finding = Arc::new(self.finding(fault, &sent));
            Error::InvalidCertificate(CertificateError::Other(OtherError(finding)))
        })?;
        #[expect(clippy::disallowed_methods, reason = "`check` has verified the certificate")]
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
