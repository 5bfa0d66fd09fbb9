//! The rows of the table, by what is wrong with a server.

mod chains;
mod constraints;
mod differences;
mod extensions;
mod keys;
mod listed;
pub(super) mod names;
mod revocation;
mod versions;
