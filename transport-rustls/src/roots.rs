//! The certificates of a policy, in the two roles that each may play.

use std::time::Duration;

use glance_core::tls::TlsPolicy;
use glance_core::tls::authority::may_sign;
use glance_core::tls::verdict::Fault;
use rustls::pki_types::{CertificateDer, TrustAnchor, UnixTime};
use transport_hyper::TlsSetupError;
use x509_cert::Certificate;
use x509_cert::der::Decode;
use x509_cert::name::Name;

/// What is trusted.
#[derive(Debug)]
pub(crate) struct Trusted {
    /// Each certificate: a server that presents one of them is taken for what it says.
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
    pub(crate) fn of(policy: &TlsPolicy) -> Result<Self, TlsSetupError> {
        let mut pins = match policy.roots.with_system() {
            true => rustls_native_certs::load_native_certs().certs,
            false => Vec::new(),
        };
        pins.extend(policy.roots.bundle().iter().map(|one| one.der.clone().into()));
        if pins.is_empty() {
            let what = "the system's trust store has no certificate; name one with --cacert FILE";
            return Err(TlsSetupError { what: what.to_owned(), source: None });
        }
        let anchors = pins.iter().filter_map(anchor).collect();
        Ok(Self { pins, anchors })
    }

    /// All authorities, for webpki.
    pub(crate) fn anchors(&self) -> Vec<TrustAnchor<'static>> {
        self.anchors.iter().map(|one| one.trusted.clone()).collect()
    }

    /// The authority that webpki found.
    pub(crate) fn anchor(&self, found: &TrustAnchor<'_>) -> Option<&Anchor> {
        self.anchors.iter().find(|one| one.trusted == *found)
    }

    /// Authorities with the names of those who issued these certificates.
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
    /// What its dates say. webpki never looks at the dates of a root.
    pub(crate) fn out_of_date(&self, now: UnixTime) -> Option<Fault> {
        match now.as_secs() {
            now if now > self.not_after.as_secs() => Some(Fault::Expired),
            now if now < self.not_before.as_secs() => Some(Fault::NotYetValid),
            _ => None,
        }
    }
}

/// The certificate as an authority, if it may be one.
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
