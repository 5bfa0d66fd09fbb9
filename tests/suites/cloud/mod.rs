//! The suites of the real cloud. Each test takes its turn: see `support::real_cloud::Turn`.

mod cloud_smoke;
mod content_cloud;
mod dump_cloud;
mod endure_cloud;
mod identity_cloud;
mod mapping;
mod metadefs;
mod sign_in;
mod sync_cloud;
// Minutes: it waits for tokens to expire. Once, in a build with both stacks, is enough.
#[cfg(all(feature = "rustls", feature = "native-tls"))]
mod token_life;
mod verify_cloud;
mod via;
