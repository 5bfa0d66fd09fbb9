//! Signs in to Keystone with a token of an identity provider that Keystone trusts.
//!
//! The token is requested as in OAuth 2.0 (RFC 6749), at endpoints that are configured or found by
//! `OpenID` Connect Discovery 1.0.

use async_trait::async_trait;
use http::{Request, header};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::json;
use url::Url;

use super::{AuthPlugin, Grant, Renewal, device};
use crate::auth::exchange::{exchange, parse, unexpected};
use crate::auth::oidc_provider::{Access, Form, access_token, is_https, protocol, provider_at};
use crate::auth::token_api::Tokens;
use crate::plain_http;
use crate::{Scope, SignInError, SignInErrorKind};
use glance_core::body::Body;
use glance_core::transport::Transport;

/// `v3oidcpassword`, `v3oidcclientcredentials`, `v3oidcaccesstoken` and `v3oidcdeviceauthz`.
#[derive(Debug, Clone)]
pub struct Oidc {
    /// The URL of Keystone, with or without `/v3`.
    pub auth_url: String,
    /// The name of the identity provider in Keystone.
    pub identity_provider: String,
    /// The name of the protocol in Keystone.
    pub protocol: String,
    /// How the provider's token is obtained.
    pub flow: Flow,
    /// The scope of the Keystone token to request.
    pub scope: Scope,
}

/// How the provider's token is obtained.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Flow {
    /// The token was obtained elsewhere.
    AccessToken {
        /// The token.
        token: SecretString,
    },
    /// The token is requested from the provider.
    Client {
        /// The client that requests the token.
        client: OidcClient,
        /// The grant that the client presents.
        grant: OidcGrant,
    },
}

/// A client registered with the provider.
#[derive(Debug, Clone)]
pub struct OidcClient {
    /// The client's id.
    pub id: String,
    /// The client's secret; `None` for a public client.
    pub secret: Option<SecretString>,
    /// The OAuth 2.0 scope to request, such as `openid profile`.
    pub scope: String,
    /// The token endpoint; takes precedence over a discovered one.
    pub token_endpoint: Option<String>,
    /// The URL of the provider's `/.well-known/openid-configuration`.
    pub discovery_endpoint: Option<String>,
    /// Which token of the response Keystone accepts: `access_token` or `id_token`.
    pub token_type: &'static str,
}

/// The grant that a client presents for a token.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum OidcGrant {
    /// A user's password (RFC 6749, section 4.3).
    Password {
        /// The user's name at the provider.
        username: String,
        /// The user's password.
        password: SecretString,
    },
    /// Only the client's own credentials (RFC 6749, section 4.4).
    ClientCredentials,
    /// A person's consent on another device (RFC 8628), required for every sign-in.
    Device {
        /// The device authorization endpoint; takes precedence over a discovered one.
        endpoint: Option<String>,
        /// Whether to bind the code to this sign-in by PKCE (RFC 7636, method S256).
        code_challenge: bool,
    },
}

/// The provider's own metadata.
#[derive(Default, Deserialize)]
pub(super) struct Provider {
    token_endpoint: Option<String>,
    pub(super) device_authorization_endpoint: Option<String>,
    grant_types_supported: Option<Vec<String>>,
}

#[async_trait]
impl AuthPlugin for Oidc {
    async fn sign_in(&self, transport: &dyn Transport) -> Result<Grant, SignInError> {
        let tokens = Tokens::new(transport, &self.auth_url)?;
        let access = match &self.flow {
            Flow::AccessToken { token } => token.clone(),
            Flow::Client { client, grant } => {
                let access = client.token(transport, grant).await?;
                tokens.check(access.came_over_https)?;
                access.token
            }
        };
        let (provider, protocol) = (&self.identity_provider, &self.protocol);
        let (grant, token) = tokens.federated(provider, protocol, &access).await?.last()?;
        let grant = match &self.scope {
            Scope::Default | Scope::Unscoped => grant,
            scope => {
                let token = json!({"id": token.expose_secret()});
                let identity = json!({"methods": ["token"], "token": token});
                let who = format!("the token of identity provider `{provider}`");
                tokens.ask(identity, scope, None, &who).await?.last()?.0
            }
        };
        Ok(Grant { renewal: self.flow.renewal(), ..grant })
    }
}

