//! Code that several suites share, which needs the paths of this package's binaries that Cargo
//! gives to tests only.
//!
//! Code that `xtask` needs too is in the package's library.
#![allow(dead_code, reason = "not every binary needs all of it")]

pub(crate) mod common;
pub(crate) mod content;
pub(crate) mod extent;
pub(crate) mod fault;
pub(crate) mod old_dump;
pub(crate) mod programs;
pub(crate) mod real_cloud;
pub(crate) mod site;
pub(crate) mod stack;
pub(crate) mod stage;
pub(crate) mod sweep;
pub(crate) mod terminal;
pub(crate) mod watch;
