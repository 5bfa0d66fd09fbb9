//! Data on its way from the source: one reading for all targets, resumed when it breaks.

pub(crate) mod abort_on_drop;
pub(crate) mod fan_out;
pub(crate) mod resume;
pub(crate) mod spool;
