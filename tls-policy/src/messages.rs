//! Warnings, and lists in messages.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

/// Logs a warning about a trust store once per text: both sides of a run often use the same store.
pub fn warn_once(what: String) {
    static SAID: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    let mut said = SAID.lock().unwrap_or_else(PoisonError::into_inner);
    if !said.contains(&what) {
        tracing::warn!("{what}");
        said.insert(what);
    }
}

/// The first of these names, for a message; some certificates have hundreds of names.
pub(crate) fn first_of(names: &[String]) -> String {
    match names.get(..SHOWN) {
        Some(first) if names.len() > SHOWN => {
            format!("{} and {} more", first.join(", "), names.len() - SHOWN)
        }
        _ => names.join(", "),
    }
}

const SHOWN: usize = 8;
