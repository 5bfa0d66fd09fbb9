//! Whom the client trusts, and why not, with both TLS stacks against real servers.

mod forge;
mod row;
mod server;

mod bundles;
mod forms;
mod identities;
mod middle;
mod nginx;
mod rows;
mod sessions;
