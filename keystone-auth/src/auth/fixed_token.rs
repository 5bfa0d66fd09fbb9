//! Proofs without a sign-in: no authentication, a token obtained elsewhere, HTTP Basic.

use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header;
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};

use super::{AuthHeaders, AuthPlugin, Grant, Renewal};
use crate::SignInError;
use glance_core::transport::Transport;

/// `none`: a service that requires no authentication.
#[derive(Debug, Clone, Default)]
pub struct NoAuth {
    /// The endpoint of the service, if known.
    pub endpoint: Option<String>,
}

/// `admin_token`: a token obtained elsewhere. It cannot be renewed.
#[derive(Debug, Clone)]
pub struct FixedToken {
    /// The token.
    pub token: SecretString,
    /// The endpoint of the service, if known.
    pub endpoint: Option<String>,
}

/// `http_basic`: sends a name and a password with every request (RFC 7617).
#[derive(Debug, Clone)]
pub struct HttpBasic {
    /// The name, without a colon.
    pub username: String,
    /// The password.
    pub password: SecretString,
    /// The endpoint of the service, if known.
    pub endpoint: Option<String>,
}

#[async_trait]
impl AuthPlugin for NoAuth {
    async fn sign_in(&self, _: &dyn Transport) -> Result<Grant, SignInError> {
        Ok(Grant::lasting(AuthHeaders::none(), self.endpoint.clone()))
    }
}

#[async_trait]
impl AuthPlugin for FixedToken {
    async fn sign_in(&self, _: &dyn Transport) -> Result<Grant, SignInError> {
        let grant = Grant::lasting(AuthHeaders::token(self.token.clone())?, self.endpoint.clone());
        Ok(Grant { renewal: Renewal::Impossible, ..grant })
    }
}

#[async_trait]
impl AuthPlugin for HttpBasic {
    async fn sign_in(&self, _: &dyn Transport) -> Result<Grant, SignInError> {
        let value = basic(&self.username, self.password.expose_secret());
        let proof = AuthHeaders::none().with(header::AUTHORIZATION, value)?;
        Ok(Grant::lasting(proof, self.endpoint.clone()))
    }
}

/// The value of an `Authorization` header (RFC 7617).
pub(super) fn basic(name: &str, password: &str) -> SecretString {
    let pair = Zeroizing::new(format!("{name}:{password}"));
    SecretString::from(format!("Basic {}", STANDARD.encode(pair.as_bytes())))
}
