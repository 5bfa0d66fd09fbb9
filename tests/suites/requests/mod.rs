//! Requests that are repeated: at every step of a copy, and behind an nginx that says "not now".

mod limited;
mod silence;
mod steps;
