//! Whom the client trusts, and why not, with both TLS stacks against real servers.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that can't go on has failed")]

#[path = "../common.rs"]
mod common;

mod forge;
mod row;
mod server;

mod bundles;
mod chains;
mod constraints;
mod differences;
mod extensions;
mod forms;
mod identities;
mod keys;
mod listed;
mod middle;
mod names;
mod nginx;
#[path = "../nginx.rs"]
mod nginx_process;
mod revocation;
mod sessions;
mod versions;
