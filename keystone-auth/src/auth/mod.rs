//! Ways to prove who we are: the contract [`AuthPlugin`], and the plugins that `clouds.yaml` can
//! name.
//!
//! In reading order: `fixed` asks nobody; `given` asks how long a token lives; `keystone` signs in with one or more factors by the
//! requests of `tokens`; `oidc` brings a token of an identity provider by the requests of
//! `provider`, `device` lets a person sign in there; `oauth2` proves itself twice. All speak by
//! `exchange`.

mod device;
mod exchange;
mod fixed_token;
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
pub use keystone::{Keystone, Method};
pub use oauth2::OAuth2ClientCredential;
pub use oidc::{Flow, Oidc, OidcClient, OidcGrant};
pub use token_lookup::GivenToken;

use super::catalogue::Service;
use super::{SignInError, SignInErrorKind};
use glance_core::plain_http;
use glance_core::transport::Transport;

pub(super) use exchange::{LIST, exchange, exchange_within, unexpected};
pub(super) use token_api::base as keystone_base;

use exchange::origin;

/// Proves who we are to one cloud.
///
/// # Contract
/// - **Asked rarely**: [`Session`](super::Session) calls [`sign_in`](Self::sign_in) when there is
///   no usable grant, never twice at once, and after a refusal not again for a while: Keystone
///   locks accounts.
/// - **Again**: every call is a new sign-in. A plugin that has nothing new to offer, such as a
///   fixed token, returns the same proof; the session then knows that it can't be renewed.
/// - **Bounds**: answers are read up to a limit; no secret follows a redirect, or goes to an address
///   that an answer names, unless over https.
/// - **Silence**: secrets appear neither in `Debug` nor in an error.
///
/// # Example
/// A token that another program leaves in a file:
/// ```
/// use glance_core::Transport;
/// use keystone_auth::auth::{AuthPlugin, Grant, Proof};
/// use keystone_auth::{SignInError, SignInErrorKind};
///
/// #[derive(Debug)]
/// struct TokenFile(std::path::PathBuf);
///
/// #[async_trait::async_trait]
/// impl AuthPlugin for TokenFile {
///     async fn sign_in(&self, _: &dyn Transport) -> Result<Grant, SignInError> {
///         match std::fs::read_to_string(&self.0) {
///             Ok(token) => Ok(Grant::lasting(Proof::token(token.trim().into())?, None)),
///             Err(error) => Err(SignInError {
///                 kind: SignInErrorKind::Unauthenticated,
///                 reason: format!("{} can't be read", self.0.display()),
///                 hint: Some("start the program that writes it".into()),
///                 request_id: None,
///                 source: Some(error.into()),
///             }),
///         }
///     }
/// }
/// ```
#[async_trait]
pub trait AuthPlugin: fmt::Debug + Send + Sync {
    /// Signs in by requests through `transport`.
    ///
    /// # Errors
    /// [`Unauthenticated`](super::SignInErrorKind::Unauthenticated) when the credentials were
    /// refused; that one is remembered and not tried again at once. Other kinds as they say.
    async fn sign_in(&self, transport: &dyn Transport) -> Result<Grant, SignInError>;
}

/// What a sign-in brought.
#[derive(Debug, Clone)]
pub struct Grant {
    /// What proves it to the services.
    pub proof: Proof,
    /// The services that came with it; none without Keystone.
    pub catalogue: Vec<Service>,
    /// Where the service is, for plugins that know it without a catalogue.
    pub endpoint: Option<String>,
    /// When the proof begins to be good, and when it ends; `None` where nobody knows.
    pub life: Option<Life>,
    /// Whether signing in again brings another proof.
    pub renewal: Renewal,
    /// What it is good for, where it says so.
    pub reach: Option<Reach>,
}

impl Grant {
    /// A proof that lasts, for a service at `endpoint` where that is known; no catalogue.
    pub fn lasting(proof: Proof, endpoint: Option<String>) -> Self {
        let (life, renewal) = (None, Renewal::Possible);
        Self { proof, catalogue: Vec::new(), endpoint, life, renewal, reach: None }
    }
}

