//! Examines images ahead of the work on them, several at once.
//!
//! To examine a shared image takes a request for its members at each server. These requests would
//! wait for each other, and for the copies of other images, if an image were examined only when its
//! turn has come.

use std::pin::pin;

use futures_util::future::{BoxFuture, Either, FutureExt, ready, select};
use futures_util::stream::{self, BoxStream, StreamExt};
use tokio::sync::{mpsc, oneshot};

use crate::policy::Policy;

impl Policy {
    /// Number of images that are examined at once, and so the number of requests for members that
    /// each server gets at once. A source that delivers each image once, and in order, is read by
    /// one transfer at a time; it can't be examined ahead.
    pub(crate) fn examined_at_once(&self) -> usize {
        if self.transfers > 1 { AT_ONCE } else { 1 }
    }
}

/// The results of `examine` for the items of `listing`, in the order of the listing, and the work
/// that examines them, `at_once` items at a time. Both must be polled. The work is a limited number
/// of items ahead of the stream.
pub(crate) fn examined_ahead<'a, T, U, F>(
    listing: BoxStream<'a, T>,
    at_once: usize,
    examine: impl Fn(T) -> F + Send + Sync + 'a,
) -> (BoxStream<'a, U>, BoxFuture<'a, ()>)
where
    T: Send + 'a,
    U: Send + 'a,
    F: Future<Output = U> + Send + 'a,
{
    if at_once <= 1 {
        return (listing.then(examine).boxed(), ready(()).boxed());
    }
    let (sender, started) = mpsc::channel(AHEAD);
    let examining = async move {
        // The receivers of the results are queued in the order of the listing, before the items are
        // examined. When the work on the results has ended, the channel is closed, and sending fails.
        let queued = listing.then(|item| async {
            let (done, result) = oneshot::channel();
            let _ = sender.send(result).await;
            (item, done)
        });
        let examined = queued.for_each_concurrent(at_once, |(item, done)| {
            let examined = examine(item);
            async { drop(done.send(examined.await)) }
        });
        examined.await;
    };
    let results =
        stream::unfold(started, |mut started: mpsc::Receiver<oneshot::Receiver<U>>| async move {
            Some((started.recv().await?.await.ok()?, started))
        });
    (results.boxed(), examining.boxed())
}

/// Does the work, and reads ahead meanwhile. What is unread when the work is done stays unread.
pub(crate) async fn while_working<T>(
    reading: impl Future<Output = ()>,
    work: impl Future<Output = T>,
) -> T {
    match select(pin!(work), pin!(reading)).await {
        Either::Left((done, _)) => done,
        Either::Right(((), work)) => work.await,
    }
}

/// Glance serves requests with a few processes. More requests at once wait in its queue.
const AT_ONCE: usize = 16;

/// Number of images that are examined ahead of the work. More than [`AT_ONCE`], so that a slow
/// answer for one image does not delay the requests for those after it.
const AHEAD: usize = 64;

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use tokio::time::{Instant, sleep};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn results_come_in_order_and_a_slow_one_delays_no_other() {
        let (most, now) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let examine = |number: u64| {
            let (most, now) = (&most, &now);
            async move {
                most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                // Every tenth item takes ten times as long.
                let slow = if number % 10 == 0 { 10 } else { 1 };
                sleep(Duration::from_millis(100 * slow)).await;
                now.fetch_sub(1, Ordering::SeqCst);
                number
            }
        };
        let begin = Instant::now();
        let (results, examining) = examined_ahead(stream::iter(0..160).boxed(), 16, examine);
        let collected: Vec<u64> = while_working(examining, results.collect()).await;
        assert_eq!(collected, (0..160).collect::<Vec<_>>());
        assert_eq!((most.into_inner(), now.into_inner()), (16, 0));
        // 30 s of work, 16 items at once. If only the next 16 items were in work, each slow one would
        // delay the others by its second.
        assert!(begin.elapsed() < Duration::from_secs(4), "{:?}", begin.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_examined_ahead_is_limited_and_answers_are_read_while_the_work_waits() {
        let examined = AtomicUsize::new(0);
        let examine = |number: usize| {
            let examined = &examined;
            async move {
                sleep(Duration::from_millis(100)).await;
                examined.fetch_add(1, Ordering::SeqCst);
                number
            }
        };
        let (mut results, examining) = examined_ahead(stream::iter(0..10_000).boxed(), 16, examine);
        let work = async {
            assert_eq!(results.next().await, Some(0));
            sleep(Duration::from_secs(600)).await;
            let ahead = examined.load(Ordering::SeqCst);
            assert!((AHEAD..=AHEAD + 16).contains(&ahead), "{ahead}");
        };
        while_working(examining, work).await;
    }

    #[tokio::test]
    async fn one_at_a_time_nothing_is_listed_ahead() {
        let listed = AtomicUsize::new(0);
        let listing = stream::iter(0..100).inspect(|_| {
            listed.fetch_add(1, Ordering::SeqCst);
        });
        let (mut results, examining) = examined_ahead(listing.boxed(), 1, ready);
        let work = async {
            assert_eq!(results.next().await, Some(0));
            tokio::task::yield_now().await;
        };
        while_working(examining, work).await;
        drop(results);
        assert_eq!(listed.into_inner(), 1);
    }
}
