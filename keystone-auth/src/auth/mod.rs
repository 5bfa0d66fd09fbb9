//! Ways to authenticate: the contract [`AuthPlugin`], and the plugins that `clouds.yaml` can
//! select.
//!
//! In reading order: `fixed_token` sends no sign-in request; `token_lookup` asks Keystone how long
//! a given token lives; `keystone` signs in with one or more factors, through the requests of
//! `token_api`; `oidc` signs in with a token of an identity provider, obtained by `oidc_provider`,
//! or by `device` if a person has to consent; `oauth2` adds Keystone's OAuth 2.0 access tokens. All
//! send their requests through `exchange`.

mod device;
mod exchange;
mod fixed_token;
mod holder;
mod keystone;
mod oauth2;
mod oidc;
mod oidc_provider;
mod token_api;
mod token_lookup;

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use http::{HeaderName, HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use tokio::time::Instant;
use url::Url;

pub use fixed_token::{FixedToken, HttpBasic, NoAuth};
pub use holder::TokenHolder;
pub use keystone::{Keystone, Method};
pub use oauth2::OAuth2ClientCredential;
pub use oidc::{Flow, Oidc, OidcClient, OidcGrant};
pub use token_lookup::GivenToken;

use super::catalog::Service;
use super::{SignInError, SignInErrorKind};
use crate::plain_http;
use glance_core::transport::Transport;

pub(super) use exchange::{LIST, exchange, exchange_within, unexpected};
pub(super) use token_api::base as keystone_base;

use exchange::origin;

/// Authenticates to one cloud.
///
/// # Contract
/// - **Call frequency**: [`Session`](super::Session) calls [`sign_in`](Self::sign_in) only if it
///   has no usable grant or the grant is due for renewal, never concurrently, and not again for a
///   while after a rejection, because Keystone locks accounts after repeated failures.
/// - **Repeated calls**: every call is a new sign-in. A plugin with nothing new to offer, such as
///   one with a fixed token, returns the same proof; the session concludes that the proof cannot be
///   renewed.
/// - **Bounds**: responses are read up to a size limit. A secret follows no redirect to another
///   origin, and is sent to an address taken from a response only over https.
/// - **Secrecy**: secrets appear neither in `Debug` output nor in errors.
///
/// # Example
/// A plugin that reads a token which another program writes to a file:
/// ```
/// use glance_core::Transport;
/// use keystone_auth::auth::{AuthPlugin, Grant, AuthHeaders};
/// use keystone_auth::{SignInError, SignInErrorKind};
///
/// #[derive(Debug)]
/// struct TokenFile(std::path::PathBuf);
///
/// #[async_trait::async_trait]
/// impl AuthPlugin for TokenFile {
///     async fn sign_in(&self, _: &dyn Transport) -> Result<Grant, SignInError> {
///         match std::fs::read_to_string(&self.0) {
///             Ok(token) => Ok(Grant::lasting(AuthHeaders::token(token.trim().into())?, None)),
///             Err(error) => {
///                 let reason = format!("{} can't be read", self.0.display());
///                 let hint = Some("start the program that writes it");
///                 let kind = SignInErrorKind::Unauthenticated;
///                 Err(SignInError::new(kind, reason, hint).caused_by(error))
///             }
///         }
///     }
/// }
/// ```
#[async_trait]
pub trait AuthPlugin: fmt::Debug + Send + Sync {
    /// Signs in by requests through `transport`.
    ///
    /// # Errors
    /// [`Unauthenticated`](super::SignInErrorKind::Unauthenticated) if the credentials were
    /// rejected; the session remembers this error and does not retry at once. Other kinds as
    /// documented there.
    async fn sign_in(&self, transport: &dyn Transport) -> Result<Grant, SignInError>;
}

/// The result of a sign-in.
#[derive(Debug, Clone)]
pub struct Grant {
    /// The proof for requests to the services.
    pub proof: AuthHeaders,
    /// The service catalog; empty without Keystone.
    pub catalog: Vec<Service>,
    /// The endpoint of the service, for plugins that know it without a catalog.
    pub endpoint: Option<String>,
    /// When the validity of the proof begins and ends; `None` if unknown.
    pub life: Option<Validity>,
    /// Whether another sign-in would yield a new proof.
    pub renewal: Renewal,
    /// The scope of the token, if the server reports it.
    pub reach: Option<TokenScope>,
    /// The user of the token and the user's roles, if the server reports them.
    pub holder: Option<TokenHolder>,
}

impl Grant {
    /// Creates a grant of unlimited validity, without a catalog. `endpoint` is that of the
    /// service, if known.
    pub fn lasting(proof: AuthHeaders, endpoint: Option<String>) -> Self {
        let (life, renewal) = (None, Renewal::Possible);
        Self { proof, catalog: Vec::new(), endpoint, life, renewal, reach: None, holder: None }
    }
}

/// The validity of a proof, on the monotonic clock of this machine. The wall clock may be wrong, so
/// plugins measure from the time of the request, with the lifetime that the server states.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// The time of the request.
    pub begin: Instant,
    /// The time of expiry.
    pub end: Instant,
}

