//! What the suites that cross crates share with the cloud and the demo of `xtask`.

pub mod pki;
