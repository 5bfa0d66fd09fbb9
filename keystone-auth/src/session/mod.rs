//! Caches a token and renews it in time.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;
use url::Url;

use super::auth::{AuthHeaders, AuthPlugin, Grant, Renewal, TokenHolder, TokenScope};
use super::catalog::{self, ImageService, catalog_error};
use super::{SignInError, SignInErrorKind};
use crate::plain_http;
use crate::version_discovery;
use glance_core::transport::Transport;

/// How long a rejection is remembered. Callers that wait for the same sign-in get the same error
/// without another request, because Keystone locks accounts after a few rejections.
const REFUSAL_STANDS: Duration = Duration::from_secs(30);

/// How long before its expiry a proof is replaced, if it can be renewed.
const MARGIN: Duration = Duration::from_secs(120);

/// The sign-in to one cloud, shared by all tasks that use the cloud. `Debug` shows no secret.
pub struct Session {
    transport: Arc<dyn Transport>,
    plugin: Arc<dyn AuthPlugin>,
    // Held during sign-in, so that concurrent callers cause a single request.
    state: Mutex<State>,
}

/// The endpoint of an image service.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ImageEndpoint {
    /// The base URL: without a version, with its path prefix, without a trailing slash.
    pub url: String,
    /// The highest minor version of API version 2, if the service reports it.
    pub minor_version: Option<u32>,
}

#[derive(Default)]
struct State {
    grant: Option<Arc<Grant>>,
    refusal: Option<Refusal>,
    /// Until when an old grant is used without another attempt to renew it, after one failed.
    patient_until: Option<Instant>,
}

struct Refusal {
    until: Instant,
    reason: String,
    hint: Option<String>,
    request_id: Option<String>,
}

impl Refusal {
    fn again(&self) -> SignInError {
        let kind = SignInErrorKind::Unauthenticated;
        let error = SignInError::new(kind, &self.reason, self.hint.as_deref());
        SignInError { request_id: self.request_id.clone(), ..error }
    }
}

impl Session {
    /// Creates a session that signs in through `plugin` when a proof is first requested.
    pub fn new(transport: Arc<dyn Transport>, plugin: Arc<dyn AuthPlugin>) -> Self {
        Self { transport, plugin, state: Mutex::default() }
    }

    /// A valid proof.
    pub async fn proof(&self) -> Result<AuthHeaders, SignInError> {
        self.proof_lasting(Some(Duration::ZERO)).await
    }

    /// A proof that remains valid for `needed`, or a nearly new one if none lasts that long. With
    /// `None`, for work of unknown duration, at least half of the proof's life remains.
    pub async fn proof_lasting(
        &self,
        needed: Option<Duration>,
    ) -> Result<AuthHeaders, SignInError> {
        Ok(self.grant(Need::Lasting(needed)).await?.proof.clone())
    }

    /// The remaining time of this session, if its proof expires and cannot be renewed; otherwise,
    /// or if the expiry is unknown, `None`.
    pub async fn time_left(&self) -> Result<Option<Duration>, SignInError> {
        let grant = self.grant(Need::Lasting(Some(Duration::ZERO))).await?;
        let ends = grant.life.filter(|_| grant.renewal == Renewal::Impossible);
        Ok(ends.map(|life| life.end.saturating_duration_since(Instant::now())))
    }

    /// A proof other than `stale`, which was answered with 401. Signs in again, unless another
    /// caller has already done so.
    pub async fn renew(&self, stale: &AuthHeaders) -> Result<AuthHeaders, SignInError> {
        Ok(self.grant(Need::Other(stale)).await?.proof.clone())
    }

    /// The scope of the current token, if there is one and its scope is known.
    pub async fn reach(&self) -> Option<TokenScope> {
        self.state.lock().await.grant.as_ref().and_then(|grant| grant.reach.clone())
    }

    /// The user of the current token, if there is one and its user is known.
    pub async fn holder(&self) -> Option<TokenHolder> {
        self.state.lock().await.grant.as_ref().and_then(|grant| grant.holder.clone())
    }

    /// The endpoint of the wanted image service: from the configuration, from the plugin, or from
    /// the catalog. Asks the service, without a proof, which API versions it supports.
    pub async fn image_endpoint(
        &self,
        wanted: &ImageService,
    ) -> Result<ImageEndpoint, SignInError> {
        let base = match &wanted.endpoint_override {
            Some(said) => base(said, "image_endpoint_override")?,
            None => self.granted_endpoint(wanted).await?,
        };
        if plain_http::is_plain(&base) {
            let grant = self.grant(Need::Lasting(Some(Duration::ZERO))).await?;
            grant.proof.check(&base, SAY_HTTPS)?;
            plain_http::warn(&base, "the token and the data");
        }
        let minor_version = match wanted.endpoint_override.is_some() && wanted.version_is_known {
            true => None,
            false => version_discovery::minor_version(&*self.transport, &base).await?,
        };
        let url = base.as_str().trim_end_matches('/').to_owned();
        Ok(ImageEndpoint { url, minor_version })
    }

    /// The region of the wanted image service, if the configuration or the catalog names one.
    pub async fn image_region(&self, wanted: &ImageService) -> Result<Option<String>, SignInError> {
        if wanted.region.is_some() {
            return Ok(wanted.region.clone());
        }
        let grant = self.grant(Need::Lasting(Some(Duration::ZERO))).await?;
        Ok(catalog::region(&grant.catalog, wanted).map(str::to_owned))
    }

