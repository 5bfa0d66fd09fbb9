//! Metadata definitions: namespaces with the properties, objects, tags and resource types in them.
//! <https://docs.openstack.org/api-ref/image/v2/metadefs-index.html>.

use std::collections::BTreeSet;
use std::fmt;

use async_trait::async_trait;

use crate::store::StoreError;

mod namespace;

pub use namespace::{Difference, Namespace, Part};

/// Holds namespaces of definitions: a Glance, or a directory.
///
/// `Display` names it in messages to the operator, without credentials.
#[async_trait]
pub trait MetadefStore: fmt::Debug + fmt::Display + Send + Sync {
    /// The names of all namespaces that the credentials can see.
    async fn names(&self) -> Result<BTreeSet<String>, StoreError>;

    /// One namespace; none, if it is not there.
    async fn namespace(&self, name: &str) -> Result<Option<Namespace>, StoreError>;

    /// Makes a namespace. One that is interrupted may leave a part of it, for
    /// [`change`](Self::change) to complete.
    async fn make(&self, wanted: &Namespace) -> Result<(), StoreError>;

    /// Makes `wanted` of `found`, between which there are these `differences`. Interrupted, it leaves
    /// such as are between `wanted` and what it left, and protects last.
    async fn change(
        &self,
        found: &Namespace,
        wanted: &Namespace,
        differences: &[Difference],
    ) -> Result<(), StoreError>;
}
