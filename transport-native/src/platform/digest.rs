//! Digests by portable code: native-tls has none.

use glance_core::digest::Hashers;

/// Returns the digests of portable code.
pub fn hashers() -> Hashers {
    Hashers::default()
}
