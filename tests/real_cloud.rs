//! Suites on the real Keystones and Glances of `cargo xtask cloud up`.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that can't go on has failed")]

mod suites {
    mod cloud;
}
mod support;
