//! The binary `glance-replicator`.
fn main() {}
