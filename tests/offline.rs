//! Suites that need neither a cloud, nor root, nor another project's server.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that can't go on has failed")]

mod suites {
    mod claims;
    mod cli;
    mod conformance;
    mod content;
    mod docs;
    mod https;
    mod identity;
    mod injection;
    mod oci;
    mod replicate;
    mod reports;
    #[cfg(feature = "reqwest")]
    mod reqwest;
    mod run;
    mod scale;
    mod selection;
    mod sync;
    mod verify;
}
mod support;
