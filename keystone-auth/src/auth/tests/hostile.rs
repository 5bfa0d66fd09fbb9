//! Servers with unexpected responses.

use std::cell::Cell;

use futures_util::stream;

use super::*;
use crate::{ImageService, Session};

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

async fn refused_by_keystone(answer: fn() -> Response<Body>) -> SignInError {
    let double = Double::new(move |_| answer());
    let error = by_password().sign_in(&*double).await.unwrap_err();
    assert_eq!(double.asked().len(), 1, "{error}");
    assert!(error.reason.contains("https://ks/v3/auth/tokens"), "{error}");
    assert!(!format!("{error:?}").contains("hush"));
    error
}

#[tokio::test]
async fn a_long_error_page_of_keystone_is_not_read() {
    let error = refused_by_keystone(|| page(500, 5 << 20)).await;
    assert!(error.reason.contains("returned status 500"), "{error}");
    assert!(error.hint.unwrap().contains("retry later"));
    assert!(TAKEN.get() <= 128 << 10, "{} bytes were read", TAKEN.get());
}

#[tokio::test]
async fn an_endless_answer_is_cut_off() {
    let error = refused_by_keystone(|| {
        let mut answer = page(201, 1 << 40);
        answer.headers_mut().insert("x-subject-token", "t".parse().unwrap());
        answer
    });
    let error = error.await;
    assert!(error.reason.contains("longer than 2 MiB") && error.hint.is_some(), "{error}");
    assert_eq!(error.kind, SignInErrorKind::Protocol);
    assert!(TAKEN.get() <= 3 << 20, "{} bytes were read", TAKEN.get());
}

#[tokio::test]
async fn html_is_no_token() {
    let error = refused_by_keystone(|| page(200, 16 << 10)).await;
    assert!(error.reason.contains("has no token"), "{error}");
    let error = refused_by_keystone(|| {
        let mut answer = page(201, 16 << 10);
        answer.headers_mut().insert("x-subject-token", "t".parse().unwrap());
        answer
    });
    assert!(error.await.reason.contains("the response is not from Keystone"));
}

#[tokio::test]
async fn a_redirect_is_named_and_not_followed() {
    for status in [301, 302, 303, 307, 308] {
        let double = Double::new(move |_| redirect(status, "https://u:pw@evil:1/x?secret=y"));
        let error = by_password().sign_in(&*double).await.unwrap_err();
        assert!(error.reason.contains("https://ks redirects to https://evil:1,"), "{error}");
        assert!(error.hint.is_some() && !format!("{error:?}").contains("secret"));
        assert_eq!(double.asked().len(), 1);
    }
}

/// A Keystone with a catalog, and the response of the Glances in it.
fn cloud(glance: fn() -> Response<Body>) -> Arc<Double> {
    Double::new(move |request| match request.uri().host() {
        Some("ks") => {
            let endpoints = json!([
                {"interface": "public", "region_id": "R1", "url": "https://g1/image/v2"},
                {"interface": "public", "region_id": "R2", "url": "https://g2/"},
            ]);
            let catalog = json!([{"type": "image", "endpoints": endpoints}]);
            let mut answer = reply(201, &json!({"token": {"catalog": catalog}}));
            answer.headers_mut().insert("x-subject-token", "token".parse().unwrap());
            answer
        }
        _ => glance(),
    })
}

async fn found(double: &Arc<Double>) -> Result<String, SignInError> {
    let session = Session::new(double.clone(), Arc::new(by_password()));
    let endpoint = session.image_endpoint(&ImageService::default()).await.map(|found| found.url);
    // Version discovery must not send a token, and must not contact any other host.
    for request in double.sent.lock().unwrap().iter() {
        assert!(["ks", "g1"].contains(&request.uri().host().unwrap()));
        assert!(request.headers().get("x-auth-token").is_none());
        assert!(request.headers().get("authorization").is_none());
    }
    endpoint
}

fn versions(id: &str) -> Response<Body> {
    let links = json!([{"rel": "self", "href": "http://evil/other/v2/"}]);
    reply(300, &json!({"versions": [{"id": id, "status": "CURRENT", "links": links}]}))
}

#[tokio::test]
async fn a_foreign_link_in_the_versions_changes_nothing() {
    let double = cloud(|| versions("v2.15"));
    assert_eq!(found(&double).await.unwrap(), "https://g1/image");
    assert_eq!(double.asked()[1], "https://g1/image/");
}

#[tokio::test]
async fn a_glance_elsewhere_is_not_followed() {
    // The versions are then unknown, and the endpoint of the catalog is used.
    let endpoint = found(&cloud(|| redirect(302, "https://evil/v2/"))).await;
    assert_eq!(endpoint.unwrap(), "https://g1/image");
}

#[tokio::test]
async fn no_versions_are_no_obstacle() {
    // A proxy may admit only `v2/`; the first request will report other errors.
    for answer in [|| page(404, 5 << 20), || page(200, 32 << 10), || page(503, 0)] {
        assert_eq!(found(&cloud(answer)).await.unwrap(), "https://g1/image");
    }
}

#[tokio::test]
async fn a_glance_without_version_2_is_said_to_be() {
    let error = found(&cloud(|| versions("v1.1"))).await.unwrap_err();
    assert!(error.reason.contains("not offer API version 2"), "{error}");
}
