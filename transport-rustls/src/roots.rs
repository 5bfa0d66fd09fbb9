//! The trusted certificates of a policy, each as a pin and, if it may sign others, as an anchor.

use std::time::Duration;

use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::pki_types::{CertificateDer, SignatureVerificationAlgorithm, TrustAnchor, UnixTime};
use tls_policy::TlsPolicy;
use tls_policy::fault::Fault;
use tls_policy::messages::warn_once;
use tls_policy::x509::authority::may_sign;
use transport_hyper::TlsSetupError;
use x509_cert::Certificate;
use x509_cert::der::asn1::AnyRef;
use x509_cert::der::{Decode, Encode};
use x509_cert::name::Name;

/// The trusted certificates.
#[derive(Debug)]
pub(crate) struct Trusted {
    /// All trusted certificates. A server that presents one of them is trusted without a chain.
    pub(crate) pins: Vec<CertificateDer<'static>>,
    anchors: Vec<Anchor>,
}

/// A certificate that may sign others.
#[derive(Debug)]
pub(crate) struct Anchor {
    /// The whole certificate.
    pub(crate) der: CertificateDer<'static>,
    trusted: TrustAnchor<'static>,
    name: Name,
    not_before: Duration,
    not_after: Duration,
}

impl Trusted {
    pub(crate) fn of(
        policy: &TlsPolicy,
        algorithms: WebPkiSupportedAlgorithms,
    ) -> Result<Self, TlsSetupError> {
        let mut pins = match policy.roots.with_system() {
            true => rustls_native_certs::load_native_certs().certs,
            false => Vec::new(),
        };
        pins.extend(policy.roots.bundle().iter().map(|one| one.der.clone().into()));
        if pins.is_empty() {
            let what = "the system's trust store has no certificate; trust a CA with --cacert FILE";
            return Err(TlsSetupError { what: what.to_owned(), source: None });
        }
        for one in policy.roots.bundle().iter().filter(|one| may_sign(&one.der)) {
            if !is_usable(&one.der, algorithms) {
                warn_once(format!(
                    "{one}: rustls cannot verify signatures by this CA; use --tls native"
                ));
            }
        }
        let anchors = pins.iter().filter_map(anchor).collect();
        Ok(Self { pins, anchors })
    }

    /// All trust anchors, for webpki.
    pub(crate) fn anchors(&self) -> Vec<TrustAnchor<'static>> {
        self.anchors.iter().map(|one| one.trusted.clone()).collect()
    }

    /// The anchor that webpki reports at the end of a path.
    pub(crate) fn anchor(&self, found: &TrustAnchor<'_>) -> Option<&Anchor> {
        self.anchors.iter().find(|one| one.trusted == *found)
    }

    /// The anchors named as issuers by these certificates.
    pub(crate) fn above(&self, sent: &[CertificateDer<'_>]) -> Vec<Vec<u8>> {
        let issuers: Vec<_> =
            sent.iter().filter_map(|one| Certificate::from_der(one).ok()).collect();
        let is_issuer = |anchor: &&Anchor| {
            let content = |one: &Certificate| one.tbs_certificate.issuer == anchor.name;
            issuers.iter().any(content)
        };
        self.anchors.iter().filter(is_issuer).map(|anchor| anchor.der.to_vec()).collect()
    }
}

impl Anchor {
    /// Checks the validity period, which webpki ignores for trust anchors.
    pub(crate) fn out_of_date(&self, now: UnixTime) -> Option<Fault> {
        match now.as_secs() {
            now if now > self.not_after.as_secs() => Some(Fault::Expired),
            now if now < self.not_before.as_secs() => Some(Fault::NotYetValid),
            _ => None,
        }
    }
}

/// Whether rustls can parse the CA certificate and supports its kind of key.
fn is_usable(der: &[u8], algorithms: WebPkiSupportedAlgorithms) -> bool {
    let key =
        |one: Certificate| one.tbs_certificate.subject_public_key_info.algorithm.to_der().ok();
    let key = Certificate::from_der(der).ok().and_then(key);
    let is_known = |key: Vec<u8>| {
        let known = |one: &&dyn SignatureVerificationAlgorithm| {
            AnyRef::from_der(&key).is_ok_and(|key| key.value() == one.public_key_alg_id().as_ref())
        };
        algorithms.all.iter().any(known)
    };
    key.is_some_and(is_known) && anchor(&der.to_vec().into()).is_some()
}

/// Converts a certificate to an anchor, if the certificate may sign others.
fn anchor(der: &CertificateDer<'static>) -> Option<Anchor> {
    if !may_sign(der) {
        return None;
    }
    let certificate = Certificate::from_der(der).ok()?.tbs_certificate;
    let trusted = webpki::anchor_from_trusted_cert(der).ok()?.to_owned();
    let (from, to) = (certificate.validity.not_before, certificate.validity.not_after);
    Some(Anchor {
        der: der.clone(),
        trusted,
        name: certificate.subject,
        not_before: from.to_unix_duration(),
        not_after: to.to_unix_duration(),
    })
}
