//! The certificates of a policy, in the two roles that each may play.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use glance_core::tls::TlsPolicy;
use glance_core::tls::authority::may_sign;
use rustls::pki_types::{CertificateDer, TrustAnchor};
use transport_hyper::TlsSetupError;
use x509_cert::Certificate;
use x509_cert::der::Decode;

/// What is trusted.
#[derive(Debug)]
pub(crate) struct Trusted {
    /// Each certificate: a server that presents one of them is taken for what it says.
    pub(crate) pins: Vec<CertificateDer<'static>>,
    anchors: Vec<Anchor>,
}

/// A certificate that may sign others.
#[derive(Debug)]
struct Anchor {
    trusted: TrustAnchor<'static>,
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

    /// The authorities that are in date. webpki never looks at the dates of a root.
    pub(crate) fn in_date(&self) -> Vec<TrustAnchor<'static>> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let in_date = |anchor: &&Anchor| anchor.not_before <= now && now <= anchor.not_after;
        self.anchors.iter().filter(in_date).map(|one| one.trusted.clone()).collect()
    }

    /// All authorities, to tell an authority that has expired from one that is not known.
    pub(crate) fn of_any_date(&self) -> Vec<TrustAnchor<'static>> {
        self.anchors.iter().map(|one| one.trusted.clone()).collect()
    }
}

/// The certificate as an authority, if it may be one.
fn anchor(der: &CertificateDer<'static>) -> Option<Anchor> {
    if !may_sign(der) {
        return None;
    }
    let certificate = Certificate::from_der(der).ok()?.tbs_certificate;
    let trusted = webpki::anchor_from_trusted_cert(der).ok()?.to_owned();
    let validity = certificate.validity;
    let (from, to) = (validity.not_before, validity.not_after);
    Some(Anchor { trusted, not_before: from.to_unix_duration(), not_after: to.to_unix_duration() })
}
