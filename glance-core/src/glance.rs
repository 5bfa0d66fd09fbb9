//! The store that speaks the Glance v2 API.
