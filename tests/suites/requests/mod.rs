//! Request retries: at every step of a copy, and behind an nginx with a rate limit.

mod limited;
mod silence;
mod steps;
