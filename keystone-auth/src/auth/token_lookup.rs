//! A token obtained elsewhere, from a Keystone that is known.

use async_trait::async_trait;
use secrecy::SecretString;

use super::{AuthPlugin, FixedToken, Grant};
use crate::auth::token_api::Tokens;
use crate::{SignInError, SignInErrorKind};
use glance_core::transport::{Transport, briefly};

/// Presents a given token, after asking its Keystone once how long the token lives. It cannot be
/// renewed.
#[derive(Debug, Clone)]
pub struct GivenToken {
    /// The token.
    pub token: SecretString,
    /// The URL of the Keystone that issued the token, with or without `/v3`.
    pub auth_url: String,
}

#[async_trait]
impl AuthPlugin for GivenToken {
    async fn sign_in(&self, transport: &dyn Transport) -> Result<Grant, SignInError> {
        let tokens = Tokens::new(transport, &self.auth_url)?;
        // The token may still be valid: only its lifetime remains unknown.
        let why = match briefly(tokens.look_at(&self.token)).await {
            Some(Err(error)) if error.kind != SignInErrorKind::Unauthenticated => error.to_string(),
            Some(answer) => return answer,
            None => "no response in time".to_owned(),
        };
        tracing::warn!("cannot determine when the token expires: {why}");
        let fixed = FixedToken { token: self.token.clone(), endpoint: None };
        let grant = fixed.sign_in(transport).await?;
        Ok(Grant { proof: grant.proof.confined(tokens.is_https()), ..grant })
    }
}
