//! Asks Keystone v3 for a token.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::Instant;
use url::Url;

use super::catalogue::Service;
use super::{ApplicationCredential, Domain, Scope, SignInError, SignInErrorKind, User};
use crate::body::Body;
use crate::redirect::{self, Unanswered};
use crate::transport::{Transport, TransportErrorKind};

/// The longest answer accepted: the catalogue of a large cloud has some 100 KiB.
const ANSWER_LIMIT: usize = 8 << 20;

/// How long before its expiry a token is no longer used.
const MARGIN: Duration = Duration::from_secs(120);

/// What Keystone granted.
pub(super) struct Grant {
    pub(super) token: SecretString,
    pub(super) catalogue: Vec<Service>,
    /// When to ask for the next token, where the answer says how long this one lives.
    pub(super) renew_at: Option<Instant>,
    /// Whether it came over https.
    pub(super) secure: bool,
}

/// What to ask for, and how to speak of it.
pub(super) struct Ask {
    auth_url: String,
    identity: Value,
    scope: Option<Value>,
    who: String,
}

#[derive(Deserialize)]
struct Answer {
    token: Token,
}

#[derive(Deserialize)]
struct Token {
    #[serde(default)]
    catalog: Vec<Service>,
    issued_at: Option<String>,
    expires_at: Option<String>,
}

impl Ask {
    pub(super) fn password(
        auth_url: &str,
        user: &User,
        password: &SecretString,
        scope: &Scope,
    ) -> Self {
        let mut account = user_json(user);
        account["password"] = json!(password.expose_secret());
        let scope = match scope {
            Scope::Unscoped => None,
            Scope::ProjectId(id) => Some(json!({"project": {"id": id}})),
            Scope::ProjectName { name, domain } => {
                Some(json!({"project": {"name": name, "domain": domain_json(domain)}}))
            }
            Scope::Domain(domain) => Some(json!({"domain": domain_json(domain)})),
        };
        Self {
            auth_url: auth_url.into(),
            identity: json!({"methods": ["password"], "password": {"user": account}}),
            scope,
            who: match user {
                User::Id(id) => format!("user `{id}`"),
                User::Name { name, .. } => format!("user `{name}`"),
            },
        }
    }

    pub(super) fn application_credential(
        auth_url: &str,
        credential: &ApplicationCredential,
        secret: &SecretString,
    ) -> Self {
        let (mut object, label) = match credential {
            ApplicationCredential::Id(id) => (json!({"id": id}), id),
            ApplicationCredential::Name { name, user } => {
                (json!({"name": name, "user": user_json(user)}), name)
            }
        };
        object["secret"] = json!(secret.expose_secret());
        Self {
            auth_url: auth_url.into(),
            identity: json!({
                "methods": ["application_credential"],
                "application_credential": object,
            }),
            // Keystone refuses a scope here: the credential brings its own.
            scope: None,
            who: format!("application credential `{label}`"),
        }
    }

    /// Signs in, with one request.
    pub(super) async fn send(&self, transport: &dyn Transport) -> Result<Grant, SignInError> {
        let url = tokens_url(&self.auth_url)?;
        // The life of the token is counted from before the question, on our own clock.
        let asked = Instant::now();
        let response = redirect::send(transport, self.request(&url)?).await;
        let response = response.map_err(|error| no_answer(error, &url))?;
        if !response.status().is_success() {
            return Err(self.refusal(response.status(), &url));
        }
        let token = subject_token(&response, &url)?;
        let body =
            response.into_body().collect(ANSWER_LIMIT).await.map_err(|error| SignInError {
                kind: SignInErrorKind::Transport(TransportErrorKind::Interrupted),
                reason: format!("the answer of Keystone at {url} is not whole"),
                hint: None,
                source: Some(error),
            })?;
        // The parser's own error may quote a value, so it is left out.
        let Answer { token: answer } = serde_json::from_slice(&body)
            .map_err(|_| protocol(format!("the answer of {url} is not Keystone's")))?;
        let life = life(answer.issued_at.as_deref(), answer.expires_at.as_deref());
        // A token that lives shorter than the margin is at least used for half of its life.
        let renew_at = life.map(|life| asked + life.saturating_sub(MARGIN).max(life / 2));
        Ok(Grant { token, catalogue: answer.catalog, renew_at, secure: url.scheme() == "https" })
    }

    fn request(&self, url: &Url) -> Result<Request<Body>, SignInError> {
        let mut auth = json!({"identity": self.identity});
        if let Some(scope) = &self.scope {
            auth["scope"] = scope.clone();
        }
        let body = Bytes::from(json!({"auth": auth}).to_string());
        Request::post(url.as_str())
            .header(header::ACCEPT, "application/json")
            .header(header::CONTENT_TYPE, "application/json")
            .body(Body::from(body))
            .map_err(|_| protocol(format!("{url} can't be asked")))
    }

