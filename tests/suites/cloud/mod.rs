//! The suites of the real cloud. Tests that need exclusive access wait for it: see
//! `support::real_cloud::Turn`.

mod busy_server;
mod cloud_smoke;
mod content_cloud;
mod dumps;
mod endure_cloud;
mod identity_cloud;
mod mapping;
mod metadefs;
mod sign_in;
mod sync_cloud;
// The suite takes minutes, because it waits for tokens to expire. It runs only in a build with both
// stacks.
#[cfg(all(feature = "rustls", feature = "native-tls"))]
mod token_life;
mod verify_cloud;
mod via;
