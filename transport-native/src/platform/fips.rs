//! FIPS mode, about which native-tls has no function.

use transport_hyper::TlsSetupError;

/// Fails: native-tls cannot ask the platform's library whether it is in FIPS mode.
///
/// # Errors
/// Always.
pub fn fips() -> Result<(), TlsSetupError> {
    let what = format!("{} does not tell whether it is in FIPS mode", super::describe());
    Err(TlsSetupError { what, source: None })
}

/// What an operator can do if [`fips`] fails.
pub const TO_GET_FIPS: &str = "build with the feature `rustls-fips`, and use --tls rustls";