    /// The endpoint according to the sign-in.
    async fn granted_endpoint(&self, wanted: &ImageService) -> Result<Url, SignInError> {
        let grant = self.grant(Need::Lasting(Some(Duration::ZERO))).await?;
        if let Some(fixed) = &grant.endpoint {
            return base(fixed, "endpoint");
        }
        if grant.catalog.is_empty() {
            return Err(catalog_error(
                "the sign-in returned no catalog, so the address of Glance is unknown".into(),
                "sign in to a project, or set image_endpoint_override",
            ));
        }
        catalog::choose(&grant.catalog, wanted)
    }

    /// The transport for this session's requests.
    pub(super) fn transport(&self) -> &dyn Transport {
        &*self.transport
    }

    async fn grant(&self, need: Need<'_>) -> Result<Arc<Grant>, SignInError> {
        let mut kept = self.state.lock().await;
        let now = Instant::now();
        if let Some(grant) = kept.grant.clone() {
            match fitness(&grant, &need, now) {
                Fitness::Good => return Ok(grant),
                Fitness::Old if kept.is_patient(now) => return Ok(grant),
                Fitness::Old => return Ok(self.replace(&mut kept, grant, now).await),
                Fitness::Spent if grant.renewal == Renewal::Impossible => {
                    return Err(not_renewable());
                }
                Fitness::Spent => {}
            }
        }
        if let Some(refusal) = kept.refusal.as_ref().filter(|refusal| now < refusal.until) {
            return Err(refusal.again());
        }
        // A spent grant stays unused even if this sign-in fails or is cancelled.
        *kept = State::default();
        let signed_in = self.plugin.sign_in(&*self.transport).await;
        let grant = signed_in.inspect_err(|error| kept.remember(error))?;
        let same = matches!(need, Need::Other(stale) if grant.proof == *stale);
        let grant = kept.grant.insert(Arc::new(grant)).clone();
        // The proof stays in use: the service may have rejected a single request only.
        if same { Err(not_renewable()) } else { Ok(grant) }
    }

    /// Renews a grant ahead of its expiry. If that fails, the old proof is used until it expires.
    async fn replace(&self, kept: &mut State, grant: Arc<Grant>, now: Instant) -> Arc<Grant> {
        match self.plugin.sign_in(&*self.transport).await {
            Ok(new) => {
                let new = Arc::new(new);
                *kept = State { grant: Some(new.clone()), ..State::default() };
                new
            }
            Err(error) => {
                tracing::warn!(
                    "the tool cannot renew the token, and keeps the present one until it expires: {error}"
                );
                let end = grant.life.map(|life| life.end);
                // Avoid account lockout after a rejection; retry sooner after other errors.
                kept.patient_until = match error.kind {
                    SignInErrorKind::Unauthenticated => end,
                    _ => Some(now + REFUSAL_STANDS),
                };
                grant
            }
        }
    }
}

impl State {
    /// Whether to use an old grant without another attempt to renew it.
    fn is_patient(&self, now: Instant) -> bool {
        self.patient_until.is_some_and(|until| now < until)
    }

    fn remember(&mut self, error: &SignInError) {
        if error.kind == SignInErrorKind::Unauthenticated {
            self.refusal = Some(Refusal {
                until: Instant::now() + REFUSAL_STANDS,
                reason: error.reason.clone(),
                hint: error.hint.clone(),
                request_id: error.request_id.clone(),
            });
        }
    }
}

/// The purpose for which a proof is requested.
enum Need<'a> {
    /// Work of this duration, or of unknown duration.
    Lasting(Option<Duration>),
    /// Replacement of this rejected proof.
    Other(&'a AuthHeaders),
}

/// How well a grant meets a need.
enum Fitness {
    Good,
    /// Valid, but due for renewal.
    Old,
    /// Unusable.
    Spent,
}

/// Compares the lifetime stated by the server with the monotonic clock, never with the wall clock.
fn fitness(grant: &Grant, need: &Need<'_>, now: Instant) -> Fitness {
    let needed = match need {
        Need::Other(stale) if grant.proof == **stale => return Fitness::Spent,
        Need::Other(_) => Some(Duration::ZERO),
        Need::Lasting(needed) => *needed,
    };
    let Some(life) = grant.life else { return Fitness::Good };
    if now >= life.end {
        return Fitness::Spent;
    }
    let (left, whole) = (life.end - now, life.end - life.begin);
    let margin = MARGIN.min(whole / 2);
    // No token outlasts its whole life, so longer work gets a nearly new one.
    let needed = needed.map_or(whole / 2, |needed| (needed + margin).min(whole / 10 * 9));
    match grant.renewal {
        Renewal::Possible if left < needed.max(margin) => Fitness::Old,
        _ => Fitness::Good,
    }
}

fn base(endpoint: &str, setting: &str) -> Result<Url, SignInError> {
    catalog::base(endpoint).ok_or_else(|| {
        catalog_error(
            format!("{setting} is not a URL"),
            "write it as https://HOST[:PORT][/PATH], without user and password",
        )
    })
}

const SAY_HTTPS: &str = "use the https URL of Glance: correct image_endpoint_override (or \
    --source-endpoint-override, --target-endpoint-override) or the catalog";

fn not_renewable() -> SignInError {
    SignInError::new(
        SignInErrorKind::Unauthenticated,
        "the server rejected the token or password, or it expired; no other credentials are \
         configured",
        Some(
            "get a new token, or correct the password; an application credential gets new tokens \
             without a person",
        ),
    )
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("plugin", &self.plugin).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
