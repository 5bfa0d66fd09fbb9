//! The requests of Keystone v3 that issue tokens:
//! <https://docs.openstack.org/api-ref/identity/v3/#authentication-and-token-management>.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode, header};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Value, json};
use tokio::time::Instant;
use url::Url;

use super::{AuthHeaders, Grant, Renewal, TokenHolder, TokenScope, Validity, exposed, sensitive};
use crate::auth::exchange::{exchange, parse, unexpected};
use crate::auth::holder::{Named, holder};
use crate::catalog::{Service, useful};
use crate::plain_http;
use crate::{Domain, Scope, SignInError, SignInErrorKind};
use glance_core::body::Body;
use glance_core::transport::{Optional, Transport, request_id};

/// The token API of one Keystone.
pub(super) struct Tokens<'a> {
    transport: &'a dyn Transport,
    /// The URL with `/v3`; contains no secret.
    base: Url,
}

/// A response of Keystone other than a rejection.
pub(super) enum Answer {
    Granted {
        grant: Grant,
        token: SecretString,
    },
    /// Keystone requires further factors.
    Receipt(Receipt),
}

/// Proof of the factors accepted so far, for the next request:
/// <https://docs.openstack.org/api-ref/identity/v3/#multi-factor-authentication>.
pub(super) struct Receipt {
    pub(super) secret: SecretString,
    /// The accepted factors.
    pub(super) given: Vec<String>,
    /// Alternative sets of factors; one set must be complete.
    pub(super) required: Vec<Vec<String>>,
    /// Keystone's request id.
    request_id: Option<String>,
}

#[derive(Deserialize)]
struct TokenDocument {
    token: Token,
}

#[derive(Deserialize)]
struct Token {
    #[serde(default, deserialize_with = "useful")]
    catalog: Vec<Service>,
    issued_at: Option<String>,
    expires_at: Option<String>,
    user: Option<Named>,
    #[serde(default, deserialize_with = "useful")]
    roles: Vec<Named>,
    project: Option<Named>,
    domain: Option<IgnoredAny>,
    system: Option<IgnoredAny>,
}

impl Token {
    fn reach(&self) -> Option<TokenScope> {
        match (&self.project, &self.domain, &self.system) {
            (Some(project), ..) => Some(TokenScope::Project(project.id.clone())),
            (_, Some(_), _) => Some(TokenScope::Domain),
            (.., Some(_)) => Some(TokenScope::System),
            _ => None,
        }
    }

    fn holder(&self) -> Option<TokenHolder> {
        Some(holder(self.user.as_ref()?, self.project.as_ref(), &self.roles))
    }
}

#[derive(Deserialize)]
struct ReceiptDocument {
    receipt: Methods,
    #[serde(default)]
    required_auth_methods: Vec<Vec<String>>,
}

#[derive(Deserialize)]
struct Methods {
    methods: Vec<String>,
}

impl<'a> Tokens<'a> {
    pub(super) fn new(transport: &'a dyn Transport, auth_url: &str) -> Result<Self, SignInError> {
        let base = base(auth_url)?;
        plain_http::warn(&base, "the credentials");
        Ok(Self { transport, base })
    }

    /// Whether tokens from this Keystone come over https.
    pub(super) fn is_https(&self) -> bool {
        self.base.scheme() == "https"
    }

    /// Fails if a token that came over https from another server must not be sent to this Keystone.
    pub(super) fn check(&self, came_over_https: bool) -> Result<(), SignInError> {
        match came_over_https && plain_http::is_exposed(&self.base) {
            true => {
                let secret = "the identity provider's token";
                Err(exposed(secret, &self.base, "write auth_url as https://"))
            }
            false => Ok(()),
        }
    }

