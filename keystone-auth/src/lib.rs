#![doc = include_str!("../README.md")]
//!
//! # Modules
//! In reading order: `config` builds a [`Cloud`] from files and variables; [`auth`] holds the
//! plugins; `catalog` finds Glance in the service catalog that comes with a token;
//! `version_discovery` asks Glance which API versions it speaks; `session` combines them.

pub mod auth;
mod catalog;
mod config;
mod keystone;
pub mod plain_http;
mod project_lookup;
pub mod redirect;
mod session;
mod version_discovery;

use std::error::Error;
use std::fmt;

pub use auth::AuthPlugin;
pub use catalog::{Endpoint, ImageService, Service};
pub use config::{Cloud, CloudRetries, Clouds, ConfigError, Environment, Overrides, Place, Prompt};
pub use project_lookup::Projects;
pub use session::{ImageEndpoint, Session};

use glance_core::error::BodyError;
use glance_core::transport::{TransportErrorKind, request_id};

/// A Keystone user.
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

/// A Keystone domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Domain {
    /// By id.
    Id(String),
    /// By name.
    Name(String),
}

/// The scope of a token: what the token authorizes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Scope {
    /// Keystone chooses: the user's default project, or no scope.
    #[default]
    Default,
    /// No scope. Such a token can only be exchanged for another one.
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
    /// The rights that another user delegates through the trust with this id.
    Trust(String),
}

/// An application credential of Keystone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ApplicationCredential {
    /// By id.
    Id(String),
    /// By name, which is unique among the credentials of one user.
    Name {
        /// The name.
        name: String,
        /// The owner of the credential.
        user: User,
    },
}

/// A failed sign-in, or an image endpoint that cannot be determined.
#[derive(Debug)]
#[non_exhaustive]
pub struct SignInError {
    /// The kind of failure.
    pub kind: SignInErrorKind,
    /// What happened, as a sentence without its full stop. Never contains a secret.
    pub reason: String,
    /// What the operator can do about it.
    pub hint: Option<String>,
    /// The server's request id, for a search in the server's logs.
    pub request_id: Option<String>,
    /// The underlying error.
    pub source: Option<BodyError>,
}

/// Kinds of [`SignInError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SignInErrorKind {
    /// Keystone's response did not arrive, or arrived incomplete.
    Transport(TransportErrorKind),
    /// Keystone rejected the credentials, or the token cannot be renewed.
    Unauthenticated,
    /// The catalog lists no matching image service.
    Catalog,
    /// The response is not that of a Keystone v3, or Keystone is out of order.
    Protocol,
    /// A token received over https would be sent over plain http.
    PlainHttp,
}

impl SignInError {
    /// Describes a failed sign-in: `reason` is a sentence without its full stop, and `hint` says
    /// what the operator can do about it. Neither may contain a secret.
    pub fn new(kind: SignInErrorKind, reason: impl Into<String>, hint: Option<&str>) -> Self {
        let hint = hint.map(str::to_owned);
        Self { kind, reason: reason.into(), hint, request_id: None, source: None }
    }

    /// Adds the underlying error.
    #[must_use]
    pub fn caused_by(self, source: impl Into<BodyError>) -> Self {
        Self { source: Some(source.into()), ..self }
    }

    /// Adds the request id from the headers of the response that reports this error.
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
