//! Whom the client trusts, and why not, with both TLS stacks against real servers.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that can't go on has failed")]

mod forge;
mod row;
mod server;

mod chains;
mod keys;
mod listed;
mod names;
mod revocation;
mod versions;
