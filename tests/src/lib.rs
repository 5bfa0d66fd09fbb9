//! Code that the suites share with the cloud and the demo of `xtask`.

pub mod pki;
