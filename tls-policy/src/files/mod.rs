//! Files with certificates, keys and revocation lists, and option values that name these files.

pub mod crl;
pub(super) mod forms;
pub mod inline;
pub(crate) mod pem;
