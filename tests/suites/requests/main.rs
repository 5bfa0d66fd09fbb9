//! Requests that are repeated: at every step of a copy, and behind an nginx that says "not now".
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that can't go on has failed")]

#[path = "../common.rs"]
mod common;
mod limited;
#[path = "../nginx.rs"]
mod nginx;
mod silence;
mod steps;
