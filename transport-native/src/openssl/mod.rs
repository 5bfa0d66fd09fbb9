//! TLS by OpenSSL, on Linux and BSD.

mod roots;

mod verify;

mod identity;

pub(crate) mod client;

pub(crate) mod server;

mod digest;

mod fips;

pub use digest::hashers;
pub use fips::{TO_GET_FIPS, fips};

pub(crate) fn describe() -> String {
    openssl::version::version().to_owned()
}
