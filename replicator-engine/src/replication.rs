//! A replication: two stores and the settings.

use std::sync::Arc;

use glance_core::store::ImageStore;

use crate::policy::Policy;

/// A replication from one source to one target.
#[derive(Debug)]
pub struct Replication {
    /// The store that images are copied from.
    pub source: Arc<dyn ImageStore>,
    /// The store that images are copied to.
    pub target: Arc<dyn ImageStore>,
    /// What to replicate, and how.
    pub policy: Policy,
}
