//! The rows of the table, grouped by the fault of the server.

mod chains;
mod constraints;
mod differences;
mod extensions;
mod keys;
mod listed;
pub(super) mod names;
mod revocation;
mod versions;
