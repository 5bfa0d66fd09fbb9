//! Token requests of OAuth 2.0 (RFC 6749).

use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::Value;
use tokio::time::Instant;
use url::{Url, form_urlencoded};

use super::{OidcClient, Validity, sensitive};
use crate::auth::exchange::{exchange, parse, unexpected};
use crate::auth::fixed_token::basic;
use crate::plain_http;
use crate::{SignInError, SignInErrorKind};
use glance_core::body::Body;
use glance_core::transport::Transport;

/// A token issued by the provider.
pub(super) struct Access {
    pub(super) token: SecretString,
    pub(super) life: Option<Validity>,
    pub(super) came_over_https: bool,
}

/// A form-encoded request body (RFC 6749, appendix B).
#[derive(Clone)]
pub(super) struct Form(Zeroizing<String>);

impl Form {
    pub(super) fn new() -> Self {
        Self(Zeroizing::default())
    }

    pub(super) fn grant(name: &str) -> Self {
        Self::new().with("grant_type", name)
    }

    pub(super) fn with(mut self, name: &str, value: &str) -> Self {
        if !self.0.is_empty() {
            self.0.push('&');
        }
        self.0.push_str(name);
        self.0.push('=');
        self.0.extend(form_urlencoded::byte_serialize(value.as_bytes()));
        self
    }
}

/// Sends a form and authenticates the client (RFC 6749, section 2.3.1): by HTTP Basic if it has a
/// secret, otherwise by its id alone.
pub(super) async fn post(
    transport: &dyn Transport,
    client: &OidcClient,
    endpoint: &str,
    form: Form,
) -> Result<Response<Bytes>, SignInError> {
    let server = provider_at(endpoint);
    if let Ok(url) = Url::parse(endpoint) {
        plain_http::warn(&url, "the credentials");
    }
    let mut request = Request::post(endpoint)
        .header(header::ACCEPT, "application/json")
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
    let form = match &client.secret {
        Some(secret) => {
            let encode = |text: &str| -> Zeroizing<String> {
                Zeroizing::new(form_urlencoded::byte_serialize(text.as_bytes()).collect())
            };
            let value = basic(&encode(&client.id), &encode(secret.expose_secret()));
            request = request.header(header::AUTHORIZATION, sensitive(value.expose_secret())?);
            form
        }
        None => form.with("client_id", &client.id),
    };
    let request = request
        .body(Body::from(Bytes::copy_from_slice(form.0.as_bytes())))
        .map_err(|_| protocol(format!("cannot create a request to {server}")))?;
    exchange(transport, request, &server).await
}

/// Exchanges a form for a token.
pub(super) async fn access_token(
    transport: &dyn Transport,
    client: &OidcClient,
    endpoint: &str,
    form: Form,
) -> Result<Access, SignInError> {
    let asked = Instant::now();
    let answer = post(transport, client, endpoint, form).await?;
    granted(&answer, client, endpoint, asked)
}

/// The token in a response (RFC 6749, section 5.1).
pub(super) fn granted(
    answer: &Response<Bytes>,
    client: &OidcClient,
    endpoint: &str,
    asked: Instant,
) -> Result<Access, SignInError> {
    let server = provider_at(endpoint);
    if !answer.status().is_success() {
        return Err(match refused(answer) {
            Some(code) => refusal(&code, client, &server),
            None => unexpected(answer, &server, "access_token_endpoint"),
        });
    }
    let document: Value = parse(answer)
        .ok_or_else(|| protocol(format!("the response from {server} is not a token response")))?;
    let text = |key: &str| document.get(key).and_then(Value::as_str);
    let other = |kind: &str| !kind.eq_ignore_ascii_case("bearer");
    if client.token_type == "access_token" && text("token_type").is_some_and(other) {
        return Err(protocol(format!("the token from {server} is not a bearer token")));
    }
    let Some(token) = text(client.token_type) else {
        return Err(protocol(format!("the response from {server} has no {}", client.token_type)));
    };
    let life = document.get("expires_in").and_then(Value::as_u64).map(Duration::from_secs);
    let life = life.and_then(|life| Validity::new(asked, life));
    Ok(Access { token: SecretString::from(token), life, came_over_https: is_https(endpoint) })
}

/// The code of an error response (RFC 6749, section 5.2). The description is not shown, because it
/// may quote a secret.
pub(super) fn refused(answer: &Response<Bytes>) -> Option<String> {
    #[derive(Deserialize)]
    struct Refusal {
        error: String,
    }
    if !matches!(answer.status(), StatusCode::BAD_REQUEST | StatusCode::UNAUTHORIZED) {
        return None;
    }
    let Refusal { error } = parse(answer)?;
    let plain = error.len() <= 64 && error.chars().all(|c| c.is_ascii_lowercase() || c == '_');
    plain.then_some(error)
}

pub(super) fn refusal(code: &str, client: &OidcClient, server: &str) -> SignInError {
    let (kind, hint) = match code {
        "invalid_client" | "unauthorized_client" => (
            SignInErrorKind::Unauthenticated,
            "check client_id and client_secret, and the permissions of the client",
        ),
        "invalid_grant" => (SignInErrorKind::Unauthenticated, "check username and password"),
        "invalid_scope" => (SignInErrorKind::Protocol, "check openid_scope"),
        "unsupported_grant_type" => (SignInErrorKind::Protocol, "set another auth_type"),
        "access_denied" => {
            (SignInErrorKind::Unauthenticated, "run the command again, and approve the sign-in")
        }
        "expired_token" => (
            SignInErrorKind::Unauthenticated,
            "run the command again, and approve the sign-in before the code expires",
        ),
        _ => (
            SignInErrorKind::Protocol,
            "compare `auth` of the cloud with the settings that the identity provider's operator \
             gave you",
        ),
    };
    let reason = format!("{server} rejected client `{}`: {code}", client.id);
    SignInError::new(kind, reason, Some(hint))
}

/// Whether the scheme of a URL is https, in any case.
pub(super) fn is_https(url: &str) -> bool {
    Url::parse(url).is_ok_and(|url| url.scheme() == "https")
}

/// Names a provider in messages: its URL without query, user and password.
pub(super) fn provider_at(url: &str) -> String {
    match Url::parse(url) {
        Ok(url) => format!("the identity provider at {}{}", super::origin(&url), url.path()),
        Err(_) => "the identity provider".into(),
    }
}

pub(super) fn protocol(reason: String) -> SignInError {
    let hint = "check the addresses in the cloud's `auth`";
    SignInError::new(SignInErrorKind::Protocol, reason, Some(hint))
}
