//! Signing in to a cloud: [`Cloud`] is what `clouds.yaml` says about it, [`Session`] holds the
//! token that Keystone gives for it.
//!
//! In reading order: `yaml` reads a file without guessing types, `files` finds it, `clouds` makes
//! a [`Cloud`] of it; `keystone` exchanges an [`Auth`] for a token, `catalogue` finds Glance in
//! what came with it, and `session` keeps both.

mod catalogue;
mod clouds;
mod files;
mod keystone;
mod session;
mod yaml;

use std::error::Error;
use std::fmt;
use std::path::PathBuf;

use secrecy::SecretString;

pub use clouds::Cloud;
pub use session::Session;

use crate::body::BodyError;
use crate::transport::TransportErrorKind;

/// How to prove who we are.
#[derive(Debug, Clone)]
pub enum Auth {
    /// Not at all: a Glance without Keystone.
    None,
    /// By a token somebody else got; it can't be renewed.
    Token {
        /// The token.
        token: SecretString,
    },
    /// By a user's password, at Keystone.
    Password {
        /// Keystone, with or without `/v3`.
        auth_url: String,
        /// Who signs in.
        user: User,
        /// The user's password.
        password: SecretString,
        /// What the token is to be good for.
        scope: Scope,
    },
    /// By an application credential, at Keystone. It brings its own scope.
    ApplicationCredential {
        /// Keystone, with or without `/v3`.
        auth_url: String,
        /// Which one.
        credential: ApplicationCredential,
        /// Its secret.
        secret: SecretString,
    },
}

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
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// What Keystone chooses: the user's default project, or nothing.
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

/// A configuration that can't be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// The file at fault.
    pub file: PathBuf,
    /// What is wrong with it, a fragment of a sentence.
    pub reason: String,
    /// What the operator can do about it.
    pub hint: Option<String>,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.file.display(), self.reason)
    }
}

impl Error for ConfigError {}

/// Why there is no token, or no endpoint.
#[derive(Debug)]
pub struct SignInError {
    /// What kind of failure.
    pub kind: SignInErrorKind,
    /// What happened, a sentence without its full stop; never a secret.
    pub reason: String,
    /// What the operator can do about it.
    pub hint: Option<String>,
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
}

impl SignInError {
    fn new(kind: SignInErrorKind, reason: impl Into<String>, hint: Option<&str>) -> Self {
        Self { kind, reason: reason.into(), hint: hint.map(str::to_owned), source: None }
    }
}

impl fmt::Display for SignInError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

impl Error for SignInError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}
