//! Certificates: their contents, their permitted uses, and why one cannot be parsed.

pub mod authority;
pub(crate) mod certificate;
mod unreadable;

pub(crate) use unreadable::unreadable;
