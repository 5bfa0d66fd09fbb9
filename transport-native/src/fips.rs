//! Whether OpenSSL is in FIPS mode: asked of the library itself, never of files.

use openssl::md::Md;
use openssl_sys as ffi;
use transport_hyper::TlsSetupError;

/// Makes sure that whatever this process asks of OpenSSL is answered by its FIPS provider.
///
/// # Errors
/// When it isn't so; says what is missing.
pub fn fips() -> Result<(), TlsSetupError> {
    let why = match (provider_is_active(), default_properties_ask_for_it()) {
        (false, false) => "no FIPS provider is active",
        (false, true) => "its configuration asks for FIPS mode, but no FIPS provider is active",
        (true, false) => "a FIPS provider is active, but the default properties don't ask for it",
        // The two say so, but a configuration can still let other providers answer.
        (true, true) if offers("MD5", None) => "it still offers MD5",
        (true, true) => return Ok(()),
    };
    Err(TlsSetupError {
        what: format!("{} is not in FIPS mode: {why}", crate::describe()),
        source: None,
    })
}

fn provider_is_active() -> bool {
    offers("SHA2-256", Some("fips=yes"))
}

#[expect(unsafe_code, reason = "the crate `openssl` has no safe form of this function")]
fn default_properties_ask_for_it() -> bool {
    // Reads the configuration, if nothing has read it yet.
    openssl::init();
    // SAFETY: the function takes no more than a library context, and null is the default one.
    unsafe { ffi::EVP_default_properties_is_fips_enabled(std::ptr::null_mut()) == 1 }
}

fn offers(digest: &str, properties: Option<&str>) -> bool {
    Md::fetch(None, digest, properties).is_ok()
}