    /// What a status other than success means. The body of the answer is not shown: Keystone
    /// quotes what it was sent.
    fn refusal(&self, status: StatusCode, url: &Url) -> SignInError {
        let who = &self.who;
        match status {
            StatusCode::UNAUTHORIZED => SignInError::new(
                SignInErrorKind::Unauthenticated,
                format!("Keystone at {url} refused the credentials of {who}"),
                Some("check the name, the domain, the project and the secret"),
            ),
            StatusCode::FORBIDDEN => SignInError::new(
                SignInErrorKind::Unauthenticated,
                format!("Keystone at {url} forbids {who} to sign in"),
                Some("the account may be locked, or have no role in the project"),
            ),
            status => SignInError::new(
                SignInErrorKind::Protocol,
                format!("Keystone at {url} answered {} to {who}", status.as_u16()),
                match status.as_u16() {
                    300..=399 | 404 | 405 => Some("check auth_url: redirects are not followed"),
                    400 => Some("check the domains of the user and of the project"),
                    429 | 500..=599 => Some("try again later, or ask who runs Keystone"),
                    _ => None,
                },
            ),
        }
    }
}

fn no_answer(error: Unanswered, url: &Url) -> SignInError {
    let reason = format!("no answer from Keystone at {url}");
    match error {
        Unanswered::Transport(error) => SignInError {
            kind: SignInErrorKind::Transport(error.kind),
            reason,
            hint: error.hint.clone(),
            source: Some(Box::new(error)),
        },
        Unanswered::Redirect(redirect) => SignInError::new(
            SignInErrorKind::Protocol,
            format!("{reason}: {}", redirect.reason),
            Some(&redirect.hint),
        ),
    }
}

fn user_json(user: &User) -> Value {
    match user {
        User::Id(id) => json!({"id": id}),
        User::Name { name, domain } => json!({"name": name, "domain": domain_json(domain)}),
    }
}

fn domain_json(domain: &Domain) -> Value {
    match domain {
        Domain::Id(id) => json!({"id": id}),
        Domain::Name(name) => json!({"name": name}),
    }
}

fn protocol(reason: String) -> SignInError {
    SignInError::new(SignInErrorKind::Protocol, reason, Some("check that auth_url is Keystone v3"))
}

/// `…/v3/auth/tokens`, fit to be shown: without user, password and query.
fn tokens_url(auth_url: &str) -> Result<Url, SignInError> {
    let url = Url::parse(auth_url).ok().filter(|url| matches!(url.scheme(), "https" | "http"));
    let Some(mut url) = url else { return Err(protocol("auth_url is no URL".into())) };
    if !url.username().is_empty() || url.password().is_some() {
        return Err(protocol("auth_url holds a user or a password".into()));
    }
    url.set_query(None);
    url.set_fragment(None);
    let base = url.path().trim_end_matches('/');
    let version = if base.ends_with("/v3") { "" } else { "/v3" };
    let path = format!("{base}{version}/auth/tokens");
    url.set_path(&path);
    Ok(url)
}

fn subject_token(response: &Response<Body>, url: &Url) -> Result<SecretString, SignInError> {
    let token = response.headers().get("x-subject-token").and_then(|value| value.to_str().ok());
    match token.map(str::trim).filter(|token| !token.is_empty()) {
        Some(token) => Ok(SecretString::from(token)),
        None => Err(protocol(format!("{url} answered without a token"))),
    }
}

/// How long a token lives, by Keystone's clock alone: ours may be wrong.
fn life(issued_at: Option<&str>, expires_at: Option<&str>) -> Option<Duration> {
    let issued: jiff::Timestamp = issued_at?.parse().ok()?;
    let expires: jiff::Timestamp = expires_at?.parse().ok()?;
    Duration::try_from(expires.duration_since(issued)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_appended_once() {
        for (auth_url, expected) in [
            ("https://k:5000", "https://k:5000/v3/auth/tokens"),
            ("https://k/identity/", "https://k/identity/v3/auth/tokens"),
            ("https://k/identity/v3/", "https://k/identity/v3/auth/tokens"),
        ] {
            assert_eq!(tokens_url(auth_url).unwrap().as_str(), expected);
        }
        let error = tokens_url("https://u:hush@k").unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hush"));
    }

    #[test]
    fn life_is_the_difference() {
        let life = life(Some("2024-01-01T00:00:00.000000Z"), Some("2024-01-01T01:00:00.000000Z"));
        assert_eq!(life, Some(Duration::from_secs(3600)));
    }
}
