//! One request to a server that grants tokens, and its whole answer.

use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use serde::de::DeserializeOwned;
use url::Url;

use crate::body::Body;
use crate::identity::{SignInError, SignInErrorKind};
use crate::transport::{Transport, TransportErrorKind};

/// The longest answer accepted: the catalogue of a large cloud has some 100 KiB.
const ANSWER_LIMIT: usize = 8 << 20;

/// As much of a refusal as is read: what it says in JSON is short, the rest is for browsers.
const REFUSAL_LIMIT: usize = 64 << 10;

/// Sends one request and reads its answer. A refusal too long to be read comes without its body.
pub(in crate::identity) async fn exchange(
    transport: &dyn Transport,
    request: Request<Body>,
    server: &str,
) -> Result<Response<Bytes>, SignInError> {
    let response = transport.send(request).await.map_err(|error| SignInError {
        kind: SignInErrorKind::Transport(error.kind),
        reason: format!("no answer from {server}"),
        hint: error.hint.clone(),
        source: Some(Box::new(error)),
    })?;
    let (head, body) = response.into_parts();
    if !head.status.is_success() && head.status != StatusCode::MULTIPLE_CHOICES {
        let refusal = body.collect(REFUSAL_LIMIT).await.unwrap_or_default();
        return Ok(Response::from_parts(head, refusal));
    }
    let body = body.collect(ANSWER_LIMIT).await.map_err(|error| SignInError {
        kind: SignInErrorKind::Transport(TransportErrorKind::Interrupted),
        reason: format!("the answer of {server} is not whole"),
        hint: None,
        source: Some(error),
    })?;
    Ok(Response::from_parts(head, body))
}

/// Understands a JSON answer. The parser's own error may quote a value, so it is left out.
pub(super) fn parse<T: DeserializeOwned>(answer: &Response<Bytes>) -> Option<T> {
    serde_json::from_slice(answer.body()).ok()
}

/// What a redirect or another status means that is no answer to the question.
pub(super) fn unexpected(answer: &Response<Bytes>, server: &str, setting: &str) -> SignInError {
    let status = answer.status();
    let mut reason = format!("{server} answered {}", status.as_u16());
    if let Some(place) = redirect(answer) {
        reason = format!("{reason}, a redirect to {place}");
    }
    let hint = match status.as_u16() {
        300..=399 => format!("redirects are not followed: correct {setting}, if that is right"),
        404 | 405 => format!("check {setting}"),
        429 | 500..=599 => format!("try again later, or ask who runs {server}"),
        _ => format!("check {setting}, and what {server} logged"),
    };
    SignInError::new(SignInErrorKind::Protocol, reason, Some(&hint))
}

/// Where a redirect leads, without what may be secret in it.
fn redirect(answer: &Response<Bytes>) -> Option<String> {
    if !answer.status().is_redirection() {
        return None;
    }
    let place = answer.headers().get(header::LOCATION)?.to_str().ok()?;
    match Url::parse(place) {
        Ok(url) => Some(origin(&url)),
        Err(_) => Some("another path".into()),
    }
}

/// `https://host:port`, fit to be shown.
pub(in crate::identity) fn origin(url: &Url) -> String {
    url.origin().ascii_serialization()
}
