//! Certificate trust: which servers the client accepts, and the reasons of a refusal, with both TLS
//! stacks against real servers.

mod forge;
mod row;
mod server;

mod bundles;
mod forms;
mod identities;
#[cfg(feature = "platform-tls")]
mod limits;
mod middle;
mod nginx;
mod rows;
mod sessions;
