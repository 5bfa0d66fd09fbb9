//! Servers whose answers are too long. Answers of any length are processed in small parts, or
//! refused.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::{self, StreamExt};
use glance_client::GlanceStore;
use glance_core::image::ImageId;
use glance_core::metadefs::MetadefStore;
use glance_core::{Body, ImageStore, Selection, Transport, TransportError};
use http::{Request, Response};
use keystone_auth::auth::{FixedToken, Keystone, Method};
use keystone_auth::{Domain, ImageService, Projects, Scope, Session, User};

use super::memory;

/// An answer: its beginning, a repeated middle, the length of the repetition, and its end.
#[derive(Debug, Clone, Copy)]
struct Answer(&'static str, &'static str, usize, &'static str);

impl Answer {
    fn body(self) -> Body {
        let Self(begin, middle, times, end) = self;
        let block = Bytes::from(middle.repeat(BLOCK / middle.len()));
        let count = times / (BLOCK / middle.len());
        let middle = stream::iter((0..count).map(move |_| block.clone()));
        let [begin, end] =
            [begin, end].map(|text| stream::iter([Bytes::from_static(text.as_bytes())]));
        Body::from_stream(begin.chain(middle).chain(end).map(Ok), None)
    }
}

/// A server that gives the same answer to every request.
#[derive(Debug)]
struct Server(Answer, u16);

#[async_trait]
impl Transport for Server {
    async fn send(&self, _: Request<Body>) -> Result<Response<Body>, TransportError> {
        let answer = Response::builder().status(self.1).header("x-subject-token", "token");
        Ok(answer.body(self.0.body()).unwrap())
    }
}

/// Runs `body` against a server with this answer. It may use at most `most` bytes, whatever the
/// answer's length.
fn within<T>(
    most: usize,
    (answer, status): (Answer, u16),
    body: impl AsyncFnOnce(Arc<Server>) -> T,
) -> T {
    memory::watched(most, || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(body(Arc::new(Server(answer, status))))
    })
}

fn glance(server: Arc<Server>) -> GlanceStore {
    let token = FixedToken { token: "hush".into(), endpoint: None };
    let session = Arc::new(Session::new(server.clone(), Arc::new(token)));
    GlanceStore::new("g", server, "https://g:9292/image", session)
}

/// Lists a Glance. Returns the number of readable images, the errors of unreadable records, and the
/// error that ended the listing.
async fn listed(server: Arc<Server>) -> (usize, Vec<String>, Option<String>) {
    let store = glance(server);
    let (mut good, mut odd) = (0, Vec::new());
    let selection = Selection::everything();
    let mut images = match store.list(&selection).await {
        Ok(images) => images,
        Err(error) => return (0, odd, Some(error.to_string())),
    };
    while let Some(item) = images.next().await {
        match item {
            Ok(_) => good += 1,
            Err(error) if error.record.is_some() => odd.push(error.to_string()),
            Err(error) => return (good, odd, Some(error.to_string())),
        }
    }
    (good, odd, None)
}

const GOOD: &str = r#"{"id": "00000000-0000-4000-8000-000000000001", "status": "queued", "visibility": "private"}"#;
const LONG: usize = 256 << 20;

#[test]
fn listings_take_no_more_memory_than_a_page() {
    memory::alone();
    let list = "{\"images\": [";
    let odd = "{\"images\": [{\"id\": \"00000000-0000-4000-8000-000000000002\", \"p\": ";
    for (answer, ends) in [
        // Nested numbers, as the value of a property and in place of images.
        (Answer(odd, "[[1,2],[3,4],5,", LONG, ""), "longer than 16 MiB"),
        (Answer(odd, "[", LONG, ""), "longer than 16 MiB"),
        (Answer(odd, "{\"a\":", LONG, ""), "longer than 16 MiB"),
        (Answer(list, "[[1,2],[3,4]],", LONG, "1]}"), "a record without a readable id"),
        (Answer(list, "1,", LONG, "1]}"), "a record without a readable id"),
        (Answer(list, "{},", LONG, "{}]}"), "a record without a readable id"),
        (Answer(list, "{\"id\":\"\"},", LONG, "{}]}"), "a record without a readable id"),
        (Answer("{\"images\": [\"", "\\\"", LONG, ""), "longer than 16 MiB"),
        (Answer("{\"next\": \"", "a", LONG, "\"}"), "more than 1 MiB outside the list"),
        (Answer("{\"", "a", LONG, "\": 1}"), "more than 1 MiB outside the list"),
        (Answer("{", "\"a\":{},", LONG, "\"b\":1}"), "more than 1 MiB outside the list"),
        (Answer("", " ", LONG, "{}"), "more than 1 MiB outside the list"),
        (Answer("", "<p>", LONG, ""), "not JSON"),
        (Answer("{\"images\": [", "\n", LONG, "]}"), "more than 1 MiB outside the list"),
    ] {
        let (good, odd, end) = within(MOST, (answer, 200), listed);
        assert_eq!((good, odd), (0, Vec::new()), "{answer:?}");
        let end = end.unwrap_or_default();
        assert!(end.contains(ends), "{answer:?}: {end}");
    }
}

