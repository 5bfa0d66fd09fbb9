//! Tells an observer about retries.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::image::ImageId;

/// A request extension: the image that the request concerns.
#[derive(Debug, Clone)]
pub struct RequestedFor(pub ImageId);

/// A request that will be sent again.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RetryNotice {
    /// The image that the request concerns ([`RequestedFor`]); `None` for other requests.
    pub image: Option<ImageId>,
    /// The number of the next attempt; the first retry is attempt 2.
    pub attempt: u32,
    /// The number of attempts after which the request fails.
    pub of: u32,
    /// The pause before the next attempt.
    pub pause: Duration,
    /// Why the last attempt failed: the status of the response, or the error.
    pub reason: String,
}

/// The function that is called for each retry. The default calls nothing.
#[derive(Clone, Default)]
pub struct RetryObserver(Option<Observe>);

type Observe = Arc<dyn Fn(&RetryNotice) + Send + Sync>;

impl RetryObserver {
    /// Calls `observe` before the pause of each retry.
    pub fn new(observe: impl Fn(&RetryNotice) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(observe)))
    }

    pub(super) fn notify(&self, notice: &RetryNotice) {
        if let Some(observe) = &self.0 {
            observe(notice);
        }
    }
}

impl fmt::Debug for RetryObserver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RetryObserver").field(&self.0.is_some()).finish()
    }
}
