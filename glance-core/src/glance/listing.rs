//! Every image of a Glance, page by page.
//!
//! A default listing leaves out hidden images and other projects' community images, even for an
//! administrator; `os_hidden` has no value that means both. So there are two listings of
//! `visibility=all`, one after the other.

use std::collections::VecDeque;

use futures_util::stream::{self, StreamExt, TryStreamExt};
use http::Method;
use serde_json::Value;

use crate::image::Image;
use crate::store::{ImageStream, StoreError, StoreErrorKind};

use super::client::{Client, Operation};

/// Lists everything. The first page is asked for before this returns, so that a server that can't
/// be used is an error here.
pub(super) async fn all(client: &Client) -> Result<ImageStream<'_>, StoreError> {
    let mut pages = Pages { client, pending: LISTINGS.iter().map(|q| (*q).to_owned()).collect() };
    let first = pages.next().await?;
    let rest = stream::try_unfold(pages, |mut pages| async move {
        match pages.pending.is_empty() {
            true => Ok(None),
            false => Ok(Some((pages.next().await?, pages))),
        }
    });
    let pages = stream::iter([Ok(first)]).chain(rest);
    Ok(pages.map_ok(|page| stream::iter(page.into_iter().map(Ok))).try_flatten().boxed())
}

/// The pages still to ask for, as query strings.
struct Pages<'a> {
    client: &'a Client,
    pending: VecDeque<String>,
}

impl Pages<'_> {
    async fn next(&mut self) -> Result<Vec<Image>, StoreError> {
        let Some(query) = self.pending.pop_front() else { return Ok(Vec::new()) };
        let operation = Operation { what: "list the images", image: None };
        let path = format!("/v2/images?{query}");
        let mut page = self.client.json(Method::GET, &path, None, &operation).await?;
        // Only the query of `next` is used: its path lacks the prefix of a proxied endpoint.
        if let Some((_, query)) = page["next"].as_str().and_then(|next| next.split_once('?')) {
            self.pending.push_front(query.to_owned());
        }
        let Value::Array(records) = page["images"].take() else {
            let reason = "the answer has no list of images";
            return Err(self.client.error(StoreErrorKind::Unreadable, &operation, reason));
        };
        records.into_iter().map(|record| self.client.image(record, &operation)).collect()
    }
}

/// Sorted by id, so that the same images are near each other in two stores' listings.
const LISTINGS: [&str; 2] = [
    "visibility=all&member_status=all&os_hidden=false&sort=id:asc&limit=1000",
    "visibility=all&member_status=all&os_hidden=true&sort=id:asc&limit=1000",
];
