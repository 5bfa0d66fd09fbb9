//! The suite `faults`, which runs 64 copies concurrently, some of which wait for a timeout.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that can't go on has failed")]

mod suites {
    mod faults;
}
mod support;
