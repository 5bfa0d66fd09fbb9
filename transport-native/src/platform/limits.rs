//! What a policy can require and native-tls cannot express. Such a policy is refused.

use glance_core::tls::judge::anchors;
use glance_core::tls::{TlsPolicy, TlsVersion};
use transport_hyper::TlsSetupError;

/// Refuses a policy that native-tls cannot apply completely.
pub(crate) fn check(policy: &TlsPolicy) -> Result<(), TlsSetupError> {
    match beyond(policy) {
        None => Ok(()),
        Some(what) => Err(TlsSetupError {
            what: format!("{} {what}; {REMEDY}", super::describe()),
            source: None,
        }),
    }
}

/// The requirement that is beyond native-tls, as the end of a sentence.
fn beyond(policy: &TlsPolicy) -> Option<String> {
    if !policy.revocation.is_empty() {
        return Some("cannot check revocation lists (--crl)".to_owned());
    }
    if cfg!(target_vendor = "apple") && policy.min_version > TlsVersion::V1_2 {
        return Some("does not support TLS 1.3 (--tls-min-version)".to_owned());
    }
    let one = anchors::without_issuer(policy.roots.bundle())?;
    Some(format!(
        "trusts self-signed certificates only, and the trust store does not contain the issuer of the \
         certificate in {one}"
    ))
}

const REMEDY: &str = "use --tls rustls";
