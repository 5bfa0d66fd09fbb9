//! Measures how long something is waited for.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// The total time during which something was waited for, for example the next bytes of a source.
/// Clones measure together: the time in which several of them wait counts once. The default measures
/// nothing and costs nothing.
///
/// ```
/// use std::time::Duration;
///
/// use glance_core::wait_time::WaitTime;
///
/// # #[tokio::main]
/// # async fn main() {
/// let pause = Duration::from_millis(20);
/// let waited = WaitTime::measured();
/// waited.during(tokio::time::sleep(pause)).await;
/// assert!(waited.total() >= pause && waited.since().is_none());
/// # }
/// ```
#[derive(Debug, Clone, Default)]
pub struct WaitTime(Option<Arc<Mutex<State>>>);

#[derive(Debug, Default)]
struct State {
    /// The waits that are over.
    total: Duration,
    /// Number of waits in progress.
    waits: usize,
    /// When the first of them began.
    since: Option<Instant>,
}

/// A wait in progress. Dropping the value ends the wait.
#[derive(Debug)]
pub struct Waiting(WaitTime);

impl WaitTime {
    /// A value that measures.
    pub fn measured() -> Self {
        Self(Some(Arc::default()))
    }

    /// The time so far, with a wait in progress.
    pub fn total(&self) -> Duration {
        let current = self.since().map(|since| since.elapsed()).unwrap_or_default();
        self.state().map(|state| state.total).unwrap_or_default() + current
    }

    /// When the wait in progress began; `None` if nothing is waited for.
    pub fn since(&self) -> Option<Instant> {
        self.state()?.since
    }

    /// Begins a wait.
    pub fn begin(&self) -> Waiting {
        if let Some(mut state) = self.state() {
            state.waits += 1;
            state.since.get_or_insert_with(Instant::now);
        }
        Waiting(self.clone())
    }

    /// The output of `work`. The time in which `work` is not ready counts.
    pub async fn during<T>(&self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        let mut waiting = None;
        poll_fn(|context| {
            let polled = work.as_mut().poll(context);
            if polled.is_pending() {
                waiting.get_or_insert_with(|| self.begin());
            }
            polled
        })
        .await
    }

    fn state(&self) -> Option<MutexGuard<'_, State>> {
        Some(self.0.as_ref()?.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let Some(mut state) = self.0.state() else { return };
        state.waits -= 1;
        if state.waits == 0 {
            let waited = state.since.take().map(|since| since.elapsed());
            state.total += waited.unwrap_or_default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn only_the_time_without_an_answer_counts() {
        let waited = WaitTime::measured();
        tokio::time::sleep(SECOND).await;
        assert_eq!(waited.during(std::future::ready(7)).await, 7);
        assert_eq!(waited.total(), Duration::ZERO);
        waited.during(tokio::time::sleep(SECOND)).await;
        assert_eq!((waited.total(), waited.since()), (SECOND, None));
    }

    #[tokio::test(start_paused = true)]
    async fn waits_at_the_same_time_count_once_and_a_wait_in_progress_counts() {
        let waited = WaitTime::measured();
        let first = waited.begin();
        tokio::time::advance(SECOND).await;
        let second = waited.clone().begin();
        tokio::time::advance(SECOND).await;
        drop(first);
        assert_eq!(waited.total(), SECOND * 2);
        tokio::time::advance(SECOND).await;
        assert!(waited.since().is_some());
        drop(second);
        tokio::time::advance(SECOND).await;
        assert_eq!((waited.total(), waited.since()), (SECOND * 3, None));
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_that_is_given_up_counts_and_the_default_measures_nothing() {
        let waited = WaitTime::measured();
        let never = std::future::pending::<()>();
        let _ = tokio::time::timeout(SECOND, waited.during(never)).await;
        assert_eq!((waited.total() >= SECOND, waited.since()), (true, None));
        let nothing = WaitTime::default();
        nothing.during(tokio::time::sleep(SECOND)).await;
        let _wait = nothing.begin();
        assert_eq!((nothing.total(), nothing.since()), (Duration::ZERO, None));
    }
}
