//! Certificate checks that this crate makes itself, because the TLS libraries differ in them.
//!
//! Start in `checks.rs`: `verify.rs` of each TLS crate calls `Checks::objection`.

pub mod anchors;
pub mod checks;
mod constraints;
pub(crate) mod flaws;
mod names;
pub(crate) mod usable;