impl Validity {
    /// A life of `length` starting at `begin`; `None` if its end cannot be represented.
    pub fn new(begin: Instant, length: Duration) -> Option<Self> {
        Some(Self { begin, end: begin.checked_add(length)? })
    }

    /// The life that ends first.
    pub(super) fn both(one: Option<Self>, other: Option<Self>) -> Option<Self> {
        one.into_iter().chain(other).min_by_key(|life| life.end)
    }
}

/// The scope of a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenScope {
    /// A project, by the id that Glance uses.
    Project(String),
    /// A domain.
    Domain,
    /// The whole cloud.
    System,
}

/// Whether another sign-in yields a new proof.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Renewal {
    /// Yes.
    Possible,
    /// Yes, but it requires a person; the session therefore waits until the proof has expired.
    ByPerson,
    /// No: the token was given, or a one-time passcode was used.
    Impossible,
}

/// The headers that authenticate a request; empty if the service requires none.
///
/// `Debug` shows the names of the headers only.
#[derive(Clone, Default)]
pub struct AuthHeaders {
    headers: Vec<(HeaderName, SecretString)>,
    /// Whether the proof must not be sent over plain http.
    confined: bool,
}

impl AuthHeaders {
    /// A proof without headers, for services that require none.
    pub fn none() -> Self {
        Self::default()
    }

    /// A Keystone token, or any token that the service accepts in its place.
    ///
    /// # Errors
    /// If the token cannot be a header value.
    pub fn token(token: SecretString) -> Result<Self, SignInError> {
        Self::none().with(HeaderName::from_static("x-auth-token"), token)
    }

    /// Adds a header to the proof.
    ///
    /// # Errors
    /// If the value cannot be a header value.
    pub fn with(mut self, name: HeaderName, value: SecretString) -> Result<Self, SignInError> {
        sensitive(value.expose_secret())?;
        self.headers.push((name, value));
        Ok(self)
    }

    /// Forbids sending the proof over plain http if it `came_over_https`.
    #[must_use]
    pub fn confined(self, came_over_https: bool) -> Self {
        Self { confined: self.confined || came_over_https, ..self }
    }

    /// Whether the proof has no headers.
    pub fn is_none(&self) -> bool {
        self.headers.is_empty()
    }

    /// The headers for a request to `url`, marked as sensitive so that HTTP libraries do not log
    /// them.
    ///
    /// # Errors
    /// [`PlainHttp`](SignInErrorKind::PlainHttp) if the proof came over https and others could read
    /// it on the way to `url`.
    pub fn headers(
        &self,
        url: &Url,
    ) -> Result<impl Iterator<Item = (&HeaderName, HeaderValue)>, SignInError> {
        self.check(url, "write the server's URL with https://")?;
        Ok(self.values())
    }

    /// Fails if the proof must not be sent to `url`; `hint` says what to change.
    pub(super) fn check(&self, url: &Url, hint: &str) -> Result<(), SignInError> {
        match self.confined && plain_http::is_exposed(url) {
            true => Err(exposed("the token", url, hint)),
            false => Ok(()),
        }
    }

    fn values(&self) -> impl Iterator<Item = (&HeaderName, HeaderValue)> {
        let value = |value: &SecretString| sensitive(value.expose_secret()).ok();
        self.headers.iter().filter_map(move |(name, secret)| Some((name, value(secret)?)))
    }
}

/// The error for a secret that came over https and would be sent to `url` in plain text.
fn exposed(secret: &str, url: &Url, hint: &str) -> SignInError {
    let origin = origin(url);
    let reason = format!(
        "{secret} was received over https and is not sent over plain http to {origin}, \
         where others could read it"
    );
    SignInError::new(SignInErrorKind::PlainHttp, reason, Some(hint))
}

impl PartialEq for AuthHeaders {
    fn eq(&self, other: &Self) -> bool {
        self.values().eq(other.values())
    }
}

impl fmt::Debug for AuthHeaders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.headers.iter().map(|(name, _)| name)).finish()
    }
}

/// Converts a secret to a header value of visible ASCII (RFC 9110, section 5.5). Line breaks are
/// rejected, as they would start another header, and so is an empty token, which no server accepts.
fn sensitive(text: &str) -> Result<HeaderValue, SignInError> {
    let fits = !text.is_empty() && text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    match HeaderValue::from_str(text) {
        Ok(mut value) if fits => {
            value.set_sensitive(true);
            Ok(value)
        }
        _ => Err(SignInError::new(
            SignInErrorKind::Unauthenticated,
            "the token is empty or contains characters that are invalid in a header",
            Some("copy the token again: a token is one line of ASCII without spaces"),
        )),
    }
}

#[cfg(test)]
mod tests;
