//! Every image of a Glance, page by page.
//!
//! Hidden images are listed apart from others: two listings are merged by id. When ids are named,
//! listings of some of them follow each other.

use std::cmp::Ordering;
use std::pin::Pin;

use futures_util::future::{ready, try_join_all};
use futures_util::stream::{self, StreamExt, TryStreamExt};
use http::Method;
use serde::Deserialize;
use url::Url;

use crate::image::{Image, ImageId};
use crate::select::Selection;
use crate::store::{ImageStream, StoreError, StoreErrorKind};

use super::client::{Client, Operation};
use super::query::Queries;

/// Lists what is selected. The first pages are asked for before this returns, so that a server
/// that can't be used is an error here.
pub(super) async fn list<'a>(
    client: &'a Client,
    selection: &Selection,
) -> Result<ImageStream<'a>, StoreError> {
    let mut groups = Queries::of(selection).groups();
    let first = match groups.next() {
        None => return Ok(stream::empty().boxed()),
        Some(queries) => together(client, queries).await?,
    };
    let rest = stream::iter(groups).then(|queries| together(client, queries));
    let images = first.chain(rest.try_flatten());
    let selection = selection.clone();
    Ok(images.try_filter(move |image| ready(selection.admits(image))).boxed())
}

/// The listings of all `queries`, as one.
async fn together(client: &Client, queries: Vec<String>) -> Result<ImageStream<'_>, StoreError> {
    let begun = try_join_all(queries.into_iter().map(|query| listing(client, query))).await;
    match begun {
        Ok(listings) => Ok(listings.into_iter().reduce(merged).unwrap_or(stream::empty().boxed())),
        Err(error) => Err(client.explain(error).await),
    }
}

/// One listing, page after page.
async fn listing(client: &Client, query: String) -> Result<ImageStream<'_>, StoreError> {
    let mut pages = Pages { client, next: Some(query), progress: Progress::default() };
    let first = pages.next().await?;
    let rest = stream::try_unfold(pages, |mut pages| async move {
        match pages.next.is_none() {
            true => Ok(None),
            false => Ok(Some((pages.next().await?, pages))),
        }
    });
    let pages = stream::iter([Ok(first)]).chain(rest);
    Ok(pages.map_ok(|page| stream::iter(page.into_iter().map(Ok))).try_flatten().boxed())
}

/// Two listings as one, in the order of ids. An image that moves from one to the other meanwhile
/// may come twice in a row: it is taken once.
fn merged<'a>(one: ImageStream<'a>, other: ImageStream<'a>) -> ImageStream<'a> {
    let begun = (one.peekable(), other.peekable());
    let merged = stream::unfold(begun, |(mut one, mut other)| async move {
        let order = {
            let heads = tokio::join!(Pin::new(&mut one).peek(), Pin::new(&mut other).peek());
            match heads {
                (Some(Ok(first)), Some(Ok(second))) => first.id.cmp(&second.id),
                (_, None) | (Some(Err(_)), _) => Ordering::Less,
                (None, _) | (_, Some(Err(_))) => Ordering::Greater,
            }
        };
        let image = match order {
            Ordering::Less => one.next().await,
            Ordering::Greater => other.next().await,
            Ordering::Equal => {
                other.next().await;
                one.next().await
            }
        };
        image.map(|image| (image, (one, other)))
    });
    merged.boxed()
}

/// One answer: <https://docs.openstack.org/api-ref/image/v2/#list-images>.
#[derive(Deserialize)]
struct Page {
    images: Vec<Image>,
    next: Option<String>,
}

/// The pages still to ask for.
struct Pages<'a> {
    client: &'a Client,
    /// The query string of the next page.
    next: Option<String>,
    progress: Progress,
}

impl Pages<'_> {
    async fn next(&mut self) -> Result<Vec<Image>, StoreError> {
        let Some(query) = self.next.take() else { return Ok(Vec::new()) };
        let operation = Operation { what: "list the images", image: None };
        let unreadable =
            |reason| self.client.error(StoreErrorKind::Unreadable, &operation, reason).hint(HINT);
        let path = format!("/v2/images?{query}");
        let page: Page = self.client.json(Method::GET, &path, None, &operation).await?;
        let Some(link) = page.next else {
            return Ok(page.images);
        };
        let next = next_query(self.client.endpoint(), &link).map_err(unreadable)?;
        if !self.progress.goes_on(page.images.first().map(|image| &image.id)) {
            let reason = "its pages lead to each other without an end".to_owned();
            return Err(unreadable(reason));
        }
        self.next = Some(next);
        Ok(page.images)
    }
}

