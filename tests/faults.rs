//! The suite `faults`, which has 64 copies under way, some of which wait for a silence to end.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that can't go on has failed")]

mod suites {
    mod faults;
}
mod support;
