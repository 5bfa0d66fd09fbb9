//! The verifier: what webpki says, and certificates that are trusted for themselves.
//!
//! webpki alone takes no self-signed server certificate that says CA:TRUE (what `openssl req
//! -x509` makes), takes one with CA:FALSE as an authority, and never looks at the dates of a root.

use std::fmt;
use std::sync::Arc;

use glance_core::tls::verdict::{Fault, has_weak_key};
use glance_core::tls::{Pin, RevocationList, TlsPolicy, crl};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, TrustAnchor, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, Error, OtherError, SignatureScheme};
use transport_hyper::TlsSetupError;
use webpki::{
    CertRevocationList, EndEntityCert, ExpirationPolicy, KeyUsage, OwnedCertRevocationList,
    RevocationCheckDepth, RevocationOptionsBuilder, UnknownStatusPolicy,
};
use x509_cert::der::Decode;
use x509_cert::der::oid::ObjectIdentifier;
use x509_cert::ext::pkix;

use crate::roots::Trusted;

/// Verifies servers.
#[derive(Debug)]
pub(crate) struct Verifier {
    trusted: Trusted,
    algorithms: WebPkiSupportedAlgorithms,
    lists: Vec<RevocationList>,
    parsed_lists: Vec<CertRevocationList<'static>>,
    pins: Vec<Pin>,
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
    pub(crate) fn new(
        policy: &TlsPolicy,
        algorithms: WebPkiSupportedAlgorithms,
    ) -> Result<Self, TlsSetupError> {
        let parse = |list: &RevocationList| match OwnedCertRevocationList::from_der(&list.der) {
            Ok(parsed) => Ok(parsed.into()),
            Err(error) => {
                let what = format!("the revocation list in {}", list.file.display());
                Err(TlsSetupError::new(&what, error))
            }
        };
        Ok(Self {
            trusted: Trusted::of(policy)?,
            algorithms,
            lists: policy.revocation.clone(),
            parsed_lists: policy.revocation.iter().map(parse).collect::<Result<_, _>>()?,
            pins: policy.pins.clone(),
        })
    }

    fn check(
        &self,
        leaf: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        host: &ServerName<'_>,
        now: UnixTime,
    ) -> Result<(), Fault> {
        let parsed = EndEntityCert::try_from(leaf).map_err(|error| fault(&error))?;
        let content = x509_cert::Certificate::from_der(leaf)
            .map_err(|error| Fault::Other(format!("its certificate is damaged: {error}")))?
            .tbs_certificate;
        if self.trusted.pins.contains(leaf) {
            check_listed(&content, now)?;
            if crl::revoked(&self.lists, leaf) {
                return Err(Fault::Revoked);
            }
        } else if content.issuer == content.subject {
            // Signed by itself with the name of a root that is trusted: not that root.
            return Err(Fault::UnknownIssuer);
        } else {
            self.check_chain(&parsed, chain, now)?;
        }
        if has_weak_key(leaf) {
            return Err(Fault::Weak);
        }
        parsed.verify_is_valid_for_subject_name(host).map_err(|error| fault(&error))?;
        match self.pins.is_empty() || Pin::of(leaf).is_some_and(|pin| self.pins.contains(&pin)) {
            true => Ok(()),
            false => Err(Fault::NotPinned),
        }
    }

    fn check_chain(
        &self,
        leaf: &EndEntityCert<'_>,
        chain: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), Fault> {
        let verify = |roots: &[TrustAnchor<'_>]| {
            let lists: Vec<&CertRevocationList<'_>> = self.parsed_lists.iter().collect();
            let revocation = RevocationOptionsBuilder::new(&lists).ok().map(|options| {
                options
                    .with_depth(RevocationCheckDepth::Chain)
                    .with_status_policy(UnknownStatusPolicy::Deny)
                    .with_expiration_policy(ExpirationPolicy::Enforce)
                    .build()
            });
            let all = self.algorithms.all;
            let usage = KeyUsage::server_auth();
            leaf.verify_for_usage(all, roots, chain, now, usage, revocation, None).map(drop)
        };
        verify(&self.trusted.in_date()).map_err(|error| match fault(&error) {
            Fault::UnknownIssuer if verify(&self.trusted.of_any_date()).is_ok() => Fault::Expired,
            fault => fault,
        })
    }
}

/// A certificate that is trusted for itself: nobody's signature matters, all the rest does.
fn check_listed(content: &x509_cert::TbsCertificate, now: UnixTime) -> Result<(), Fault> {
    let validity = &content.validity;
    if now.as_secs() > validity.not_after.to_unix_duration().as_secs() {
        return Err(Fault::Expired);
    }
    if now.as_secs() < validity.not_before.to_unix_duration().as_secs() {
        return Err(Fault::NotYetValid);
    }
    let purpose = match content.get::<pkix::ExtendedKeyUsage>() {
        Ok(Some((_, purposes))) => purposes.0.contains(&SERVER_AUTH),
        Ok(None) => true,
        Err(_) => false,
    };
    let usage = match content.get::<pkix::KeyUsage>() {
        Ok(Some((_, usage))) => {
            usage.digital_signature() || usage.key_encipherment() || usage.key_agreement()
        }
        Ok(None) => true,
        Err(_) => false,
    };
    if purpose && usage { Ok(()) } else { Err(Fault::WrongPurpose) }
}

/// RFC 5280, 4.2.1.12. webpki and OpenSSL take anyExtendedKeyUsage for no permission.
const SERVER_AUTH: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.1");

fn fault(error: &webpki::Error) -> Fault {
    use webpki::Error as E;
    match error {
        E::CertExpired { .. } => Fault::Expired,
        E::CertNotValidYet { .. } => Fault::NotYetValid,
        E::CertNotValidForName(_) => Fault::WrongName,
        // A server's certificate signed another one: the one above it is not trusted.
        E::UnknownIssuer
        | E::EndEntityUsedAsCa
        | E::CaUsedAsEndEntity
        | E::InvalidSignatureForPublicKey => Fault::UnknownIssuer,
        E::RequiredEkuNotFoundContext(_) => Fault::WrongPurpose,
        E::NameConstraintViolation => Fault::OutOfBounds,
        E::UnsupportedCriticalExtension => Fault::UnknownExtension,
        E::CertRevoked => Fault::Revoked,
        E::UnknownRevocationStatus => Fault::NotCovered,
        E::UnsupportedSignatureAlgorithmContext(_)
        | E::UnsupportedSignatureAlgorithmForPublicKeyContext(_) => Fault::Weak,
        other => Fault::Other(format!("its certificate can't be verified: {other}")),
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