/// The query of a link to the next page. Its path is not used: it lacks the prefix of a proxied
/// endpoint. A link elsewhere is not understood to mean this server.
pub(super) fn next_query(endpoint: &str, link: &str) -> Result<String, String> {
    let unusable = || "its link to the next page is no address".to_owned();
    let here = Url::parse(endpoint).map_err(|_| unusable())?;
    let next = here.join(link).map_err(|_| unusable())?;
    if next.origin() != here.origin() {
        let there = next.origin().ascii_serialization();
        return Err(format!("its next page is at {there}, where the token must not go"));
    }
    next.query().map(str::to_owned).ok_or_else(unusable)
}

/// Notices pages that come again, in constant memory: Brent's way to find a cycle, over the first
/// image of each page. A link may be new every time, an image is listed once.
#[derive(Debug, Default)]
struct Progress {
    remembered: Option<ImageId>,
    pages: u64,
}

impl Progress {
    /// Takes the first image of a page that has a next one.
    fn goes_on(&mut self, first: Option<&ImageId>) -> bool {
        if first.is_none() || first == self.remembered.as_ref() {
            return false;
        }
        self.pages += 1;
        if self.pages.is_power_of_two() {
            self.remembered = first.cloned();
        }
        true
    }
}

pub(super) const HINT: &str =
    "look at what stands before Glance, and whether the address is that of a Glance";

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use async_trait::async_trait;
    use bytes::Bytes;
    use http::{Request, Response};
    use serde_json::{Value, json};

    use super::*;
    use crate::body::Body;
    use crate::glance::GlanceStore;
    use crate::identity::Session;
    use crate::identity::auth::FixedToken;
    use crate::store::ImageStore;
    use crate::transport::{Transport, TransportError};

    /// A Glance whose pages link as a function of their number says.
    #[derive(Debug)]
    struct Hostile {
        page: fn(usize) -> Value,
        asked: Mutex<Vec<String>>,
    }

    #[async_trait]
    impl Transport for Hostile {
        async fn send(&self, request: Request<Body>) -> Result<Response<Body>, TransportError> {
            assert_eq!(request.headers()["x-auth-token"], "hush");
            let mut asked = self.asked.lock().unwrap();
            asked.push(request.uri().to_string());
            assert!(asked.len() < 5000, "it asks without an end");
            let page = (self.page)(asked.len()).to_string();
            Ok(Response::new(Body::from(Bytes::from(page))))
        }
    }

    fn page(first: usize, next: &str) -> Value {
        let id = format!("00000000-0000-4000-8000-{first:012}");
        let image = json!({"id": id, "status": "active", "visibility": "public",
            "created_at": "2024-01-01T00:00:00Z", "updated_at": "2024-01-01T00:00:00Z"});
        match next {
            "" => json!({"images": [image]}),
            next => json!({"images": [image], "next": next}),
        }
    }

    /// How many images come, or why they don't; and how often the server was asked.
    async fn list(page: fn(usize) -> Value) -> (Result<usize, StoreError>, usize) {
        let server = Arc::new(Hostile { page, asked: Mutex::default() });
        let token = FixedToken { token: "hush".into(), endpoint: None };
        let session = Arc::new(Session::new(server.clone(), Arc::new(token)));
        let store = GlanceStore::new("g", server.clone(), "https://g:9292/image", session);
        let listed =
            async { store.list(&Selection::everything()).await?.try_collect::<Vec<_>>().await };
        let outcome = listed.await.map(|images| images.len());
        let asked = server.asked.lock().unwrap();
        assert!(asked.iter().all(|url| url.starts_with("https://g:9292/image/v2/images?")));
        (outcome, asked.len())
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
            ((|_| page(1, "https://evil/v2/images?a")) as fn(usize) -> Value, "https://evil,"),
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
        for pages in [(|_| page(1, "https://[")) as fn(usize) -> Value, |_| page(1, "/v2/images")] {
            assert!(list(pages).await.0.unwrap_err().reason.contains("is no address"));
        }
    }

    #[tokio::test]
    async fn links_that_loop_are_noticed() {
        // Two listings run at once, and each is asked for up to twice its loop.
        for (pages, most) in [
            ((|_| page(1, "?marker=1")) as fn(usize) -> Value, 4),
            (|number| page(number % 2, "?a"), 8),
            // The loop does not begin at the beginning.
            (|number| page(if number < 30 { number } else { 30 + number % 7 }, "?a"), 120),
            (|_| json!({"images": [], "next": "?again"}), 2),
        ] {
            let (outcome, asked) = list(pages).await;
            let error = outcome.unwrap_err();
            assert!(error.reason.contains("without an end") && asked <= most, "{asked}: {error}");
        }
    }
}