impl Flow {
    fn renewal(&self) -> Renewal {
        match self {
            Self::Client { grant: OidcGrant::Device { .. }, .. } => Renewal::ByPerson,
            _ => Renewal::Possible,
        }
    }
}

impl OidcClient {
    /// A client with a secret, of a provider whose endpoint is known.
    pub(super) fn new(id: &str, secret: SecretString, token_endpoint: &str) -> Self {
        Self {
            id: id.into(),
            secret: Some(secret),
            scope: String::new(),
            token_endpoint: Some(token_endpoint.into()),
            discovery_endpoint: None,
            token_type: "access_token",
        }
    }

    async fn token(
        &self,
        transport: &dyn Transport,
        grant: &OidcGrant,
    ) -> Result<Access, SignInError> {
        let discovers = match grant {
            OidcGrant::Device { endpoint: None, .. } => true,
            _ => self.token_endpoint.is_none(),
        };
        let provider = match &self.discovery_endpoint {
            Some(url) if discovers => discover(transport, url).await?,
            _ => Provider::default(),
        };
        let name = grant.name();
        if provider.grant_types_supported.as_ref().is_some_and(|all| !all.iter().any(|g| g == name))
        {
            let reason = format!("the identity provider does not offer the grant type {name}");
            let hint =
                "set another auth_type, or ask the provider's operator to allow this grant type";
            return Err(SignInError::new(SignInErrorKind::Protocol, reason, Some(hint)));
        }
        let endpoint = self.endpoint(
            "access_token_endpoint",
            self.token_endpoint.as_ref(),
            provider.token_endpoint.as_ref(),
        )?;
        let form = match grant {
            OidcGrant::Password { username, password } => Form::grant(name)
                .with("username", username)
                .with("password", password.expose_secret())
                .with("scope", &self.scope),
            OidcGrant::ClientCredentials => Form::grant(name).with("scope", &self.scope),
            OidcGrant::Device { endpoint: said, code_challenge } => {
                let found = provider.device_authorization_endpoint.as_ref();
                let codes = self.endpoint("device_authorization_endpoint", said.as_ref(), found)?;
                return device::token(transport, self, &codes, &endpoint, *code_challenge).await;
            }
        };
        access_token(transport, self, &endpoint, form).await
    }

    /// The configured endpoint, or else the discovered one.
    fn endpoint(
        &self,
        setting: &str,
        said: Option<&String>,
        found: Option<&String>,
    ) -> Result<String, SignInError> {
        let fail = |reason: &str| {
            let hint = format!("set {setting} in the cloud's `auth`");
            Err(SignInError::new(SignInErrorKind::Protocol, reason, Some(&hint)))
        };
        if let Some(said) = said {
            return Ok(said.clone());
        }
        let Some(found) = found else {
            return fail(&format!("the identity provider's discovery document has no {setting}"));
        };
        let secure = self.discovery_endpoint.as_deref().is_some_and(is_https);
        let fits = |url: &Url| {
            let public = url.username().is_empty() && url.password().is_none();
            public && (url.scheme() == "https" || (url.scheme() == "http" && !secure))
        };
        match Url::parse(found).ok().filter(fits) {
            Some(url) => Ok(url.into()),
            None => fail(&format!("the {setting} from the identity provider is not an https URL")),
        }
    }
}

impl OidcGrant {
    /// The name of the grant in requests.
    fn name(&self) -> &'static str {
        match self {
            Self::Password { .. } => "password",
            Self::ClientCredentials => "client_credentials",
            Self::Device { .. } => "urn:ietf:params:oauth:grant-type:device_code",
        }
    }
}

async fn discover(transport: &dyn Transport, url: &str) -> Result<Provider, SignInError> {
    let server = provider_at(url);
    if let Ok(url) = Url::parse(url) {
        plain_http::warn(&url, "and change the addresses that receive secrets");
    }
    let request = Request::get(url)
        .header(header::ACCEPT, "application/json")
        .body(Body::empty())
        .map_err(|_| protocol(format!("cannot create a request to {server}")))?;
    let answer = exchange(transport, request, &server).await?;
    if !answer.status().is_success() {
        return Err(unexpected(&answer, &server, "discovery_endpoint"));
    }
    parse(&answer)
        .ok_or_else(|| protocol(format!("the response from {server} is not a discovery document")))
}
