//! The store against servers that do not answer as a Glance does.
#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

use std::cell::Cell;
use std::fmt;
use std::future::pending;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream;
use glance_client::GlanceStore;
use glance_core::Body;
use glance_core::store::{ImageStore, StoreError, StoreErrorKind};
use glance_core::transport::{
    RetryPolicy, Retrying, Transport, TransportError, TransportErrorKind,
};
use http::{Request, Response};
use keystone_auth::auth::{AuthPlugin, GivenToken, Keystone, Method, NoAuth};
use keystone_auth::{Domain, ImageService, Scope, Session, User};
use serde_json::{Value, json};
use tokio::time::Instant;

thread_local! {
    /// Bytes of response pages that this test has read.
    static TAKEN: Cell<usize> = const { Cell::new(0) };
}

/// An answer of `size` bytes of HTML, in chunks.
fn page(status: u16, size: usize) -> Response<Body> {
    const CHUNK: &[u8] = &[b'<'; 16 << 10];
    let chunks = (0..size / CHUNK.len()).map(|_| {
        TAKEN.set(TAKEN.get() + CHUNK.len());
        Ok(Bytes::from_static(CHUNK))
    });
    let body = Body::from_stream(stream::iter(chunks), None);
    Response::builder().status(status).header("content-type", "text/html").body(body).unwrap()
}

fn redirect(status: u16, to: &str) -> Response<Body> {
    let mut answer = page(status, 0);
    answer.headers_mut().insert("location", to.parse().unwrap());
    answer
}

fn reply(status: u16, body: &Value) -> Response<Body> {
    Response::builder().status(status).body(Body::from(Bytes::from(body.to_string()))).unwrap()
}

/// A Keystone at `https://ks` with a Glance at `https://g` in its catalog, and that Glance.
struct Cloud {
    glance: fn() -> Response<Body>,
    sent: Mutex<Vec<Request<()>>>,
}

impl Cloud {
    fn new(glance: fn() -> Response<Body>) -> Arc<Self> {
        Arc::new(Self { glance, sent: Mutex::default() })
    }
}

impl fmt::Debug for Cloud {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Cloud")
    }
}

#[async_trait]
impl Transport for Cloud {
    async fn send(&self, request: Request<Body>) -> Result<Response<Body>, TransportError> {
        let (head, _) = request.into_parts();
        let is_keystone = head.uri.path().starts_with("/v3/");
        self.sent.lock().unwrap().push(Request::from_parts(head, ()));
        if !is_keystone {
            return Ok((self.glance)());
        }
        let endpoints = json!([{"interface": "public", "url": "https://g"}]);
        let catalog = json!([{"type": "image", "endpoints": endpoints}]);
        let mut answer = reply(201, &json!({"token": {"catalog": catalog}}));
        answer.headers_mut().insert("x-subject-token", "t".parse().unwrap());
        Ok(answer)
    }
}

fn by_password() -> Keystone {
    let user = User::Name { name: "bob".into(), domain: Domain::Name("D".into()) };
    Keystone {
        auth_url: "https://ks".into(),
        methods: vec![Method::Password { user, password: "hush".into() }],
        scope: Scope::Default,
    }
}

/// The first error of a listing by a signed-in store.
async fn refused_by_glance(glance: fn() -> Response<Body>) -> StoreError {
    let double = Cloud::new(glance);
    let session = Arc::new(Session::new(double.clone(), Arc::new(by_password())));
    let store = GlanceStore::new("g", double.clone(), "https://g1/image", session);
    let error = match store.list(&glance_core::Selection::everything()).await {
        Err(error) => error,
        Ok(mut listing) => match futures_util::StreamExt::next(&mut listing).await {
            Some(Err(error)) => error,
            other => panic!("{other:?}"),
        },
    };
    for request in double.sent.lock().unwrap().iter() {
        let to_glance = request.uri().host() == Some("g1");
        assert_eq!(request.headers().contains_key("x-auth-token"), to_glance);
        assert!(to_glance || request.uri().host() == Some("ks"), "{}", request.uri());
    }
    let said = format!("{error} {error:?}");
    assert!(said.contains("https://g1/image") && !said.contains("hush"), "{said}");
    error
}

