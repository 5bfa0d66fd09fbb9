//! Files with certificates, keys and revocation lists, and values that name them.

pub mod crl;
pub(super) mod forms;
pub mod inline;
pub(crate) mod pem;
