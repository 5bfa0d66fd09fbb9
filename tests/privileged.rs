//! Suites that need root to mount small filesystems.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that can't go on has failed")]

mod suites {
    mod dump_faults;
    mod recovery;
}
mod support;
