//! The suite `requests`, which counts requests per second and runs nginx and docker-registry.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that can't go on has failed")]

mod suites {
    mod requests;
}
mod support;
