//! Lists the images of a Glance, page by page.
//!
//! Glance lists hidden images separately, so two listings are merged by id. If the selection names
//! many ids, they are listed in groups, one after the other.

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::pin::Pin;

use futures_util::future::{ready, try_join_all};
use futures_util::stream::{self, StreamExt};
use url::Url;

use glance_core::image::{Image, ImageId};
use glance_core::selection::Selection;
use glance_core::store::{ImageStream, StoreError, StoreErrorKind, listed_id};

use super::query::Queries;
use crate::request::{Client, HINT, Operation};
use crate::status;

mod pages;

use pages::Pages;

/// Lists the selected images. The first pages are requested before this function returns, so that
/// an unusable server is reported as an error here.
pub(super) async fn list<'a>(
    client: &'a Client,
    selection: &Selection,
) -> Result<ImageStream<'a>, StoreError> {
    let mut groups = Queries::of(selection).groups();
    let first = match groups.next() {
        None => return Ok(stream::empty().boxed()),
        Some(queries) => together(client, queries).await?,
    };
    let rest = stream::iter(groups).then(|queries| async {
        together(client, queries).await.unwrap_or_else(|error| ended_by(error))
    });
    let images = once(first.chain(rest.flatten()).boxed(), client);
    let selection = selection.clone();
    let is_selected = move |item: &Result<Image, StoreError>| match item {
        Ok(image) => selection.admits(image),
        Err(error) => error.record.as_ref().is_none_or(|read| selection.may_admit(read)),
    };
    Ok(images.filter(move |item| ready(is_selected(item))).boxed())
}

fn ended_by<'a>(error: StoreError) -> ImageStream<'a> {
    stream::iter([Err(error)]).boxed()
}

/// Merges the listings of all `queries`.
async fn together(client: &Client, queries: Vec<String>) -> Result<ImageStream<'_>, StoreError> {
    let begun = try_join_all(queries.into_iter().map(|query| listing(client, query))).await;
    match begun {
        Ok(listings) => Ok(listings.into_iter().reduce(merged).unwrap_or(stream::empty().boxed())),
        Err(error) => Err(client.explain(error).await),
    }
}

/// The images of one query, page after page.
async fn listing(client: &Client, query: String) -> Result<ImageStream<'_>, StoreError> {
    let pages = Pages::begin(client, query).await?;
    let images = stream::unfold(Some(pages), |pages| async {
        let mut pages = pages?;
        match pages.next().await {
            Ok(None) => None,
            Ok(Some(item)) => Some((item, Some(pages))),
            Err(error) => Some((Err(error), None)),
        }
    });
    Ok(images.boxed())
}

/// Merges two listings in the order of ids.
fn merged<'a>(one: ImageStream<'a>, other: ImageStream<'a>) -> ImageStream<'a> {
    let begun = (one.peekable(), other.peekable());
    let merged = stream::unfold(begun, |(mut one, mut other)| async move {
        let order = {
            let heads = tokio::join!(Pin::new(&mut one).peek(), Pin::new(&mut other).peek());
            match heads {
                // An error without an id ends the listing, and sorts first.
                (Some(first), Some(second)) => listed_id(first).cmp(&listed_id(second)),
                (_, None) => Ordering::Less,
                (None, _) => Ordering::Greater,
            }
        };
        let item = match order {
            Ordering::Less | Ordering::Equal => one.next().await,
            Ordering::Greater => other.next().await,
        };
        item.map(|item| (item, (one, other)))
    });
    merged.boxed()
}

/// Removes duplicates: an image may move between merged listings, and a page may be requested
/// again. Uses about 20 bytes of memory per image.
fn once<'a>(images: ImageStream<'a>, client: &'a Client) -> ImageStream<'a> {
    let (mut seen, mut again) = (BTreeSet::new(), 0);
    let images = images.filter_map(move |item| {
        let is_new = listed_id(&item).is_none_or(|id| seen.insert(key(id)));
        again = if is_new { 0 } else { again + 1 };
        // A resumed page repeats its images, so all images seen so far may come once more.
        let endless = again > seen.len() + AGAIN;
        let reason = "the listing repeats the same images endlessly";
        ready(match (is_new, endless) {
            (true, _) => Some(item),
            (false, true) => Some(Err(unreadable(client, reason))),
            (false, false) => None,
        })
    });
    until_failure(images.boxed())
}

