//! The certificates of a policy, as OpenSSL keeps them.

use glance_core::tls::TlsPolicy;
use openssl::error::ErrorStack;
use openssl::x509::X509;
use openssl::x509::store::{X509Store, X509StoreBuilder};
use openssl::x509::verify::X509VerifyFlags;
use transport_hyper::TlsSetupError;

/// The trust store of `policy`; nothing else is in it.
pub(crate) fn store(policy: &TlsPolicy) -> Result<X509Store, TlsSetupError> {
    let unusable = |error: ErrorStack| TlsSetupError::new("OpenSSL can't keep the roots", error);
    let mut store = X509StoreBuilder::new().map_err(unusable)?;
    if policy.roots.with_system() {
        store.set_default_paths().map_err(unusable)?;
    }
    for one in policy.roots.bundle() {
        let certificate = X509::from_der(&one.der).map_err(|error| {
            let what = format!("the certificate in {}:{}", one.file.display(), one.line);
            TlsSetupError::new(&what, error)
        })?;
        store.add_cert(certificate).map_err(unusable)?;
    }
    // Without it only roots that signed themselves count, not a listed intermediate or server.
    #[expect(clippy::disallowed_methods, reason = "a listed certificate is trusted for itself")]
    store.set_flags(X509VerifyFlags::PARTIAL_CHAIN).map_err(unusable)?;
    Ok(store.build())
}
