//! Checks whether rustls is in FIPS mode, by asking the library itself.

use rustls::crypto::aws_lc_rs;
use transport_hyper::TlsSetupError;

/// Checks that rustls takes all its cryptography from the FIPS module of AWS-LC.
///
/// # Errors
/// If it does not.
pub fn fips() -> Result<(), TlsSetupError> {
    if is_active() {
        return Ok(());
    }
    let what = format!("{} is not the FIPS module of AWS-LC", crate::describe());
    Err(TlsSetupError { what, source: None })
}

/// What an operator can do if [`fips`] fails.
pub const TO_GET_FIPS: &str = "build with the feature `rustls-fips`, or with `native-tls` on a host whose \
                               OpenSSL is in FIPS mode (with both stacks: --tls native)";

/// The feature `fips` decides this at compile time.
pub(crate) fn is_active() -> bool {
    aws_lc_rs::default_provider().fips()
}
