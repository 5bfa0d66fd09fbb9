//! Whether rustls is in FIPS mode: asked of the library itself.

use rustls::crypto::aws_lc_rs;
use transport_hyper::TlsSetupError;

/// Makes sure that all cryptography of rustls is that of the FIPS module of AWS-LC.
///
/// # Errors
/// When it isn't so.
pub fn fips() -> Result<(), TlsSetupError> {
    if is_active() {
        return Ok(());
    }
    let what = format!("{} is not the FIPS module of AWS-LC", crate::describe());
    Err(TlsSetupError { what, source: None })
}

/// Decided when rustls is compiled: by the feature `fips`.
pub(crate) fn is_active() -> bool {
    aws_lc_rs::default_provider().fips()
}
