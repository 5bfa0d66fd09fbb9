//! The device authorization grant (RFC 8628): a person consents on another device.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer};
use sha2::{Digest, Sha256};
use tokio::time::{Instant, sleep, sleep_until};
use url::Url;

use super::OidcClient;
use crate::auth::exchange::{parse, unexpected};
use crate::auth::oidc_provider::{
    Access, Form, granted, post, protocol, provider_at, refusal, refused,
};
use crate::{SignInError, SignInErrorKind};
use glance_core::TERMINAL;
use glance_core::transport::Transport;

/// The polling interval if the provider specifies none (RFC 8628, section 3.2).
const INTERVAL: Duration = Duration::from_secs(5);

/// The increase of the interval after `slow_down` (RFC 8628, section 3.5).
const SLOWER: Duration = Duration::from_secs(5);

/// The provider's codes (RFC 8628, section 3.2).
#[derive(Deserialize)]
struct Codes {
    #[serde(deserialize_with = "secret")]
    device_code: SecretString,
    user_code: String,
    verification_uri: String,
    verification_uri_complete: Option<String>,
    expires_in: u64,
    interval: Option<u64>,
}

/// Requests codes from `codes_endpoint`, shows them, and polls `token_endpoint` until a person has
/// used them or they expire.
pub(super) async fn token(
    transport: &dyn Transport,
    client: &OidcClient,
    codes_endpoint: &str,
    token_endpoint: &str,
    code_challenge: bool,
) -> Result<Access, SignInError> {
    let verifier = code_challenge.then(verifier);
    let codes = codes(transport, client, codes_endpoint, verifier.as_ref()).await?;
    let until = Instant::now().checked_add(Duration::from_secs(codes.expires_in));
    let until = until.ok_or_else(|| {
        protocol("the expiry time of the provider's codes is out of range".into())
    })?;
    show(&codes, codes_endpoint)?;
    let mut form = Form::grant("urn:ietf:params:oauth:grant-type:device_code")
        .with("device_code", codes.device_code.expose_secret());
    if let Some(verifier) = &verifier {
        form = form.with("code_verifier", verifier.expose_secret());
    }
    // Some providers require the id even from a client that authenticates.
    if client.secret.is_some() {
        form = form.with("client_id", &client.id);
    }
    let interval = codes.interval.map_or(INTERVAL, Duration::from_secs);
    let polling = poll(transport, client, token_endpoint, form, interval);
    tokio::select! {
        access = polling => access,
        () = sleep_until(until) => {
            Err(refusal("expired_token", client, &provider_at(token_endpoint)))
        }
    }
}

async fn codes(
    transport: &dyn Transport,
    client: &OidcClient,
    endpoint: &str,
    verifier: Option<&SecretString>,
) -> Result<Codes, SignInError> {
    let mut form = Form::new().with("scope", &client.scope);
    if client.secret.is_some() {
        form = form.with("client_id", &client.id);
    }
    if let Some(verifier) = verifier {
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.expose_secret()));
        form = form.with("code_challenge_method", "S256").with("code_challenge", &challenge);
    }
    let server = provider_at(endpoint);
    let answer = post(transport, client, endpoint, form).await?;
    match refused(&answer) {
        Some(code) => Err(refusal(&code, client, &server)),
        None if !answer.status().is_success() => {
            Err(unexpected(&answer, &server, "device_authorization_endpoint"))
        }
        None => parse(&answer)
            .ok_or_else(|| protocol(format!("the response from {server} has no device codes"))),
    }
}

/// Polls until the provider returns a token or a rejection.
async fn poll(
    transport: &dyn Transport,
    client: &OidcClient,
    endpoint: &str,
    form: Form,
    mut interval: Duration,
) -> Result<Access, SignInError> {
    loop {
        sleep(interval).await;
        let asked = Instant::now();
        let answer = match post(transport, client, endpoint, form.clone()).await {
            Ok(answer) => answer,
            // An overloaded provider is polled less often.
            Err(error) if is_passing(&error) => {
                interval *= 2;
                continue;
            }
            Err(error) => return Err(error),
        };
        match refused(&answer).as_deref() {
            Some("authorization_pending") => {}
            Some("slow_down") => interval += SLOWER,
            _ => return granted(&answer, client, endpoint, asked),
        }
    }
}

fn is_passing(error: &SignInError) -> bool {
    matches!(error.kind, SignInErrorKind::Transport(kind) if kind.is_retryable())
}

/// Shows the person where to go. The texts come from the provider and are printed on a terminal, so
/// only a valid address and a plain code are accepted.
fn show(codes: &Codes, endpoint: &str) -> Result<(), SignInError> {
    let address = |text: &str| Url::parse(text).ok().filter(|url| url.scheme().starts_with("http"));
    let is_plain =
        codes.user_code.len() <= 64 && codes.user_code.chars().all(|c| c.is_ascii_graphic());
    let Some(uri) = address(&codes.verification_uri).filter(|_| is_plain) else {
        let server = provider_at(endpoint);
        return Err(protocol(format!(
            "the response from {server} has no printable address and code"
        )));
    };
    let complete = codes.verification_uri_complete.as_deref().and_then(address);
    let page = complete.unwrap_or(uri);
    tracing::warn!(target: TERMINAL, "to sign in, open {page} and enter {}", codes.user_code);
    Ok(())
}

fn secret<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SecretString, D::Error> {
    String::deserialize(deserializer).map(SecretString::from)
}

/// The PKCE code verifier of one sign-in: 43 to 128 characters (RFC 7636, section 4.1).
fn verifier() -> SecretString {
    let random = [uuid::Uuid::new_v4(), uuid::Uuid::new_v4(), uuid::Uuid::new_v4()];
    SecretString::from(URL_SAFE_NO_PAD.encode(random.map(uuid::Uuid::into_bytes).concat()))
}