    /// Requests a token by `POST /v3/auth/tokens`.
    pub(super) async fn ask(
        &self,
        identity: Value,
        scope: &Scope,
        receipt: Option<&Receipt>,
        who: &str,
    ) -> Result<Answer, SignInError> {
        let mut auth = json!({"identity": identity});
        if let Some(scope) = scope_json(scope) {
            auth["scope"] = scope;
        }
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
        if let Some(receipt) = receipt {
            headers.insert("openstack-auth-receipt", sensitive(receipt.secret.expose_secret())?);
        }
        let body = Bytes::from(json!({"auth": auth}).to_string());
        self.post(&["auth", "tokens"], headers, body, who).await
    }

    /// Exchanges a token of an identity provider for an unscoped Keystone token.
    pub(super) async fn federated(
        &self,
        provider: &str,
        protocol: &str,
        token: &SecretString,
    ) -> Result<Answer, SignInError> {
        let path = ["OS-FEDERATION", "identity_providers", provider, "protocols", protocol, "auth"];
        let mut headers = HeaderMap::new();
        let bearer = sensitive(&format!("Bearer {}", token.expose_secret()))?;
        headers.insert(header::AUTHORIZATION, bearer);
        let who = format!("the token of identity provider `{provider}`");
        self.post(&path, headers, Bytes::new(), &who).await
    }

    /// Looks up a token by `GET /v3/auth/tokens`, authenticated by the token itself, which every
    /// user may do.
    pub(super) async fn look_at(&self, token: &SecretString) -> Result<Grant, SignInError> {
        let (url, server) = self.address(&["auth", "tokens"]);
        let secret = sensitive(token.expose_secret())?;
        let mut request = Request::get(url.as_str())
            .header(header::ACCEPT, "application/json")
            .header("x-auth-token", secret.clone())
            .header("x-subject-token", secret)
            .body(Body::empty())
            .map_err(|_| protocol(format!("cannot create a request to {server}")))?;
        request.extensions_mut().insert(Optional);
        let asked = Instant::now();
        let answer = exchange(self.transport, request, &server).await?;
        if !answer.status().is_success() {
            let error = refusal(&answer, &server, "the given token").answered(answer.headers());
            return Err(match error.kind {
                SignInErrorKind::Unauthenticated => {
                    SignInError { hint: Some(NEW_TOKEN.to_owned()), ..error }
                }
                _ => error,
            });
        }
        let TokenDocument { token: document } =
            parse(&answer).ok_or_else(|| protocol(format!("the response is not from {server}")))?;
        let left = left(answer.headers(), document.expires_at.as_deref());
        Ok(Grant {
            proof: AuthHeaders::token(token.clone())?.confined(self.is_https()),
            reach: document.reach(),
            holder: document.holder(),
            catalog: document.catalog,
            endpoint: None,
            life: left.and_then(|left| Validity::new(asked, left)),
            renewal: Renewal::Impossible,
        })
    }

    /// The URL of a request, and the name of the server for errors.
    fn address(&self, path: &[&str]) -> (Url, String) {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.extend(path);
        }
        let server = format!("Keystone at {url}");
        (url, server)
    }

    async fn post(
        &self,
        path: &[&str],
        headers: HeaderMap,
        body: Bytes,
        who: &str,
    ) -> Result<Answer, SignInError> {
        let (url, server) = self.address(path);
        let mut request = Request::post(url.as_str())
            .header(header::ACCEPT, "application/json")
            .body(Body::from(body))
            .map_err(|_| protocol(format!("cannot create a request to {server}")))?;
        request.headers_mut().extend(headers);
        // The token's life is measured from before the request, on the local clock.
        let asked = Instant::now();
        let answer = exchange(self.transport, request, &server).await?;
        let outcome = match answer.status() {
            status if status.is_success() => self.granted(&answer, asked, &server),
            StatusCode::UNAUTHORIZED => match receipt(&answer) {
                Some(receipt) => Ok(Answer::Receipt(receipt)),
                None => Err(refusal(&answer, &server, who)),
            },
            _ => Err(refusal(&answer, &server, who)),
        };
        outcome.map_err(|error| error.answered(answer.headers()))
    }

    fn granted(
        &self,
        answer: &Response<Bytes>,
        asked: Instant,
        server: &str,
    ) -> Result<Answer, SignInError> {
        let token = header_secret(answer, "x-subject-token")
            .ok_or_else(|| protocol(format!("the response from {server} has no token")))?;
        let TokenDocument { token: document } =
            parse(answer).ok_or_else(|| protocol(format!("the response is not from {server}")))?;
        let life = life(document.issued_at.as_deref(), document.expires_at.as_deref());
        let life = life.and_then(|life| Validity::new(asked, life));
        let grant = Grant {
            proof: AuthHeaders::token(token.clone())?.confined(self.is_https()),
            reach: document.reach(),
            holder: document.holder(),
            catalog: document.catalog,
            endpoint: None,
            life,
            renewal: Renewal::Possible,
        };
        Ok(Answer::Granted { grant, token })
    }
}