/// Ends the listing at the first fatal error.
fn until_failure(images: ImageStream<'_>) -> ImageStream<'_> {
    let images = images.scan(false, |has_ended, item| {
        let is_end = std::mem::replace(has_ended, listed_id(&item).is_none());
        ready((!is_end).then_some(item))
    });
    images.boxed()
}

/// A compact form of an id: its number, and a bit mask of its upper-case digits.
fn key(id: &ImageId) -> ([u8; 16], u32) {
    let digits = id.as_str().bytes().filter(|byte| *byte != b'-');
    let capitals = digits.map(|byte| u32::from(byte.is_ascii_uppercase()));
    let capitals = capitals.fold(0, |all, one| all << 1 | one);
    (uuid::Uuid::try_parse(id.as_str()).unwrap_or_default().into_bytes(), capitals)
}

/// The error for a response that is not a valid listing.
fn unreadable(client: &Client, reason: impl Into<String>) -> StoreError {
    client.error(StoreErrorKind::Unreadable, &LIST, reason).hint(HINT)
}

/// The number of duplicates to accept beyond one repetition of all images seen so far.
const AGAIN: usize = 1000;

const LIST: Operation = Operation { what: status::LIST, image: None };

/// The query string of a link to the next page. The path of the link is ignored, because it lacks
/// the prefix of a proxied endpoint. A link to another server is an error.
pub(super) fn next_query(endpoint: &str, link: &str) -> Result<String, String> {
    let unusable = || "the link to the next page is not a URL".to_owned();
    let here = Url::parse(endpoint).map_err(|_| unusable())?;
    let next = here.join(link).map_err(|_| unusable())?;
    if next.origin() != here.origin() {
        let there = next.origin().ascii_serialization();
        return Err(format!("the next page is at {there}, which must not receive the token"));
    }
    next.query().map(str::to_owned).ok_or_else(unusable)
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use async_trait::async_trait;
    use bytes::Bytes;
    use http::{Request, Response};
    use serde_json::{Value, json};

    use super::*;
    use crate::GlanceStore;
    use crate::record_stream::LONGEST;
    use glance_core::body::Body;
    use glance_core::store::ImageStore;
    use glance_core::transport::{Transport, TransportError};
    use keystone_auth::Session;
    use keystone_auth::auth::FixedToken;

    /// A fake Glance whose pages are computed from their number.
    #[derive(Debug)]
    struct Hostile {
        page: fn(usize) -> Body,
        asked: Mutex<Vec<String>>,
    }

    #[async_trait]
    impl Transport for Hostile {
        async fn send(&self, request: Request<Body>) -> Result<Response<Body>, TransportError> {
            assert_eq!(request.headers()["x-auth-token"], "hush");
            let mut asked = self.asked.lock().unwrap();
            asked.push(request.uri().to_string());
            assert!(asked.len() < 5000, "endless requests");
            Ok(Response::new((self.page)(asked.len())))
        }
    }

    fn image(number: usize) -> Value {
        json!({"id": format!("00000000-0000-4000-8000-{number:012}"), "name": number.to_string(),
            "status": "active", "visibility": "public", "created_at": "2024-01-01T00:00:00Z",
            "updated_at": "2024-01-01T00:00:00Z"})
    }

    fn page_of(images: &[Value], next: &str) -> Body {
        let page = match next {
            "" => json!({ "images": images }),
            next => json!({"images": images, "next": next}),
        };
        Body::from(Bytes::from(page.to_string()))
    }

    fn page(first: usize, next: &str) -> Body {
        page_of(&[image(first)], next)
    }

    /// The number of listed images, or the error; and the number of requests made.
    async fn list(page: fn(usize) -> Body) -> (Result<usize, StoreError>, usize) {
        let (listed, asked) = listed(page).await;
        let images: Result<Vec<Image>, StoreError> = listed.into_iter().collect();
        (images.map(|images| images.len()), asked)
    }

    /// The listed items up to the first fatal error.
    async fn listed(page: fn(usize) -> Body) -> (Vec<Result<Image, StoreError>>, usize) {
        let server = Arc::new(Hostile { page, asked: Mutex::default() });
        let token = FixedToken { token: "hush".into(), endpoint: None };
        let session = Arc::new(Session::new(server.clone(), Arc::new(token)));
        let store = GlanceStore::new("g", server.clone(), "https://g:9292/image", session);
        let listed = match store.list(&Selection::everything()).await {
            Ok(images) => images.collect().await,
            Err(error) => vec![Err(error)],
        };
        let asked = server.asked.lock().unwrap();
        assert!(asked.iter().all(|url| url.starts_with("https://g:9292/image/v2/images?")));
        (listed, asked.len())
    }

    /// The names of the images, with a mark on those whose records cannot be read.
    fn names(listed: &[Result<Image, StoreError>]) -> String {
        let name = |item: &Result<Image, StoreError>| match item {
            Ok(image) => image.label().to_owned(),
            Err(StoreError { record: Some(read), .. }) => format!("{}?", read.label()),
            Err(_) => "!".to_owned(),
        };
        listed.iter().map(name).collect::<Vec<_>>().join(" ")
    }

    #[tokio::test]
    async fn links_within_the_server_are_followed() {
        let pages = |number| match number {
            1 => page(1, "/v2/images?marker=1"),
            2 => page(2, "https://g:9292/v2/images?marker=2"),
            3 => page(3, "?marker=3"),
            _ => page(number, ""),
        };
        let (outcome, asked) = list(pages).await;
        assert_eq!((outcome.unwrap(), asked), (5, 5));
        let (outcome, asked) = list(|n| page(n, if n < 3000 { "?x" } else { "" })).await;
        assert_eq!((outcome.unwrap(), asked), (3001, 3001));
    }

    #[tokio::test]
    async fn links_to_elsewhere_are_refused() {
        for (pages, elsewhere) in [
            ((|_| page(1, "https://evil/v2/images?a")) as fn(usize) -> Body, "https://evil,"),
            (|_| page(1, "//evil:9292/v2/images?a"), "https://evil:9292,"),
            (|_| page(1, "http://g:9292/v2/images?a"), "http://g:9292,"),
            (|_| page(1, "https://g:9292@evil/?a"), "https://evil,"),
            (|_| page(1, "https://g/v2/images?a"), "https://g,"),
        ] {
            let (outcome, asked) = list(pages).await;
            let error = outcome.unwrap_err();
            assert!(error.reason.contains(&format!("is at {elsewhere}")), "{error}");
            assert!(error.hint.is_some() && asked == 1);
        }
        for pages in [(|_| page(1, "https://[")) as fn(usize) -> Body, |_| page(1, "/v2/images")] {
            assert!(list(pages).await.0.unwrap_err().reason.contains("is not a URL"));
        }
    }

    #[tokio::test]
    async fn links_that_loop_are_noticed() {
        // Two listings run at once, each with up to two requests per page of its loop.
        for (pages, most) in [
            ((|_| page(1, "?marker=1")) as fn(usize) -> Body, 4),
            (|number| page(number % 2, "?a"), 8),
            // The loop does not include the first page.
            (|number| page(if number < 30 { number } else { 30 + number % 7 }, "?a"), 120),
            (|_| page_of(&[], "?again"), 2),
        ] {
            let (outcome, asked) = list(pages).await;
            let error = outcome.unwrap_err();
            assert!(error.reason.contains("form a loop") && asked <= most, "{asked}: {error}");
        }
    }

    #[tokio::test]
    async fn an_image_that_is_listed_twice_is_one() {
        let (found, _) = listed(|number| match number {
            1 | 2 => page_of(&[1, 2, 1].map(image), "?a"),
            3 | 4 => page_of(&[2, 3].map(image), "?b"),
            _ => page_of(&[3, 1, 4].map(image), ""),
        })
        .await;
        assert_eq!(names(&found), "1 2 3 4");
        // Ids that differ only in case are different ids.
        let (found, _) = listed(|_| {
            let [mut small, mut large] = [1, 2].map(image);
            small["id"] = "a0000000-0000-4000-8000-000000000000".into();
            large["id"] = "A0000000-0000-4000-8000-000000000000".into();
            page_of(&[small, large], "")
        })
        .await;
        assert_eq!(found.len(), 2);
    }

    #[tokio::test]
    async fn a_record_that_cannot_be_read_is_an_error_of_its_own() {
        let (found, _) = listed(|_| {
            let mut images = [1, 2, 3, 4, 5].map(image);
            images[1]["min_disk"] = "20".into();
            images[2]["status"] = "unheard-of".into();
            images[3]["p"] = "x".repeat(LONGEST).into();
            page_of(&images, "")
        })
        .await;
        assert_eq!(names(&found), "1 2? 3? 4? 5");
        let said = found[1].as_ref().unwrap_err().to_string();
        let id = "00000000-0000-4000-8000-000000000002";
        let reason = "\"min_disk\" is \"20\", not a whole number";
        assert!(said.contains(&format!("record of image {id}: {reason}")), "{said}");
        let said = found[3].as_ref().unwrap_err().to_string();
        assert!(said.contains("the record is longer than 1 MiB"), "{said}");
    }

    #[tokio::test]
    async fn a_record_without_an_id_ends_the_listing_after_the_others() {
        let (found, _) = listed(|_| {
            let odd = json!({"name": "no id"});
            page_of(&[odd.clone(), image(1), odd, json!(7), image(2)], "")
        })
        .await;
        assert_eq!(names(&found), "1 2 !");
        let said = found[2].as_ref().unwrap_err().to_string();
        assert!(said.contains("a record without a readable id"), "{said}");
        let (found, _) = listed(|_| page_of(&vec![json!({}); 1000], "")).await;
        assert_eq!(names(&found), "!");
    }

    /// A page cut off after this many bytes.
    fn cut(page: &[Value], length: usize) -> Body {
        let text = Bytes::from(json!({ "images": page }).to_string());
        let parts = [Ok(text.slice(..length.min(text.len()))), Err("cut".into())];
        Body::from_stream(stream::iter(parts), None)
    }

    #[tokio::test]
    async fn a_page_that_broke_off_is_asked_for_again_as_long_as_more_comes() {
        let (found, asked) = listed(|number| {
            let images = [1, 2, 3, 4, 5, 6, 7, 8].map(image);
            match number {
                // Each answer contains one more image than the one before, and the last contains
                // all.
                1..14 => cut(&images, 20 + number / 2 * 170),
                _ => page_of(&images, ""),
            }
        })
        .await;
        assert_eq!((names(&found).as_str(), asked), ("1 2 3 4 5 6 7 8", 15));
        let (found, asked) = listed(|_| cut(&[1, 2, 3].map(image), 400)).await;
        assert_eq!(names(&found), "!");
        // Of two concurrent listings, the first that fails ends both.
        assert!((4..=12).contains(&asked), "{asked}");
    }

    #[tokio::test]
    async fn a_page_without_an_end_ends() {
        let (found, _) = listed(|_| {
            let first = Bytes::from_static(b"{\"images\": [");
            let image = Bytes::from(format!("{},", image(1)));
            let parts = stream::iter([first]).chain(stream::repeat(image));
            Body::from_stream(parts.map(Ok), None)
        })
        .await;
        assert_eq!(names(&found), "1 !");
        let said = found[1].as_ref().unwrap_err().to_string();
        assert!(said.contains("the same images endlessly"), "{said}");
        for page in [
            (|_| endless("", "[")) as fn(usize) -> Body,
            |_| endless("\"", "a"),
            |_| endless("", "{\"a\":"),
            |_| endless("", " "),
            |_| endless("", "1"),
        ] {
            let (found, _) = listed(page).await;
            let said = found[0].as_ref().unwrap_err().to_string();
            assert!(said.contains("too long") && said.contains(" MiB"), "{said}");
        }
    }

    /// A page whose list repeats these elements forever.
    fn endless(first: &str, more: &str) -> Body {
        let first = Bytes::from(format!("{{\"images\": [{first}"));
        let more = Bytes::from(more.repeat(1 << 16));
        Body::from_stream(stream::iter([first]).chain(stream::repeat(more)).map(Ok), None)
    }
}
