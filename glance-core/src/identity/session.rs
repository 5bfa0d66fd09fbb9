//! Keeps a token, and gets the next one in time.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;
use url::Url;

use super::auth::{AuthPlugin, Grant, Proof};
use super::catalogue::{self, ImageService, catalogue_error};
use super::{SignInError, SignInErrorKind, discovery};
use crate::transport::Transport;

/// How long a refusal stands. Everybody who waits for the same sign-in hears it without asking
/// again: Keystone locks accounts after a few refusals.
const REFUSAL_STANDS: Duration = Duration::from_secs(30);

/// One sign-in to one cloud, shared by all who work there. Its `Debug` shows no secret.
pub struct Session {
    transport: Arc<dyn Transport>,
    plugin: Arc<dyn AuthPlugin>,
    // Held while signing in, so that many waiters make one request.
    state: Mutex<State>,
}

/// Where an image service is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageEndpoint {
    /// Its base URL: without a version, with the prefix of its path, without a slash at the end.
    pub url: String,
    /// The highest minor of version 2 that it speaks, if it says so.
    pub minor_version: Option<u32>,
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
    /// A session that will sign in by `plugin` when a proof is first asked for.
    pub fn new(transport: Arc<dyn Transport>, plugin: Arc<dyn AuthPlugin>) -> Self {
        Self { transport, plugin, state: Mutex::default() }
    }

    /// A proof that is good for a while.
    pub async fn proof(&self) -> Result<Proof, SignInError> {
        Ok(self.grant(None).await?.proof.clone())
    }

    /// Another proof than `stale`, which was answered with 401. Signs in again unless somebody
    /// already did.
    pub async fn renew(&self, stale: &Proof) -> Result<Proof, SignInError> {
        Ok(self.grant(Some(stale)).await?.proof.clone())
    }

    /// Where the image service is that is wanted: by what the configuration says, what the plugin
    /// knows, or the catalogue. The service is asked, without a proof, which versions it speaks.
    pub async fn image_endpoint(
        &self,
        wanted: &ImageService,
    ) -> Result<ImageEndpoint, SignInError> {
        let base = match &wanted.endpoint_override {
            Some(said) => base(said, "image_endpoint_override")?,
            None => self.granted_endpoint(wanted).await?,
        };
        let minor_version = match wanted.endpoint_override.is_some() && wanted.version_is_known {
            true => None,
            false => discovery::minor_version(&*self.transport, &base).await?,
        };
        let url = base.as_str().trim_end_matches('/').to_owned();
        Ok(ImageEndpoint { url, minor_version })
    }

    /// Where the sign-in says that the service is.
    async fn granted_endpoint(&self, wanted: &ImageService) -> Result<Url, SignInError> {
        let grant = self.grant(None).await?;
        if let Some(fixed) = &grant.endpoint {
            return base(fixed, "endpoint");
        }
        if grant.catalogue.is_empty() {
            return Err(catalogue_error(
                "no catalogue came with signing in, so nothing says where Glance is".into(),
                "name a project to sign in to, or say image_endpoint_override",
            ));
        }
        let endpoint = catalogue::choose(&grant.catalogue, wanted)?;
        if grant.secure && endpoint.scheme() != "https" {
            return Err(catalogue_error(
                format!("the catalogue says {endpoint}, where anybody on the way reads the token"),
                "say image_endpoint_override with the https URL of Glance",
            ));
        }
        Ok(endpoint)
    }

    async fn grant(&self, stale: Option<&Proof>) -> Result<Arc<Grant>, SignInError> {
        let mut kept = self.state.lock().await;
        let now = Instant::now();
        let is_stale = |grant: &Grant| stale.is_some_and(|stale| grant.proof == *stale);
        if let Some(grant) = &kept.grant {
            if grant.renew_at.is_none_or(|at| now < at) && !is_stale(grant) {
                return Ok(grant.clone());
            }
        }
        if let Some(refusal) = kept.refusal.as_ref().filter(|refusal| now < refusal.until) {
            let hint = refusal.hint.as_deref();
            return Err(SignInError::new(SignInErrorKind::Unauthenticated, &refusal.reason, hint));
        }
        // What was stale stays out of use even when this fails or is dropped half-way.
        *kept = State::default();
        match self.plugin.sign_in(&*self.transport).await {
            Ok(grant) => {
                let same = is_stale(&grant);
                let grant = kept.grant.insert(Arc::new(grant)).clone();
                // It stays in use: what refused it may be a single request.
                if same { Err(not_renewable()) } else { Ok(grant) }
            }
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

fn base(endpoint: &str, setting: &str) -> Result<Url, SignInError> {
    catalogue::base(endpoint).ok_or_else(|| {
        catalogue_error(
            format!("{setting} is no URL"),
            "write it as https://HOST[:PORT][/PATH], without user and password",
        )
    })
}

fn not_renewable() -> SignInError {
    SignInError::new(
        SignInErrorKind::Unauthenticated,
        "the token or the password was refused, and there is no other to offer",
        Some("get a new one, or name a cloud of clouds.yaml to sign in to"),
    )
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("plugin", &self.plugin).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