impl Answer {
    /// The grant; an error if Keystone requires factors that are not configured.
    pub(super) fn last(self) -> Result<(Grant, SecretString), SignInError> {
        match self {
            Self::Granted { grant, token } => Ok((grant, token)),
            Self::Receipt(receipt) => Err(receipt.refusal()),
        }
    }
}

impl Receipt {
    fn refusal(&self) -> SignInError {
        let wanted: Vec<String> = self.required.iter().map(|set| set.join(" and ")).collect();
        let hint = format!(
            "set `auth_type: v3multifactor` with auth_methods for {}",
            if wanted.is_empty() { "another factor".into() } else { wanted.join(", or for ") }
        );
        let given = self.given.join(" and ");
        let reason = format!("Keystone accepted the {given} and requires another factor");
        let error = SignInError::new(SignInErrorKind::Unauthenticated, reason, Some(&hint));
        SignInError { request_id: self.request_id.clone(), ..error }
    }
}

const NEW_TOKEN: &str = "get a new token: this one is wrong, has expired or was revoked";

/// The error for a status other than success. The response body is not shown, because Keystone
/// quotes the request.
fn refusal(answer: &Response<Bytes>, server: &str, who: &str) -> SignInError {
    match answer.status() {
        StatusCode::UNAUTHORIZED => SignInError::new(
            SignInErrorKind::Unauthenticated,
            format!("{server} rejected the credentials of {who}"),
            Some("check the name, the domain and the secret, and the project or trust"),
        ),
        StatusCode::FORBIDDEN => SignInError::new(
            SignInErrorKind::Unauthenticated,
            format!("{server} does not allow {who} to sign in"),
            Some("check that the account is not locked and has a role in the project"),
        ),
        StatusCode::BAD_REQUEST => SignInError::new(
            SignInErrorKind::Protocol,
            format!("{server} rejected the sign-in request of {who} as invalid (status 400)"),
            Some("check the domains of the user and of the project"),
        ),
        _ => unexpected(answer, server, "auth_url"),
    }
}

fn receipt(answer: &Response<Bytes>) -> Option<Receipt> {
    let secret = header_secret(answer, "openstack-auth-receipt")?;
    let document: ReceiptDocument = parse(answer)?;
    // These words are printed, so only plain words are accepted.
    let plain = |word: &String| word.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    let all = document.required_auth_methods.iter().flatten().chain(&document.receipt.methods);
    all.into_iter().all(plain).then_some(Receipt {
        secret,
        given: document.receipt.methods,
        required: document.required_auth_methods,
        request_id: request_id(answer.headers()),
    })
}

fn header_secret(answer: &Response<Bytes>, name: &str) -> Option<SecretString> {
    let text = answer.headers().get(name)?.to_str().ok()?.trim();
    (!text.is_empty()).then(|| SecretString::from(text))
}

