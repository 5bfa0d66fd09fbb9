//! The suite `endure`, which measures time and memory.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that can't go on has failed")]

mod suites {
    mod endure;
}
mod support;