#[test]
fn good_images_come_from_between_bad_ones() {
    memory::alone();
    let begin = String::leak(format!(
        "{{\"images\": [{GOOD}, {{\"id\": \"00000000-0000-4000-8000-000000000002\", \"p\": ["
    ));
    let end = "1]}]}";
    let (good, odd, end) = within(MOST, (Answer(begin, "[0],", 1 << 20, end), 200), listed);
    assert_eq!((good, end), (1, None));
    assert_eq!(odd.len(), 1);
    assert!(odd[0].contains("000000000002: the record is longer than 1 MiB"), "{odd:?}");
}

#[test]
fn an_image_again_and_again_ends_the_listing() {
    memory::alone();
    let image = String::leak(format!("{GOOD},"));
    let (good, odd, end) = within(MOST, (Answer("{\"images\": [", image, LONG, GOOD), 200), listed);
    assert_eq!((good, odd.len()), (1, 0));
    assert!(end.unwrap().contains("the same images endlessly"));
}

#[test]
fn other_answers_of_a_glance_have_limits_too() {
    memory::alone();
    let id: ImageId = "00000000-0000-4000-8000-000000000001".parse().unwrap();
    for status in [200, 404, 500] {
        for answer in [
            Answer("{\"id\": 1, \"p\": [", "[[1,2],[3,4]],", LONG, "1]}"),
            Answer("{\"members\": [", "{\"member_id\":\"\",\"status\":\"\"},", LONG, "1]}"),
            Answer("{\"namespaces\": [", "{\"namespace\":\"\"},", LONG, "1]}"),
            Answer("{\"a\": ", "[", LONG, ""),
            Answer("\"", "a", LONG, "\""),
            Answer("<html><body>", "<h1>&lt;", LONG, "</body>"),
        ] {
            within(WHOLE, (answer, status), async |server| {
                let store = glance(server);
                let _ = store.schema().await;
                let said = [
                    store.get(&id).await.unwrap_err(),
                    store.members(&id).await.unwrap_err(),
                    store.names().await.unwrap_err(),
                    store.import_methods().await.map(|_| ()).err().unwrap_or_else(missing),
                ];
                for error in said {
                    let said = error.to_string();
                    assert!(said.len() < 1000, "{} bytes are said", said.len());
                    let limit = said.contains("longer than ") && said.contains(" MiB");
                    assert!(limit || status != 200, "{said}");
                }
            });
        }
    }
}

/// Stands in for an error where the request may succeed; contains the expected words.
fn missing() -> glance_core::StoreError {
    use glance_core::store::{StoreError, StoreErrorKind};
    StoreError::new(StoreErrorKind::NotFound, &"g", "ask", "longer than  MiB")
}

#[test]
fn answers_of_a_keystone_have_limits() {
    memory::alone();
    for answer in [
        Answer("{\"token\": {\"catalog\": [", "{},", LONG, "{}]}}"),
        Answer(
            "{\"token\": {\"catalog\": [{\"type\": \"image\", \"endpoints\": [",
            "{},",
            LONG,
            "{}]}]}}",
        ),
        Answer("{\"projects\": [", "{\"id\":\"\",\"name\":\"\"},", LONG, "{}]}"),
        Answer("{\"token\": ", "[", LONG, ""),
    ] {
        within(WHOLE, (answer, 200), async |server| {
            let user = User::Name { name: "bob".into(), domain: Domain::Id("default".into()) };
            let keystone = Keystone {
                auth_url: "https://ks".into(),
                methods: vec![Method::Password { user, password: "hush".into() }],
                scope: Scope::Default,
            };
            let session = Session::new(server.clone(), Arc::new(keystone));
            let error = session.image_endpoint(&ImageService::default()).await.unwrap_err();
            let said = error.to_string();
            assert!(said.contains("Keystone at https://ks/v3/auth/tokens"), "{said}");
            assert!(said.contains("longer than 2 MiB"), "{said}");
            let token = FixedToken { token: "hush".into(), endpoint: None };
            let session = Arc::new(Session::new(server.clone(), Arc::new(token)));
            let error = Projects::new(session, "https://ks").unwrap().by_id("p").await.unwrap_err();
            assert!(error.to_string().contains("longer than 8 MiB"), "{error}");
        });
    }
    // The longest answers that are accepted.
    for (begin, end) in [
        ("{\"token\": {\"catalog\": [", "{}]}}"),
        ("{\"token\": {\"catalog\": [{\"type\": \"image\", \"endpoints\": [", "{}]}]}}"),
    ] {
        let answer = Answer(begin, "{},", (2 << 20) / 3 - BLOCK, end);
        within(16 << 20, (answer, 200), async |server| {
            let user = User::Id("bob".into());
            let keystone = Keystone {
                auth_url: "https://ks".into(),
                methods: vec![Method::Password { user, password: "hush".into() }],
                scope: Scope::Default,
            };
            let session = Session::new(server, Arc::new(keystone));
            let error = session.image_endpoint(&ImageService::default()).await.unwrap_err();
            assert!(error.to_string().contains("catalog"), "{error}");
        });
    }
}

/// Bytes of a chunk.
const BLOCK: usize = 64 << 10;

/// Memory limit for listings in bytes: two listings, each with its read-ahead.
const MOST: usize = 40 << 20;

/// Memory limit in bytes for an answer that is held as a whole.
const WHOLE: usize = 40 << 20;
