//! TLS by the platform's library through native-tls: Secure Transport on Apple systems, `SChannel` on
//! Windows, and OpenSSL elsewhere, for tests of this code.
//!
//! native-tls shows neither the certificates of a server that the library rejects, nor those above
//! the server's own.

mod limits;

mod roots;

mod verify;

mod identity;

mod watched;

pub(crate) mod client;

pub(crate) mod server;

mod digest;

mod fips;

pub use digest::hashers;
pub use fips::{TO_GET_FIPS, fips};

/// Names the library that native-tls uses here.
pub(crate) fn describe() -> String {
    #[cfg(windows)]
    let library = "SChannel";
    #[cfg(target_vendor = "apple")]
    let library = "Secure Transport";
    #[cfg(not(any(windows, target_vendor = "apple")))]
    let library = openssl::version::version();
    format!("{library} (native-tls {})", env!("NATIVE_TLS_VERSION"))
}
