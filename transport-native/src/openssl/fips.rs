//! Checks whether OpenSSL is in FIPS mode, by asking the library itself instead of reading files.

use openssl::md::Md;
use openssl_sys as ffi;
use transport_hyper::TlsSetupError;

/// Checks that OpenSSL serves every request of this process from its FIPS provider.
///
/// # Errors
/// If it does not; the error says what is missing.
pub fn fips() -> Result<(), TlsSetupError> {
    let why = match (provider_is_active(), default_properties_ask_for_it()) {
        (false, false) => "no FIPS provider is active",
        (false, true) => "the configuration requests FIPS mode, but no FIPS provider is active",
        (true, false) => "a FIPS provider is active, but the default properties do not request it",
        // Despite both settings, a configuration can let other providers serve requests.
        (true, true) if offers("MD5", None) => "MD5 is still available",
        (true, true) => return Ok(()),
    };
    Err(TlsSetupError {
        what: format!("{} is not in FIPS mode: {why}", super::describe()),
        source: None,
    })
}

/// What an operator can do if [`fips`] fails.
pub const TO_GET_FIPS: &str = "install OpenSSL's FIPS provider, run `openssl fipsinstall`, and in \
                               openssl.cnf activate the provider and set `default_properties = \
                               fips=yes`; then `openssl list -providers` shows it";

fn provider_is_active() -> bool {
    offers("SHA2-256", Some("fips=yes"))
}

#[expect(unsafe_code, reason = "the crate `openssl` has no safe form of this function")]
fn default_properties_ask_for_it() -> bool {
    // Loads OpenSSL's configuration, unless it is loaded already.
    openssl::init();
    // SAFETY: the function takes only a library context, and null means the default one.
    unsafe { ffi::EVP_default_properties_is_fips_enabled(std::ptr::null_mut()) == 1 }
}

fn offers(digest: &str, properties: Option<&str>) -> bool {
    Md::fetch(None, digest, properties).is_ok()
}
