//! Images of a real Glance in a directory, and by way of a registry.

mod directory;
mod registry;