/// When a proof is good, on the monotonic clock of this machine. Its wall clock may be wrong, so
/// plugins count from when they asked, for as long as the server says by its own clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Life {
    /// When it was asked for.
    pub begin: Instant,
    /// When it expires.
    pub end: Instant,
}

impl Life {
    /// A life of `length` from `begin` on. `None` when that is for ever.
    pub fn new(begin: Instant, length: Duration) -> Option<Self> {
        Some(Self { begin, end: begin.checked_add(length)? })
    }

    /// As long as both last.
    pub(super) fn both(one: Option<Self>, other: Option<Self>) -> Option<Self> {
        one.into_iter().chain(other).min_by_key(|life| life.end)
    }
}

/// What a token is good for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reach {
    /// The project of this id, as Glance wants it.
    Project(String),
    /// A domain.
    Domain,
    /// The whole cloud.
    System,
}

/// Whether signing in again brings another proof.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Renewal {
    /// It does.
    Possible,
    /// It does, but a person has to do it: not before it must be.
    ByPerson,
    /// It does not: a token that somebody gave, a passcode that was used.
    Impossible,
}

/// The headers by which a request proves who sends it; none where nobody asks.
///
/// `Debug` shows their names only.
#[derive(Clone, Default)]
pub struct Proof {
    headers: Vec<(HeaderName, SecretString)>,
    /// Whether it must not leave by plain http.
    confined: bool,
}

impl Proof {
    /// No proof: nobody asks for one.
    pub fn none() -> Self {
        Self::default()
    }

    /// A token of Keystone, or what a service takes for one.
    ///
    /// # Errors
    /// When it can't stand in a header.
    pub fn token(token: SecretString) -> Result<Self, SignInError> {
        Self::none().with(HeaderName::from_static("x-auth-token"), token)
    }

    /// This proof and another header.
    ///
    /// # Errors
    /// When the value can't stand in a header.
    pub fn with(mut self, name: HeaderName, value: SecretString) -> Result<Self, SignInError> {
        sensitive(value.expose_secret())?;
        self.headers.push((name, value));
        Ok(self)
    }

    /// This proof, which may not leave by plain http if it `came_over_https`.
    #[must_use]
    pub fn confined(self, came_over_https: bool) -> Self {
        Self { confined: self.confined || came_over_https, ..self }
    }

    /// Whether there is nothing to prove.
    pub fn is_none(&self) -> bool {
        self.headers.is_empty()
    }

    /// The headers for a request to `url`, marked so that no logger of the HTTP layers shows them.
    ///
    /// # Errors
    /// [`PlainHttp`](SignInErrorKind::PlainHttp) when the proof came over https, and others could read
    /// it on the way to `url`.
    pub fn headers(
        &self,
        url: &Url,
    ) -> Result<impl Iterator<Item = (&HeaderName, HeaderValue)>, SignInError> {
        self.check(url, "name the server by its https URL")?;
        Ok(self.values())
    }

    /// Fails when the proof must not go to `url`; `hint` says what to change.
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

/// The error of a secret that came over https, and would go to `url` for all to read.
fn exposed(secret: &str, url: &Url, hint: &str) -> SignInError {
    let origin = origin(url);
    let reason = format!(
        "{secret} came over https and is not sent to {origin}: anyone on the network path could read \
         it"
    );
    SignInError::new(SignInErrorKind::PlainHttp, reason, Some(hint))
}

impl PartialEq for Proof {
    fn eq(&self, other: &Self) -> bool {
        self.values().eq(other.values())
    }
}

impl fmt::Debug for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.headers.iter().map(|(name, _)| name)).finish()
    }
}

/// A secret as a header, which holds visible ASCII: RFC 9110, section 5.5. What looks like a second
/// header after a line's end must not become one, and an empty token would only be refused.
fn sensitive(text: &str) -> Result<HeaderValue, SignInError> {
    let fits = !text.is_empty() && text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    match HeaderValue::from_str(text) {
        Ok(mut value) if fits => {
            value.set_sensitive(true);
            Ok(value)
        }
        _ => Err(SignInError::new(
            SignInErrorKind::Unauthenticated,
            "the token is empty, or holds characters that can't be sent in a header",
            Some("copy it again: a token is one line of ASCII without spaces"),
        )),
    }
}

#[cfg(test)]
mod tests;
