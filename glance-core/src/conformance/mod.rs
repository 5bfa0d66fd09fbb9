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
//! let report = conformance::image_store(&make).await;
//! assert!(report.passed(), "{report}");
//! # });
//! ```
//!
//! Or it runs each [`Case`] of [`image_store::cases`] or [`transport::cases`] as a test of its own:
//!
//! ```
//! # use std::sync::Arc;
//! # use glance_core::{conformance, ImageStore, store::memory::MemoryStore};
//! # tokio::runtime::Runtime::new().unwrap().block_on(async {
//! let store = Arc::new(MemoryStore::new("memory")) as Arc<dyn ImageStore>;
//! for case in conformance::image_store::cases() {
//!     println!("{}", case.name);
//!     case.run(&store).await.unwrap();
//! }
//! # });
//! ```
//!
//! The suites do not panic: a failed case becomes a line of the [`Report`], and the other cases
//! still run.

use std::error::Error;
use std::fmt;
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;

use crate::error::one_line;

pub mod image_store;
pub mod transport;

pub use image_store::{damaged_data, image_store, read_only_store};
pub use transport::transport;

/// The error of a case.
type Wrong = Box<dyn Error + Send + Sync>;
type Outcome = Result<(), Wrong>;

/// A test of one guarantee in the contract of a trait. `T` is what the suite tests.
pub struct Case<T> {
    /// The guarantee, as an identifier.
    pub name: &'static str,
    run: for<'a> fn(&'a T) -> BoxFuture<'a, Outcome>,
}

impl<T> Case<T> {
    /// Runs the case on `under_test`. The error says how the guarantee was broken.
    pub async fn run(&self, under_test: &T) -> Result<(), Box<dyn Error + Send + Sync>> {
        (self.run)(under_test).await
    }
}

impl<T> fmt::Debug for Case<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Case").field("name", &self.name).finish_non_exhaustive()
    }
}

/// The results of a suite: one line for each case, in the order in which the cases ran.
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct Report(Vec<CaseResult>);

#[derive(Debug, Clone)]
struct CaseResult {
    name: &'static str,
    took: Duration,
    failure: Option<String>,
}

impl Report {
    /// Whether every case passed.
    pub fn passed(&self) -> bool {
        self.failures().next().is_none()
    }

    /// The name and the error of each failed case.
    pub fn failures(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.0.iter().filter_map(|case| Some((case.name, case.failure.as_deref()?)))
    }

    /// Runs a case on `under_test`, and adds its result.
    async fn run<T>(&mut self, case: &Case<T>, under_test: &T) {
        let begin = Instant::now();
        let failure = case.run(under_test).await.err().map(|wrong| one_line(&*wrong));
        self.0.push(CaseResult { name: case.name, took: begin.elapsed(), failure });
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let failed = self.failures().count();
        write!(f, "{} passed, {failed} failed", self.0.len() - failed)?;
        for CaseResult { name, took, failure } in &self.0 {
            let (verdict, took) =
                (if failure.is_some() { "FAILED" } else { "ok" }, took.as_secs_f64());
            write!(f, "\n  {verdict:6} {took:6.2} s  {name}")?;
            if let Some(failure) = failure {
                write!(f, ": {failure}")?;
            }
        }
        Ok(())
    }
}

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

    use super::{Case, Report, image_store};
    use crate::ImageStore;
    use crate::store::memory::MemoryStore;

    #[tokio::test]
    async fn the_memory_store_conforms() {
        let make = || Arc::new(MemoryStore::new("memory")) as Arc<dyn ImageStore>;
        let report = image_store(&make).await;
        assert!(report.passed(), "{report}");
    }

    #[tokio::test]
    async fn a_report_has_a_line_for_each_case() {
        let mut report = Report::default();
        let good = Case { name: "good", run: |()| Box::pin(async { Ok(()) }) };
        let bad = Case { name: "bad", run: |()| Box::pin(async { Err("it is bad".into()) }) };
        report.run(&good, &()).await;
        assert!(report.passed());
        report.run(&bad, &()).await;
        assert!(!report.passed());
        let text = "1 passed, 1 failed\n  ok       0.00 s  good\n  FAILED   0.00 s  bad: it is bad";
        assert_eq!(report.to_string(), text);
        assert_eq!(report.failures().collect::<Vec<_>>(), [("bad", "it is bad")]);
    }
}
