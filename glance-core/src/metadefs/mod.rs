//! Metadata definitions: namespaces with their properties, objects, tags and resource types.
//! <https://docs.openstack.org/api-ref/image/v2/metadefs-index.html>.

use std::collections::BTreeSet;
use std::fmt;

use async_trait::async_trait;

use crate::store::StoreError;

mod namespace;

pub use namespace::{Namespace, NamespaceDifference, Part};

/// A store of metadata definitions: a Glance service or a directory.
///
/// `Display` names the store in messages for the operator, without credentials.
#[async_trait]
pub trait MetadefStore: fmt::Debug + fmt::Display + Send + Sync {
    /// Returns the names of all namespaces that the credentials can see.
    async fn names(&self) -> Result<BTreeSet<String>, StoreError>;

    /// Returns one namespace; `None` if it does not exist.
    async fn namespace(&self, name: &str) -> Result<Option<Namespace>, StoreError>;

    /// Creates a namespace. If the call is interrupted, a part of the namespace may remain;
    /// [`change`](Self::change) can complete it.
    async fn make(&self, wanted: &Namespace) -> Result<(), StoreError>;

    /// Changes the namespace `found` into `wanted`; `differences` are the differences between the
    /// two. Protection is set last. If the call is interrupted, only some of the differences
    /// remain, and another call can apply them.
    async fn change(
        &self,
        found: &Namespace,
        wanted: &Namespace,
        differences: &[NamespaceDifference],
    ) -> Result<(), StoreError>;
}
