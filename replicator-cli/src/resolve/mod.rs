//! The meaning of the arguments: stores, sign-in, certificate trust, selection, mapping and limits,
//! resolved from the command line, clouds.yaml and the environment:
//!
//! - `address`: addresses as text.
//! - `bandwidth`: the bandwidth limits.
//! - `directories`: dumps and OCI image layouts.
//! - `endpoint`: the stores that the arguments name, and how they open.
//! - `journals`: the journals of this user.
//! - `mapping`: the mapping of images to the target.
//! - `placement`: server-side import, and the target's stores.
//! - `selection`: the images of the command.
//! - `shard`: the shard of this process.
//! - `sign_in`: clouds and tokens.
//! - `state`: the state directory.
//! - `store_names`: bare names of directories, and two names of the same store.
//! - `token_lifetime`: whether a token lasts for the whole transfer.
//! - `trust`: certificate trust.

pub(crate) mod address;
pub(crate) mod bandwidth;
pub(crate) mod directories;
pub(crate) mod endpoint;
pub(crate) mod journals;
pub(crate) mod mapping;
pub(crate) mod placement;
pub(crate) mod selection;
pub(crate) mod shard;
pub(crate) mod sign_in;
pub(crate) mod state;
pub(crate) mod store_names;
pub(crate) mod token_lifetime;
pub(crate) mod trust;
