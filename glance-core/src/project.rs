//! A project of Keystone, by what it is called.

use serde::{Deserialize, Serialize};

/// A project of Keystone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Project {
    /// Its id.
    pub id: String,
    /// Its name, unique in its domain.
    pub name: String,
    /// Its domain's name.
    pub domain: String,
}
