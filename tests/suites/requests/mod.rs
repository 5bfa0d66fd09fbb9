//! Request retries: at every step of a copy, and behind an nginx with a rate limit; images in a
//! registry.

mod limited;
mod registry;
mod silence;
mod steps;
