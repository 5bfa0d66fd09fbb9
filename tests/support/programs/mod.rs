//! Programs of others, which `cargo xtask test` installs.

pub(crate) mod nginx;
pub(crate) mod registry;
