//! OAuth 2.0 by Keystone itself, for services that require its access token in addition to
//! Keystone's own: <https://docs.openstack.org/keystone/latest/user/application_credentials.html>.

use async_trait::async_trait;
use http::header;
use secrecy::{ExposeSecret, SecretString};

use super::{AuthPlugin, Grant, Keystone, Method, OidcClient, Validity};
use crate::auth::oidc_provider::{Form, access_token};
use crate::{ApplicationCredential, Scope, SignInError};
use glance_core::transport::Transport;

/// `v3oauth2clientcredential`: an application credential as an OAuth 2.0 client.
#[derive(Debug, Clone)]
pub struct OAuth2ClientCredential {
    /// The URL of Keystone, with or without `/v3`.
    pub auth_url: String,
    /// The endpoint that issues access tokens.
    pub endpoint: String,
    /// The id of the application credential.
    pub client_id: String,
    /// The secret of the application credential.
    pub client_secret: SecretString,
}

#[async_trait]
impl AuthPlugin for OAuth2ClientCredential {
    async fn sign_in(&self, transport: &dyn Transport) -> Result<Grant, SignInError> {
        let credential = Method::ApplicationCredential {
            credential: ApplicationCredential::Id(self.client_id.clone()),
            secret: self.client_secret.clone(),
        };
        let keystone = Keystone {
            auth_url: self.auth_url.clone(),
            methods: vec![credential],
            scope: Scope::Default,
        };
        let mut grant = keystone.sign_in(transport).await?;
        let client = OidcClient::new(&self.client_id, self.client_secret.clone(), &self.endpoint);
        let form = Form::grant("client_credentials");
        let access = access_token(transport, &client, &self.endpoint, form).await?;
        let bearer = SecretString::from(format!("Bearer {}", access.token.expose_secret()));
        let proof = grant.proof.with(header::AUTHORIZATION, bearer)?;
        grant.proof = proof.confined(access.came_over_https);
        // Both tokens must be valid.
        grant.life = Validity::both(grant.life, access.life);
        Ok(grant)
    }
}
