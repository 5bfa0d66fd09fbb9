//! Works on several images at once, as many as the controller says at the time.

use std::pin::pin;

use futures_util::stream::{FuturesUnordered, Stream, StreamExt};

use crate::controller::{Controller, Room};

/// Does all of `work`. `fixed` items are in progress at once, unless the controller adjusts their
/// number.
pub(super) async fn at_once<F: Future<Output = ()>>(
    work: impl Stream<Item = F>,
    fixed: usize,
    controller: &Controller,
) {
    let mut work = pin!(work.fuse());
    let mut working = FuturesUnordered::new();
    let mut paces = controller.paces();
    loop {
        let is_full = working.len() >= controller.images(fixed);
        let room = if is_full { None } else { controller.room() };
        controller.set_waiting(is_full && !work.is_done());
        let may_start = room.is_some() && !work.is_done();
        tokio::select! {
            item = work.next(), if may_start => {
                let started = item.zip(room.map(Room::begin));
                working.extend(started.map(|(item, in_progress)| async move {
                    item.await;
                    drop(in_progress);
                }));
            }
            Some(()) = working.next() => {}
            Ok(()) = paces.changed(), if !work.is_done() => {}
            else => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use futures_util::stream;
    use tokio::time::sleep;

    use super::*;
    use crate::controller::Adjustment;

    /// The largest number of items at once, of 50.
    async fn most(fixed: usize, memory: u64) -> usize {
        let controller = Controller::new(Adjustment { memory, ..Adjustment::default() });
        let (now, most, done) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
        let item = |_| async {
            most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            sleep(Duration::from_secs(1)).await;
            now.fetch_sub(1, Ordering::SeqCst);
            done.fetch_add(1, Ordering::SeqCst);
        };
        at_once(stream::iter(0..50).map(item), fixed, &controller).await;
        assert_eq!(done.into_inner(), 50);
        most.into_inner()
    }

    #[tokio::test(start_paused = true)]
    async fn as_many_items_are_in_progress_as_the_operator_chose() {
        assert_eq!(most(1, 0).await, 1);
        assert_eq!(most(7, u64::MAX).await, 7);
        // The memory limits only a number that the controller chooses.
        assert_eq!(most(7, 20 << 20).await, 7);
    }
}
