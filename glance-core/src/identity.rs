//! Signing in to a cloud.
