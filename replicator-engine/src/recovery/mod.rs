//! Runs that did not end: the journal of what they began, and the repair of what they left.

pub(crate) mod journal;
pub(crate) mod repair;
