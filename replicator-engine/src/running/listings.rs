//! Merges the paired listings of several targets by image id.

use futures_util::future::join_all;
use futures_util::stream::{self, BoxStream, Fuse, StreamExt};

use glance_core::store::StoreError;

use super::TargetId;
use crate::pairing::merge_join::Pair;

/// The pairs of one target, in ascending order of ids.
pub(crate) type Listing<'a> = BoxStream<'a, Result<Pair, StoreError>>;

/// The pairs of one id, each with its target, or the error that ended that target's listing.
pub(crate) type PairsOfId = Vec<(TargetId, Result<Pair, StoreError>)>;

/// Merges the pairs of several targets by id. A listing that fails ends; the other listings
/// continue.
pub(crate) fn merged(listings: Vec<(TargetId, Listing<'_>)>) -> BoxStream<'_, PairsOfId> {
    let heads = listings.into_iter().map(|(target, pairs)| Head {
        target,
        pairs: pairs.fuse(),
        next: None,
    });
    let merged = stream::unfold(heads.collect::<Vec<_>>(), |mut heads| async move {
        join_all(heads.iter_mut().map(Head::fill)).await;
        // Errors have no id: they sort first and are passed on at once.
        let key = |head: &Head<'_>| {
            head.next.as_ref().map(|next| next.as_ref().ok().map(|pair| pair.id().clone()))
        };
        let first = heads.iter().filter_map(key).min()?;
        let at_first = |head: &&mut Head<'_>| key(head).as_ref() == Some(&first);
        let heads_at_first = heads.iter_mut().filter(at_first);
        let pairs =
            heads_at_first.filter_map(|head| Some((head.target, head.next.take()?))).collect();
        Some((pairs, heads))
    });
    merged.boxed()
}

/// The pairs of one target, with a look-ahead of one.
struct Head<'a> {
    target: TargetId,
    pairs: Fuse<Listing<'a>>,
    next: Option<Result<Pair, StoreError>>,
}

impl Head<'_> {
    /// Fills the look-ahead if it is empty.
    async fn fill(&mut self) {
        if self.next.is_none() {
            self.next = self.pairs.next().await;
        }
    }
}
