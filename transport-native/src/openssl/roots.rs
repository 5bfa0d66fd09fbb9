//! The trusted certificates of a policy as an OpenSSL store.

use openssl::error::ErrorStack;
use openssl::x509::X509;
use openssl::x509::store::{X509Store, X509StoreBuilder};
use openssl::x509::verify::X509VerifyFlags;
use tls_policy::TlsPolicy;
use transport_hyper::TlsSetupError;

/// Creates the trust store of `policy`. The store contains no other certificates.
pub(crate) fn store(policy: &TlsPolicy) -> Result<X509Store, TlsSetupError> {
    let unusable =
        |error: ErrorStack| TlsSetupError::new("cannot load the trust store into OpenSSL", error);
    let mut store = X509StoreBuilder::new().map_err(unusable)?;
    if policy.roots.with_system() {
        store.set_default_paths().map_err(unusable)?;
    }
    for one in policy.roots.bundle() {
        let certificate = X509::from_der(&one.der).map_err(|error| {
            let what =
                format!("cannot load the certificate in {}:{}", one.file.display(), one.line);
            TlsSetupError::new(&what, error)
        })?;
        store.add_cert(certificate).map_err(unusable)?;
    }
    // Without this flag, OpenSSL trusts only self-signed roots, not a listed intermediate or server
    // certificate.
    #[expect(clippy::disallowed_methods, reason = "a listed certificate is trusted for itself")]
    store.set_flags(X509VerifyFlags::PARTIAL_CHAIN).map_err(unusable)?;
    Ok(store.build())
}