fn scope_json(scope: &Scope) -> Option<Value> {
    match scope {
        Scope::Default => None,
        Scope::Unscoped => Some(json!("unscoped")),
        Scope::ProjectId(id) => Some(json!({"project": {"id": id}})),
        Scope::ProjectName { name, domain } => {
            Some(json!({"project": {"name": name, "domain": domain_json(domain)}}))
        }
        Scope::Domain(domain) => Some(json!({"domain": domain_json(domain)})),
        Scope::System => Some(json!({"system": {"all": true}})),
        Scope::Trust(id) => Some(json!({"OS-TRUST:trust": {"id": id}})),
    }
}

pub(super) fn domain_json(domain: &Domain) -> Value {
    match domain {
        Domain::Id(id) => json!({"id": id}),
        Domain::Name(name) => json!({"name": name}),
    }
}

fn protocol(reason: String) -> SignInError {
    SignInError::new(
        SignInErrorKind::Protocol,
        reason,
        Some("check that auth_url is a Keystone v3"),
    )
}

/// The URL ending in `/v3`, without user, password and query, so that it can be shown.
pub(crate) fn base(auth_url: &str) -> Result<Url, SignInError> {
    let url = Url::parse(auth_url).ok().filter(|url| matches!(url.scheme(), "https" | "http"));
    let Some(mut url) = url else { return Err(protocol("auth_url is not a URL".into())) };
    if !url.username().is_empty() || url.password().is_some() {
        return Err(protocol("auth_url contains a user or a password".into()));
    }
    url.set_query(None);
    url.set_fragment(None);
    let path = url.path().trim_end_matches('/');
    let path = path.strip_suffix("/v3").unwrap_or(path);
    url.set_path(&format!("{path}/v3"));
    Ok(url)
}

/// The lifetime of a token by Keystone's clock alone; the local clock may be wrong.
fn life(issued_at: Option<&str>, expires_at: Option<&str>) -> Option<Duration> {
    let issued: jiff::Timestamp = issued_at?.parse().ok()?;
    let expires: jiff::Timestamp = expires_at?.parse().ok()?;
    Duration::try_from(expires.duration_since(issued)).ok()
}

/// The remaining lifetime of an existing token by the server's clock, taken from the response's
/// `Date` (RFC 9110, section 6.6.1).
fn left(answer: &HeaderMap, expires_at: Option<&str>) -> Option<Duration> {
    let date = answer.get(header::DATE)?.to_str().ok()?;
    let now = jiff::fmt::rfc2822::parse(date).ok()?.timestamp();
    let expires: jiff::Timestamp = expires_at?.parse().ok()?;
    Some(Duration::try_from(expires.duration_since(now)).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_appended_once() {
        for (auth_url, expected) in [
            ("https://k:5000", "https://k:5000/v3"),
            ("https://k/identity/", "https://k/identity/v3"),
            ("https://k/identity/v3/?x=y", "https://k/identity/v3"),
            ("https://[::1]:5000/v3", "https://[::1]:5000/v3"),
        ] {
            assert_eq!(base(auth_url).unwrap().as_str(), expected);
        }
        let error = base("https://u:hush@k").unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hush"));
    }

    #[test]
    fn the_remaining_lifetime_is_measured_by_the_servers_clock() {
        let left = |date: &'static str| {
            let date = (header::DATE, header::HeaderValue::from_static(date));
            left(&HeaderMap::from_iter([date]), Some("2024-01-01T01:00:00.000000Z"))
        };
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        assert_eq!(left("Mon, 01 Jan 2024 00:59:00 GMT"), seconds(60));
        assert_eq!(left("Mon, 01 Jan 2024 01:00:01 GMT"), seconds(0));
        assert_eq!(left("yesterday"), None);
    }

    #[test]
    fn life_is_the_difference() {
        let life = life(Some("2024-01-01T00:00:00.000000Z"), Some("2024-01-01T01:00:00.000000Z"));
        assert_eq!(life, Some(Duration::from_secs(3600)));
    }
}
