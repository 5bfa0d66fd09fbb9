//! Keeps a token, and gets the next one in time.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::keystone::{Ask, Grant};
use super::{Auth, SignInError, SignInErrorKind, catalogue};
use crate::transport::Transport;

/// How long a refusal stands. Everybody who waits for the same sign-in hears it without asking
/// again: Keystone locks accounts after a few refusals.
const REFUSAL_STANDS: Duration = Duration::from_secs(30);

/// One sign-in to one cloud, shared by all who work there. Its `Debug` shows no secret.
pub struct Session {
    transport: Arc<dyn Transport>,
    auth: Auth,
    // Held while signing in, so that many waiters make one request.
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    grant: Option<Arc<Grant>>,
    refusal: Option<Refusal>,
}

struct Refusal {
    until: Instant,
    reason: String,
    hint: Option<String>,
}

impl Session {
    /// A session that will sign in by `auth` when a token is first asked for.
    pub fn new(transport: Arc<dyn Transport>, auth: Auth) -> Self {
        Self { transport, auth, state: Mutex::default() }
    }

    /// A token that is good for a while; `None` where none is needed.
    pub async fn token(&self) -> Result<Option<SecretString>, SignInError> {
        self.usable(None).await
    }

    /// Another token than `stale`, which was answered with 401. Signs in again unless somebody
    /// already did.
    pub async fn renew(&self, stale: &SecretString) -> Result<Option<SecretString>, SignInError> {
        if let Auth::Token { .. } = self.auth {
            return Err(SignInError::new(
                SignInErrorKind::Unauthenticated,
                "the token was refused, and a fixed token can't be renewed",
                Some("get a new token, or name a cloud of clouds.yaml to sign in to"),
            ));
        }
        self.usable(Some(stale)).await
    }

    /// The base URL of Glance, by the catalogue: without a version, with the prefix of its path.
    pub async fn image_endpoint(
        &self,
        region: Option<&str>,
        interface: &str,
    ) -> Result<String, SignInError> {
        let grant = self.grant(None).await?;
        let endpoint = catalogue::image_endpoint(&grant.catalogue, region, interface)?;
        if grant.secure && !endpoint.starts_with("https:") {
            return Err(SignInError::new(
                SignInErrorKind::Catalogue,
                "the catalogue's image endpoint is http, where anybody on the way reads the token",
                Some("say image_endpoint_override with the https URL of Glance"),
            ));
        }
        Ok(endpoint)
    }

    async fn usable(
        &self,
        stale: Option<&SecretString>,
    ) -> Result<Option<SecretString>, SignInError> {
        match &self.auth {
            Auth::None => Ok(None),
            Auth::Token { token } => Ok(Some(token.clone())),
            _ => Ok(Some(self.grant(stale).await?.token.clone())),
        }
    }

    fn ask(&self) -> Option<Ask> {
        match &self.auth {
            Auth::None | Auth::Token { .. } => None,
            Auth::Password { auth_url, user, password, scope } => {
                Some(Ask::password(auth_url, user, password, scope))
            }
            Auth::ApplicationCredential { auth_url, credential, secret } => {
                Some(Ask::application_credential(auth_url, credential, secret))
            }
        }
    }

    async fn grant(&self, stale: Option<&SecretString>) -> Result<Arc<Grant>, SignInError> {
        let mut kept = self.state.lock().await;
        let now = Instant::now();
        if let Some(grant) = &kept.grant {
            if grant.renew_at.is_none_or(|at| now < at) && !is(&grant.token, stale) {
                return Ok(grant.clone());
            }
        }
        if let Some(refusal) = kept.refusal.as_ref().filter(|refusal| now < refusal.until) {
            let hint = refusal.hint.as_deref();
            return Err(SignInError::new(SignInErrorKind::Unauthenticated, &refusal.reason, hint));
        }
        // Made only now, so that the secret is copied only for a request.
        let Some(ask) = self.ask() else {
            return Err(SignInError::new(
                SignInErrorKind::Catalogue,
                "there is no catalogue without signing in at Keystone",
                Some("say where Glance is: by its URL, or by image_endpoint_override"),
            ));
        };
        // What was stale stays out of use even when this fails or is dropped half-way.
        *kept = State::default();
        match ask.send(&*self.transport).await {
            Ok(grant) => Ok(kept.grant.insert(Arc::new(grant)).clone()),
            Err(error) => {
                if error.kind == SignInErrorKind::Unauthenticated {
                    kept.refusal = Some(Refusal {
                        until: Instant::now() + REFUSAL_STANDS,
                        reason: error.reason.clone(),
                        hint: error.hint.clone(),
                    });
                }
                Err(error)
            }
        }
    }
}

fn is(token: &SecretString, stale: Option<&SecretString>) -> bool {
    stale.is_some_and(|stale| stale.expose_secret() == token.expose_secret())
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("auth", &self.auth).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