#[tokio::test]
async fn a_glance_that_answers_nonsense_is_named() {
    for (glance, reason) in [
        (
            (|| redirect(302, "https://evil/")) as fn() -> Response<Body>,
            "redirects to https://evil",
        ),
        (|| page(200, 32 << 10), "not JSON"),
        (|| page(500, 5 << 20), "500"),
        (|| page(403, 5 << 20), "403"),
        (|| reply(300, &json!({"versions": []})), "300"),
    ] {
        let error = refused_by_glance(glance).await;
        assert!(error.to_string().contains(reason), "{error}");
    }
}

#[tokio::test]
async fn a_long_error_page_of_glance_is_not_read() {
    refused_by_glance(|| page(500, 5 << 20)).await;
    assert!(TAKEN.get() <= 512 << 10, "{} bytes were read", TAKEN.get());
}

/// However the http URL was reached.
#[tokio::test]
async fn a_token_that_came_over_https_goes_to_no_http_glance() {
    let double = Cloud::new(|| reply(200, &Value::Null));
    let session = Arc::new(Session::new(double.clone(), Arc::new(by_password())));
    let glance = GlanceStore::new("g", double.clone(), "HTTP://g", session);
    let error = glance.get(&glance_core::ImageId::random()).await.unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Invalid);
    let why = error.source.unwrap().to_string();
    assert!(
        why.starts_with(
            "the token was received over https and is not sent over plain http to http://g, "
        ),
        "{why}"
    );
    let sent = double.sent.lock().unwrap();
    assert!(sent.len() == 1 && sent[0].uri() == "https://ks/v3/auth/tokens");
}

/// The ways in which a response can fail.
#[derive(Debug, Clone, Copy)]
enum Way {
    Unavailable,
    HangsUp,
    Silent,
    SilentInTheMiddle,
    Refused,
    NoJson,
}

#[derive(Debug)]
struct Server {
    way: Way,
    asked: AtomicUsize,
}

#[async_trait]
impl Transport for Server {
    async fn send(&self, _: Request<Body>) -> Result<Response<Body>, TransportError> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let (status, body) = match self.way {
            Way::Unavailable => (503, Body::empty()),
            Way::Silent => pending().await,
            Way::SilentInTheMiddle => (200, Body::from_stream(stream::pending(), Some(9))),
            Way::Refused => (400, Body::empty()),
            Way::NoJson => (200, Body::from(Bytes::from_static(b"<html>"))),
            Way::HangsUp => {
                let kind = TransportErrorKind::Interrupted;
                return Err(TransportError::new(kind, "https://g", "it hung up"));
            }
        };
        Ok(Response::builder().status(status).body(body).unwrap())
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_not_needed_is_asked_for_once_and_not_for_long() {
    for way in [
        Way::Unavailable,
        Way::HangsUp,
        Way::Silent,
        Way::SilentInTheMiddle,
        Way::Refused,
        Way::NoJson,
    ] {
        let server = Arc::new(Server { way, asked: AtomicUsize::new(0) });
        let wire: Arc<dyn Transport> =
            Arc::new(Retrying::new(Arc::<Server>::clone(&server), RetryPolicy::default()));
        let session = Arc::new(Session::new(Arc::clone(&wire), Arc::new(NoAuth::default())));
        let begin = Instant::now();

        let endpoint_override = Some("https://g/image".to_owned());
        let wanted = ImageService { endpoint_override, ..ImageService::default() };
        let endpoint = session.image_endpoint(&wanted).await.unwrap();
        assert_eq!((&*endpoint.url, endpoint.minor_version), ("https://g/image", None));

        let glance = GlanceStore::new("g", Arc::clone(&wire), "https://g/image", session);
        assert!(glance.schema().await.is_none(), "{way:?}");

        let given = GivenToken { token: "hush".into(), auth_url: "https://ks".into() };
        assert!(given.sign_in(&*wire).await.unwrap().life.is_none(), "{way:?}");

        assert_eq!(server.asked.load(Ordering::SeqCst), 3, "{way:?}");
        assert!(begin.elapsed() <= Duration::from_secs(5) * 3, "{way:?}: {:?}", begin.elapsed());
    }
}
