//! Keeps a token, and gets the next one in time.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;
use url::Url;

use super::auth::{AuthPlugin, Grant, Proof, Reach, Renewal};
use super::catalogue::{self, ImageService, catalogue_error};
use super::{SignInError, SignInErrorKind};
use crate::version_discovery;
use glance_core::plain_http;
use glance_core::transport::Transport;

/// How long a refusal stands. Everybody who waits for the same sign-in hears it without asking
/// again: Keystone locks accounts after a few refusals.
const REFUSAL_STANDS: Duration = Duration::from_secs(30);

/// How long before its expiry a proof is no longer used, if another can be had.
const MARGIN: Duration = Duration::from_secs(120);

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
    /// Until when an old grant is used without trying to renew it: that failed.
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
    /// A session that will sign in by `plugin` when a proof is first asked for.
    pub fn new(transport: Arc<dyn Transport>, plugin: Arc<dyn AuthPlugin>) -> Self {
        Self { transport, plugin, state: Mutex::default() }
    }

    /// A proof that is good for a while.
    pub async fn proof(&self) -> Result<Proof, SignInError> {
        self.proof_lasting(Some(Duration::ZERO)).await
    }

    /// A proof that is good for as long as `needed`, or one that is almost new when none lasts so
    /// long. Where nobody knows what is needed, it has at least half of its life before it.
    pub async fn proof_lasting(&self, needed: Option<Duration>) -> Result<Proof, SignInError> {
        Ok(self.grant(Need::Lasting(needed)).await?.proof.clone())
    }

    /// How long this session can go on, where that is limited: it has a proof that ends and can't
    /// be renewed. `None` when it can go on, or when nobody knows how long.
    pub async fn time_left(&self) -> Result<Option<Duration>, SignInError> {
        let grant = self.grant(Need::Lasting(Some(Duration::ZERO))).await?;
        let ends = grant.life.filter(|_| grant.renewal == Renewal::Impossible);
        Ok(ends.map(|life| life.end.saturating_duration_since(Instant::now())))
    }

    /// Another proof than `stale`, which was answered with 401. Signs in again unless somebody
    /// already did.
    pub async fn renew(&self, stale: &Proof) -> Result<Proof, SignInError> {
        Ok(self.grant(Need::Other(stale)).await?.proof.clone())
    }

    /// What the proof in use is good for, if there is one and it says so.
    pub async fn reach(&self) -> Option<Reach> {
        self.state.lock().await.grant.as_ref().and_then(|grant| grant.reach.clone())
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

    /// The region of the image service that is wanted, where the configuration or the catalogue says
    /// it.
    pub async fn image_region(&self, wanted: &ImageService) -> Result<Option<String>, SignInError> {
        if wanted.region.is_some() {
            return Ok(wanted.region.clone());
        }
        let grant = self.grant(Need::Lasting(Some(Duration::ZERO))).await?;
        Ok(catalogue::region(&grant.catalogue, wanted).map(str::to_owned))
    }

    /// Where the sign-in says that the service is.
    async fn granted_endpoint(&self, wanted: &ImageService) -> Result<Url, SignInError> {
        let grant = self.grant(Need::Lasting(Some(Duration::ZERO))).await?;
        if let Some(fixed) = &grant.endpoint {
            return base(fixed, "endpoint");
        }
        if grant.catalogue.is_empty() {
            return Err(catalogue_error(
                "no catalogue came with signing in, so nothing says where Glance is".into(),
                "name a project to sign in to, or say image_endpoint_override",
            ));
        }
        catalogue::choose(&grant.catalogue, wanted)
    }

    /// What carries its requests.
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
        // What is spent stays out of use even when this fails or is dropped half-way.
        *kept = State::default();
        let signed_in = self.plugin.sign_in(&*self.transport).await;
        let grant = signed_in.inspect_err(|error| kept.remember(error))?;
        let same = matches!(need, Need::Other(stale) if grant.proof == *stale);
        let grant = kept.grant.insert(Arc::new(grant)).clone();
        // It stays in use: what refused it may be a single request.
        if same { Err(not_renewable()) } else { Ok(grant) }
    }

    /// Signs in before there is need to. When that fails, the proof is used to its end.
    async fn replace(&self, kept: &mut State, grant: Arc<Grant>, now: Instant) -> Arc<Grant> {
        match self.plugin.sign_in(&*self.transport).await {
            Ok(new) => {
                let new = Arc::new(new);
                *kept = State { grant: Some(new.clone()), ..State::default() };
                new
            }
            Err(error) => {
                tracing::warn!("the token is used to its end: it can't be renewed yet: {error}");
                let end = grant.life.map(|life| life.end);
                // Keystone locks accounts; a server that is out of order comes back.
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
    /// Whether an old grant is to be used without trying to renew it.
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

/// What a proof is needed for.
enum Need<'a> {
    /// Something that takes so long, or, without a length, nobody knows how long.
    Lasting(Option<Duration>),
    /// To replace this one, which was refused.
    Other(&'a Proof),
}

/// What a grant is to a need.
enum Fitness {
    Good,
    /// It is good still, but a new one would be better.
    Old,
    /// It is of no use.
    Spent,
}

/// Judges by the monotonic clock and the life that the server told, never by the wall clock.
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
    // No token lasts longer than a whole life, so what takes longer gets one that is almost new.
    let needed = needed.map_or(whole / 2, |needed| (needed + margin).min(whole / 10 * 9));
    match grant.renewal {
        Renewal::Possible if left < needed.max(margin) => Fitness::Old,
        _ => Fitness::Good,
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

const SAY_HTTPS: &str = "give the https URL of Glance: correct image_endpoint_override (or \
    --source-endpoint-override, --target-endpoint-override) or the catalogue";

fn not_renewable() -> SignInError {
    SignInError::new(
        SignInErrorKind::Unauthenticated,
        "the token or the password was refused or has expired, and there is no other to offer",
        Some("get a new one, or an application credential, which can get new tokens by itself"),
    )
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("plugin", &self.plugin).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
