//! Conformance suites for implementations of the two traits.
//!
//! An implementation in another workspace enables the feature `conformance` in its dev-dependencies
//! and runs the suite as one test:
//!
//! ```
//! # use std::sync::Arc;
//! # use glance_core::{conformance, ImageStore, store::memory::MemoryStore};
//! # tokio::runtime::Runtime::new().unwrap().block_on(async {
//! let make = || Arc::new(MemoryStore::new("memory")) as Arc<dyn ImageStore>;
//! conformance::image_store(&make).await.unwrap();
//! # });
//! ```
//!
//! Each failed case becomes a line of the error; the other cases still run. The suites do not
//! panic.

use std::error::Error;
use std::fmt;

mod image_store;
mod transport;

pub use image_store::{Case, cases, damaged_data, image_store};
pub use transport::{ClientCertificates, Front, TransportUnderTest, transport};

/// The error of a case.
type Wrong = Box<dyn Error + Send + Sync>;
type Outcome = Result<(), Wrong>;

/// The failed cases, with their names and errors.
#[derive(Clone, PartialEq, Eq)]
pub struct Failures(Vec<(&'static str, String)>);

impl Failures {
    /// The name and the error of each failed case.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.0.iter().map(|(case, found)| (*case, found.as_str()))
    }
}

impl fmt::Display for Failures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} cases of the suite failed", self.0.len())?;
        self.iter().try_for_each(|(case, found)| write!(f, "\n  {case}: {found}"))
    }
}

/// The same as `Display`, because a test that unwraps the result prints it.
impl fmt::Debug for Failures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Error for Failures {}

/// Fails the case with a message unless the two values are equal.
macro_rules! same {
    ($what:expr, $found:expr, $wanted:expr) => {{
        let (found, wanted) = (&$found, &$wanted);
        if found != wanted {
            return Err(format!("{}: found {found:?}, wanted {wanted:?}", $what).into());
        }
    }};
}

pub(crate) use same;

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crate::ImageStore;
    use crate::store::memory::MemoryStore;

    #[tokio::test]
    async fn the_memory_store_conforms() {
        let make = || Arc::new(MemoryStore::new("memory")) as Arc<dyn ImageStore>;
        super::image_store(&make).await.unwrap();
    }
}
