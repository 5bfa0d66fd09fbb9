//! Signing in to a cloud: [`Clouds`] is what `clouds.yaml` and the environment say, [`AuthPlugin`]
//! proves who we are, [`Session`] keeps the proof and finds the image service.
//!
//! In reading order: `config` makes a [`Cloud`] of files and variables; [`auth`] has the plugins;
//! `catalogue` finds Glance in what came with a token, `discovery` asks it for its versions, and
//! `session` ties them together. [`Projects`] asks `keystone` who is meant by a project's id.

pub mod auth;
mod catalogue;
mod config;
mod keystone;
mod project_lookup;
mod session;
mod version_discovery;

use std::error::Error;
use std::fmt;

pub use auth::AuthPlugin;
pub use catalogue::{Endpoint, ImageService, Service};
pub use config::{Cloud, Clouds, ConfigError, Environment, Overrides, Place, Prompt, Retries};
pub use project_lookup::Projects;
pub use session::{ImageEndpoint, Session};

use glance_core::error::BodyError;
use glance_core::transport::{TransportErrorKind, request_id};

/// A user of Keystone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum User {
    /// By id.
    Id(String),
    /// By name, which is unique within a domain.
    Name {
        /// The name.
        name: String,
        /// The user's domain.
        domain: Domain,
    },
}

/// A domain of Keystone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Domain {
    /// By id.
    Id(String),
    /// By name.
    Name(String),
}

/// What a token is good for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Scope {
    /// What Keystone chooses: the user's default project, or nothing.
    #[default]
    Default,
    /// Nothing but to ask for another token.
    Unscoped,
    /// A project by id.
    ProjectId(String),
    /// A project by name, which is unique within a domain.
    ProjectName {
        /// The name.
        name: String,
        /// The project's domain.
        domain: Domain,
    },
    /// A whole domain.
    Domain(Domain),
    /// The whole cloud.
    System,
    /// What another user lends by a trust, by its id.
    Trust(String),
}

/// An application credential of Keystone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ApplicationCredential {
    /// By id.
    Id(String),
    /// By name, which is unique to its user.
    Name {
        /// The name.
        name: String,
        /// Whose it is.
        user: User,
    },
}

/// Why there is no token, or no endpoint.
#[derive(Debug)]
pub struct SignInError {
    /// What kind of failure.
    pub kind: SignInErrorKind,
    /// What happened, a sentence without its full stop; never a secret.
    pub reason: String,
    /// What the operator can do about it.
    pub hint: Option<String>,
    /// The server's id of the request, for its operator's logs.
    pub request_id: Option<String>,
    /// The failure below.
    pub source: Option<BodyError>,
}

/// Kinds of [`SignInError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SignInErrorKind {
    /// Keystone's answer did not come, or not whole.
    Transport(TransportErrorKind),
    /// Keystone refused the credentials, or the token can't be renewed.
    Unauthenticated,
    /// The catalogue names no image service that fits.
    Catalogue,
    /// What answered is no Keystone v3, or it is out of order.
    Protocol,
    /// A token that came over https would leave by plain http.
    PlainHttp,
}

impl SignInError {
    fn new(kind: SignInErrorKind, reason: impl Into<String>, hint: Option<&str>) -> Self {
        let hint = hint.map(str::to_owned);
        Self { kind, reason: reason.into(), hint, request_id: None, source: None }
    }

    /// The same error, said by this answer.
    fn answered(self, answer: &http::HeaderMap) -> Self {
        Self { request_id: request_id(answer), ..self }
    }
}

impl fmt::Display for SignInError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)?;
        match &self.request_id {
            Some(id) => write!(f, " (request {id})"),
            None => Ok(()),
        }
    }
}

impl Error for SignInError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}
