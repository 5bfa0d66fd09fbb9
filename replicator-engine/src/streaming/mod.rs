//! Streaming of image data from the source: one read for all targets, with resume after
//! interruptions.

pub(crate) mod abort_on_drop;
pub(crate) mod fan_out;
pub(crate) mod resume;
