//! Sends one request to a token server and reads the whole response.

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use serde::de::DeserializeOwned;
use url::Url;

use crate::redirect::{self, Unanswered};
use crate::{SignInError, SignInErrorKind};
use glance_core::body::{Body, TooLong};
use glance_core::error::BodyError;
use glance_core::transport::{Idempotent, Transport, TransportErrorKind, request_id};

/// Maximum bytes of a response. The catalog of a large cloud has about 100 KiB.
pub(crate) const ANSWER: usize = 2 << 20;

/// Maximum bytes of an unpaged list; enough for about ten thousand projects.
pub(crate) const LIST: usize = 8 << 20;

/// Bytes of a rejection to read: JSON is short, and longer pages are meant for browsers.
const REFUSAL_LIMIT: usize = 64 << 10;

/// Sends one request and reads the response; of a long rejection, only the beginning.
pub(crate) async fn exchange(
    transport: &dyn Transport,
    request: Request<Body>,
    server: &str,
) -> Result<Response<Bytes>, SignInError> {
    exchange_within(ANSWER, transport, request, server).await
}

/// Like [`exchange`], with a limit on the size of the response, in bytes.
pub(crate) async fn exchange_within(
    limit: usize,
    transport: &dyn Transport,
    mut request: Request<Body>,
    server: &str,
) -> Result<Response<Bytes>, SignInError> {
    // Obtaining a token twice does no harm, so the request may be retried.
    request.extensions_mut().insert(Idempotent);
    let response = redirect::send(transport, request).await;
    let response = response.map_err(|error| no_answer(error, server))?;
    let (head, body) = response.into_parts();
    if !head.status.is_success() && head.status != StatusCode::MULTIPLE_CHOICES {
        let (refusal, _) = body.peek(REFUSAL_LIMIT).await;
        return Ok(Response::from_parts(head, refusal));
    }
    let body = body.collect(limit).await.map_err(|error| SignInError {
        request_id: request_id(&head.headers),
        ..unread(error, server)
    })?;
    Ok(Response::from_parts(head, body))
}

const AGAIN: &str = "run the command again; if the response breaks off again, check the server and the \
    proxies in front of it";

/// The error for a response that is too long, or was interrupted.
fn unread(error: BodyError, server: &str) -> SignInError {
    match error.downcast::<TooLong>() {
        Ok(too_long) => SignInError::new(
            SignInErrorKind::Protocol,
            format!("cannot read the response from {server}: {too_long}"),
            Some("check that auth_url is a Keystone v3, and check proxies in front of it"),
        ),
        Err(error) => SignInError {
            kind: SignInErrorKind::Transport(TransportErrorKind::Interrupted),
            reason: format!("the response from {server} is incomplete"),
            hint: Some(AGAIN.to_owned()),
            request_id: None,
            source: Some(error),
        },
    }
}

fn no_answer(error: Unanswered, server: &str) -> SignInError {
    match error {
        Unanswered::Transport(error) => SignInError {
            kind: SignInErrorKind::Transport(error.kind),
            reason: format!("{server}: {}", error.headline()),
            hint: error.hint.clone(),
            request_id: None,
            source: Some(Box::new(error)),
        },
        Unanswered::Redirect(redirect) => SignInError::new(
            SignInErrorKind::Protocol,
            format!("{server}: {}", redirect.reason),
            Some(&redirect.hint),
        ),
    }
}

/// Parses a JSON response. The parser's error is dropped, because it may quote a secret value.
pub(super) fn parse<T: DeserializeOwned>(answer: &Response<Bytes>) -> Option<T> {
    serde_json::from_slice(answer.body()).ok()
}

/// The error for an unexpected status.
pub(crate) fn unexpected(answer: &Response<Bytes>, server: &str, setting: &str) -> SignInError {
    let status = answer.status().as_u16();
    let hint = match status {
        300..=399 | 404 | 405 => format!("check {setting}: another service may be there"),
        429 | 500..=599 => format!("retry later, or ask the operator of {server}"),
        _ => format!("check {setting}, and read the log of {server}"),
    };
    let reason = format!("{server} returned status {status}");
    SignInError::new(SignInErrorKind::Protocol, reason, Some(&hint))
}

/// `https://host:port`, without secrets.
pub(super) fn origin(url: &Url) -> String {
    url.origin().ascii_serialization()
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;

    use super::*;
    use glance_core::transport::TransportError;

    #[derive(Debug)]
    struct Server;

    #[async_trait]
    impl Transport for Server {
        async fn send(&self, request: Request<Body>) -> Result<Response<Body>, TransportError> {
            assert!(request.extensions().get::<Idempotent>().is_some());
            assert!(request.body().again().is_some());
            Ok(Response::new(Body::empty()))
        }
    }

    #[tokio::test]
    async fn a_request_for_a_token_may_be_repeated() {
        let request = Request::post("https://ks/v3/auth/tokens").body(Body::empty()).unwrap();
        exchange(&Server, request, "https://ks").await.unwrap();
    }
}
