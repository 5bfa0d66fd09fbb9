//! Suites that any implementation of the two traits can run on itself.
//!
//! An implementation in another workspace turns the feature `conformance` on in its
//! dev-dependencies and runs the suite as one test:
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
//! A case that fails becomes a line of the error; the other cases still run. Nothing here panics.

use std::error::Error;
use std::fmt;

mod image_store;
mod transport;

pub use image_store::{Case, cases, image_store};
pub use transport::{Front, TransportUnderTest, transport};

/// What a case found wrong.
type Wrong = Box<dyn Error + Send + Sync>;
type Outcome = Result<(), Wrong>;

/// The cases that failed, by name, with what each found.
#[derive(Clone, PartialEq, Eq)]
pub struct Failures(Vec<(&'static str, String)>);

impl Failures {
    /// The name of each failed case, with what it found.
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

/// Readable, because a test that unwraps shows it.
impl fmt::Debug for Failures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Error for Failures {}

/// An error and all below it.
fn explain(wrong: &(dyn Error + 'static)) -> String {
    let chain = std::iter::successors(Some(wrong), |&error| error.source());
    chain.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// Fails the case, with a message, unless the two sides are equal.
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
