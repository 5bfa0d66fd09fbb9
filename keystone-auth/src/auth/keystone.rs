//! Signs in to Keystone with one or more factors.

use async_trait::async_trait;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use super::{AuthPlugin, Grant, Renewal};
use crate::auth::token_api::{Answer, Tokens, domain_json};
use crate::{ApplicationCredential, Scope, SignInError, User};
use glance_core::transport::Transport;

/// `password`, `token`, `v3password`, `v3token`, `v3totp` and `v3applicationcredential`, and
/// combinations of them as `v3multifactor`.
///
/// All factors are sent in one request. If Keystone wants them one after the other, it returns a
/// receipt for those it has accepted, and the others follow together with the receipt.
#[derive(Debug, Clone)]
pub struct Keystone {
    /// The URL of Keystone, with or without `/v3`.
    pub auth_url: String,
    /// The factors; at least one.
    pub methods: Vec<Method>,
    /// The scope to request.
    pub scope: Scope,
}

/// An authentication factor of Keystone.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Method {
    /// A user's password.
    Password {
        /// The user.
        user: User,
        /// The user's password.
        password: SecretString,
    },
    /// A token obtained before.
    Token {
        /// The token.
        token: SecretString,
    },
    /// A one-time passcode of the user's device (RFC 6238). As it is valid only once, a token
    /// obtained with it cannot be renewed.
    Totp {
        /// The user.
        user: User,
        /// The passcode.
        passcode: SecretString,
    },
    /// An application credential, which has its own scope.
    ApplicationCredential {
        /// The credential.
        credential: ApplicationCredential,
        /// Its secret.
        secret: SecretString,
    },
}

#[async_trait]
impl AuthPlugin for Keystone {
    async fn sign_in(&self, transport: &dyn Transport) -> Result<Grant, SignInError> {
        let tokens = Tokens::new(transport, &self.auth_url)?;
        let methods: Vec<&Method> = self.methods.iter().collect();
        let who = self.who();
        let first = tokens.ask(identity(&methods), &self.scope, None, &who).await?;
        let answer = match first {
            Answer::Receipt(receipt) => {
                let given = |method: &&&Method| !receipt.given.iter().any(|g| g == method.name());
                let missing: Vec<&Method> = methods.iter().filter(given).copied().collect();
                match missing.is_empty() {
                    true => Answer::Receipt(receipt),
                    false => {
                        tokens.ask(identity(&missing), &self.scope, Some(&receipt), &who).await?
                    }
                }
            }
            granted @ Answer::Granted { .. } => granted,
        };
        let (grant, _) = answer.last()?;
        Ok(Grant { renewal: self.renewal(), ..grant })
    }
}

impl Keystone {
    /// A passcode is valid once, and tokens obtained with a token expire together with it.
    fn renewal(&self) -> Renewal {
        let once = |method: &Method| matches!(method, Method::Totp { .. } | Method::Token { .. });
        if self.methods.iter().any(once) { Renewal::Impossible } else { Renewal::Possible }
    }

    fn who(&self) -> String {
        let who: Vec<String> = self.methods.iter().map(Method::who).collect();
        match who.first() {
            Some(first) if who.iter().all(|one| one == first) => first.clone(),
            _ => who.join(" with "),
        }
    }
}

impl Method {
    /// The name of the factor in Keystone's API.
    fn name(&self) -> &'static str {
        match self {
            Self::Password { .. } => "password",
            Self::Token { .. } => "token",
            Self::Totp { .. } => "totp",
            Self::ApplicationCredential { .. } => "application_credential",
        }
    }

    fn who(&self) -> String {
        match self {
            Self::Password { user, .. } | Self::Totp { user, .. } => match user {
                User::Id(id) => format!("user `{id}`"),
                User::Name { name, .. } => format!("user `{name}`"),
            },
            Self::Token { .. } => "the token".into(),
            Self::ApplicationCredential { credential, .. } => match credential {
                ApplicationCredential::Id(label)
                | ApplicationCredential::Name { name: label, .. } => {
                    format!("application credential `{label}`")
                }
            },
        }
    }

    fn json(&self) -> Value {
        match self {
            Self::Password { user, password } => {
                json!({"user": with(user_json(user), "password", password)})
            }
            Self::Token { token } => json!({"id": token.expose_secret()}),
            Self::Totp { user, passcode } => {
                json!({"user": with(user_json(user), "passcode", passcode)})
            }
            Self::ApplicationCredential { credential, secret } => {
                let credential = match credential {
                    ApplicationCredential::Id(id) => json!({"id": id}),
                    ApplicationCredential::Name { name, user } => {
                        json!({"name": name, "user": user_json(user)})
                    }
                };
                with(credential, "secret", secret)
            }
        }
    }
}

/// The `identity` part of a request: the names of the factors, and the factors.
fn identity(methods: &[&Method]) -> Value {
    let names: Vec<&str> = methods.iter().map(|method| method.name()).collect();
    let mut identity = json!({"methods": names});
    for method in methods {
        identity[method.name()] = method.json();
    }
    identity
}

fn with(mut object: Value, key: &str, secret: &SecretString) -> Value {
    object[key] = json!(secret.expose_secret());
    object
}

fn user_json(user: &User) -> Value {
    match user {
        User::Id(id) => json!({"id": id}),
        User::Name { name, domain } => json!({"name": name, "domain": domain_json(domain)}),
    }
}
