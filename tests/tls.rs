//! The suite `tls`, which runs the `openssl` tool and nginx.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that can't go on has failed")]

mod suites {
    mod tls;
}
mod support;
