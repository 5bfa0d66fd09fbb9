//! Images in memory.
