//! The meaning of the arguments: stores, sign-in, certificate trust, selection, mapping and limits,
//! resolved from the command line, clouds.yaml and the environment.

pub(crate) mod address;
pub(crate) mod bandwidth;
pub(crate) mod endpoint;
pub(crate) mod journals;
pub(crate) mod mapping;
pub(crate) mod placement;
pub(crate) mod selection;
pub(crate) mod shard;
pub(crate) mod sign_in;
pub(crate) mod state;
pub(crate) mod token_lifetime;
pub(crate) mod trust;
