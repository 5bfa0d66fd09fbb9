//! The suite `fuzz`, which measures the memory of its own process.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that can't go on has failed")]

mod suites {
    mod fuzz;
}
