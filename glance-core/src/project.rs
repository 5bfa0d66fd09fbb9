//! A Keystone project, by id and name.

use serde::{Deserialize, Serialize};

/// A Keystone project.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Project {
    /// The project's id.
    pub id: String,
    /// The project's name, unique within its domain.
    pub name: String,
    /// The name of the project's domain.
    pub domain: String,
}
