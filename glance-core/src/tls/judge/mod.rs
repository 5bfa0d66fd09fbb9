//! What is judged here, and not by the TLS libraries, because they judge it differently.

pub mod authority;
pub mod checks;
mod constraints;
pub(super) mod flaws;
pub(super) mod usable;
