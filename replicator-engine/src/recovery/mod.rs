//! Recovery of unfinished runs: the journal of started images, and the repair of leftovers.

pub(crate) mod journal;
pub(crate) mod repair;
