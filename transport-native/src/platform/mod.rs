//! TLS by the platform's library through native-tls: Secure Transport on Apple systems, SChannel on
//! Windows, and OpenSSL on Linux for tests of this code.
//!
//! native-tls does not show the certificates of a server that the library rejects, nor the
//! certificates above the server's own. The library's rules alone apply to them.

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

pub(crate) fn describe() -> String {
    format!("{LIBRARY} (native-tls {})", env!("NATIVE_TLS_VERSION"))
}

/// The library that native-tls uses on this platform.
const LIBRARY: &str = if cfg!(windows) {
    "SChannel"
} else if cfg!(target_vendor = "apple") {
    "Secure Transport"
} else {
    "OpenSSL"
};
