//! The programs are in the folder `examples`. `cargo xtask examples` runs them.
