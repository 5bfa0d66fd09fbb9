//! An identity provider that checks each request against RFC 6749 (OAuth 2.0), RFC 7636 (PKCE)
//! and RFC 8628 (devices), and the Keystone that trusts it.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::Method as Verb;
use sha2::{Digest, Sha256};
use tokio::time::Instant;
use url::form_urlencoded;

use super::*;

const ID: &str = "cl:ient";
const SECRET: &str = "s e&c=r:\u{e4}%t";

type Fields = BTreeMap<String, String>;

/// The state of the provider while a device waits.
#[derive(Default)]
struct Waiting {
    /// The errors to return, in this order.
    errors: Vec<&'static str>,
    asked: Vec<Instant>,
    challenge: Option<String>,
}

fn provider(errors: &[&'static str]) -> Arc<Double> {
    let errors = errors.to_vec();
    let waiting = Mutex::new(Waiting { errors, ..Waiting::default() });
    Double::new(move |request| {
        let address = request.uri().to_string();
        match address.as_str() {
            "https://idp/.well-known/openid-configuration" => reply(200, &discovery()),
            "https://idp/device" => codes(request, &mut waiting.lock().unwrap()),
            "https://idp/token?tenant=1" => grants(request, &mut waiting.lock().unwrap()),
            FEDERATED => federated(request),
            "https://ks/v3/auth/tokens" => token("scoped"),
            other => panic!("there is no server at {other}"),
        }
    })
}

const FEDERATED: &str =
    "https://ks/v3/OS-FEDERATION/identity_providers/my%20idp/protocols/openid/auth";

fn discovery() -> Value {
    json!({
        "issuer": "https://idp",
        "token_endpoint": "https://idp/token?tenant=1",
        "device_authorization_endpoint": "https://idp/device",
        "grant_types_supported": ["password", "client_credentials", DEVICE_GRANT],
    })
}

const DEVICE_GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";

/// The fields of a request to the token or the device endpoint; RFC 6749, sections 2.3.1 and 3.2.
fn fields(request: &Request<Bytes>) -> Fields {
    assert_eq!(request.method(), Verb::POST, "section 3.2: the client MUST use POST");
    assert_eq!(request.headers()["content-type"], "application/x-www-form-urlencoded");
    let mut fields = Fields::new();
    for (name, value) in form_urlencoded::parse(request.body()) {
        let twice = fields.insert(name.to_string(), value.to_string());
        assert!(twice.is_none(), "section 3.2: {name} MUST NOT be included more than once");
    }
    assert!(!fields.contains_key("client_secret"), "one way of authentication is enough");
    match request.headers().get("authorization") {
        Some(value) => {
            assert!(value.is_sensitive());
            let encoded = value.to_str().unwrap().strip_prefix("Basic ").unwrap();
            let pair = String::from_utf8(STANDARD.decode(encoded).unwrap()).unwrap();
            let (id, secret) = pair.split_once(':').unwrap();
            // Section 2.3.1: both are form-encoded before they are joined.
            let decode = |text: &str| {
                let whole = format!("x={text}");
                let mut pairs = form_urlencoded::parse(whole.as_bytes()).into_owned();
                pairs.next().unwrap().1
            };
            assert_eq!((decode(id), decode(secret)), (ID.to_owned(), SECRET.to_owned()));
        }
        None => assert_eq!(fields["client_id"], ID, "section 3.2.1: a public client names itself"),
    }
    fields
}

/// RFC 8628, sections 3.1 and 3.2.
fn codes(request: &Request<Bytes>, waiting: &mut Waiting) -> Response<Body> {
    let fields = fields(request);
    assert_eq!(fields["scope"], "openid profile");
    assert!(!fields.contains_key("grant_type"));
    waiting.challenge = fields.get("code_challenge").cloned();
    let method = waiting.challenge.as_ref().map(|_| "S256");
    assert_eq!(fields.get("code_challenge_method").map(String::as_str), method);
    waiting.asked.push(Instant::now());
    let codes = json!({"device_code": "a device", "user_code": "WDJB-MJHT", "expires_in": 60,
        "verification_uri": "https://idp/activate", "interval": 7});
    reply(200, &codes)
}

/// RFC 6749, sections 4.3.2 and 4.4.2; RFC 8628, section 3.4.
fn grants(request: &Request<Bytes>, waiting: &mut Waiting) -> Response<Body> {
    let fields = fields(request);
    match fields["grant_type"].as_str() {
        "password" => {
            assert_eq!(fields["username"], "bob");
            assert_eq!(fields["password"], "p&q=\u{e4} +");
            assert_eq!(fields["scope"], "openid profile");
        }
        "client_credentials" => {
            let known = request.headers().contains_key("authorization");
            assert!(known, "section 4.4: only confidential clients");
        }
        DEVICE_GRANT => {
            assert_eq!(fields["device_code"], "a device");
            let verifier = fields.get("code_verifier");
            let challenge = verifier.map(|text| {
                assert!((43..=128).contains(&text.len()), "RFC 7636, section 4.1");
                URL_SAFE_NO_PAD.encode(Sha256::digest(text))
            });
            assert_eq!(challenge, waiting.challenge);
            waiting.asked.push(Instant::now());
        }
        other => panic!("no such grant: {other}"),
    }
    if !waiting.errors.is_empty() {
        let error = waiting.errors.remove(0);
        let description = format!("what was sent: {fields:?}");
        return reply(400, &json!({"error": error, "error_description": description}));
    }
    if let [.., before, last] = waiting.asked[..] {
        assert!(last - before >= Duration::from_secs(7), "section 3.5: not sooner than said");
    }
    reply(200, &json!({"access_token": "access", "id_token": "identity", "token_type": "bearer"}))
}

fn federated(request: &Request<Bytes>) -> Response<Body> {
    assert_eq!(request.method(), Verb::POST);
    assert!(request.headers()["authorization"].is_sensitive());
    match request.headers()["authorization"].to_str().unwrap() {
        "Bearer access" | "Bearer identity" | "Bearer given" => token("unscoped"),
        other => panic!("{other}"),
    }
}

fn client() -> OidcClient {
    OidcClient {
        id: ID.into(),
        secret: Some(SECRET.into()),
        scope: "openid profile".into(),
        token_endpoint: None,
        discovery_endpoint: Some("https://idp/.well-known/openid-configuration".into()),
        token_type: "access_token",
    }
}

fn plugin(client: OidcClient, grant: OidcGrant) -> Oidc {
    Oidc {
        auth_url: "https://ks/v3".into(),
        identity_provider: "my idp".into(),
        protocol: "openid".into(),
        flow: Flow::Client { client, grant },
        scope: Scope::Default,
    }
}

fn by_password() -> OidcGrant {
    OidcGrant::Password { username: "bob".into(), password: "p&q=\u{e4} +".into() }
}

const DEVICE: OidcGrant = OidcGrant::Device { endpoint: None, code_challenge: false };

#[tokio::test(start_paused = true)]
async fn every_grant_is_asked_for_as_the_standards_say() {
    let bound = OidcGrant::Device { endpoint: None, code_challenge: true };
    for grant in [by_password(), OidcGrant::ClientCredentials, DEVICE, bound] {
        for secret in [client().secret, None] {
            if secret.is_none() && matches!(grant, OidcGrant::ClientCredentials) {
                continue;
            }
            let double = provider(&[]);
            let plugin = plugin(OidcClient { secret, ..client() }, grant.clone());
            let granted = plugin.sign_in(&*double).await.unwrap();
            assert_eq!(proof(&granted), [("x-auth-token".into(), "unscoped".into())]);
            assert_eq!(double.asked().last().unwrap(), FEDERATED);
        }
    }
}

#[tokio::test]
async fn a_scope_is_asked_for_afterwards() {
    let double = provider(&[]);
    let mut plugin = plugin(client(), by_password());
    plugin.scope = Scope::System;
    let granted = plugin.sign_in(&*double).await.unwrap();
    assert_eq!(proof(&granted), [("x-auth-token".into(), "scoped".into())]);
    let sent: Value = serde_json::from_slice(double.sent(3).body()).unwrap();
    assert_eq!(sent["auth"]["identity"]["token"]["id"], "unscoped");
    assert_eq!(sent["auth"]["scope"]["system"]["all"], true);
}

#[tokio::test]
async fn a_given_token_goes_to_keystone_alone() {
    let double = provider(&[]);
    let mut plugin = plugin(client(), by_password());
    plugin.flow = Flow::AccessToken { token: "given".into() };
    plugin.sign_in(&*double).await.unwrap();
    assert_eq!(double.asked(), [FEDERATED]);
    assert!(!format!("{plugin:?}").contains("given\""));
}

#[tokio::test(start_paused = true)]
async fn a_device_waits_as_long_as_it_is_told() {
    let double = provider(&["authorization_pending", "slow_down", "authorization_pending"]);
    let begin = Instant::now();
    let granted = plugin(client(), DEVICE).sign_in(&*double).await.unwrap();
    assert_eq!(granted.renewal, Renewal::ByPerson);
    // 7 s and 7 s; then RFC 8628, section 3.5: 5 s more each time.
    assert_eq!(begin.elapsed().as_secs(), 7 + 7 + 12 + 12);
}

#[tokio::test(start_paused = true)]
async fn a_device_stops_waiting() {
    for (errors, reason, hint) in [
        (vec!["access_denied"], "access_denied", "approve the sign-in"),
        (vec!["expired_token"], "expired_token", "before the code expires"),
        (vec!["authorization_pending"; 99], "expired_token", "before the code expires"),
    ] {
        let begin = Instant::now();
        let error = plugin(client(), DEVICE).sign_in(&*provider(&errors)).await.unwrap_err();
        assert_eq!(error.kind, SignInErrorKind::Unauthenticated);
        assert!(error.reason.contains(reason), "{error}");
        assert!(error.hint.unwrap().contains(hint));
        assert!(begin.elapsed() <= Duration::from_secs(60));
    }
}

#[tokio::test]
async fn refusals_have_their_reasons_and_no_secrets() {
    for (code, kind) in [
        ("invalid_client", SignInErrorKind::Unauthenticated),
        ("invalid_grant", SignInErrorKind::Unauthenticated),
        ("invalid_scope", SignInErrorKind::Protocol),
        ("Nonsense \u{1b}[2J", SignInErrorKind::Protocol),
    ] {
        let error = plugin(client(), by_password()).sign_in(&*provider(&[code])).await.unwrap_err();
        assert_eq!(error.kind, kind);
        assert!(error.reason.contains("the identity provider at https://idp/token"), "{error}");
        let said = format!("{error} {error:?}");
        for secret in [SECRET, "p&q", "tenant", "\u{1b}"] {
            assert!(!said.contains(secret), "{said}");
        }
    }
}

#[tokio::test]
async fn a_hostile_provider_is_not_believed() {
    let find = |endpoints: Value| Double::new(move |_| reply(200, &endpoints));
    for endpoint in ["http://idp/token", "https://u:p@idp/token", "file:///etc/passwd", "token"] {
        let double = find(json!({"token_endpoint": endpoint}));
        let error = plugin(client(), by_password()).sign_in(&*double).await.unwrap_err();
        assert!(error.reason.contains("not an https URL"), "{error}");
        assert_eq!(double.asked().len(), 1);
    }
    let double = find(json!({"token_endpoint": "https://idp/t", "grant_types_supported": ["x"]}));
    let error = plugin(client(), by_password()).sign_in(&*double).await.unwrap_err();
    assert!(error.reason.contains("does not offer the grant type password"), "{error}");
    for (status, body) in [(302, "x"), (200, "<html>"), (500, "<html>")] {
        let double = Double::new(move |_| {
            let body = Body::from(Bytes::from_static(body.as_bytes()));
            Response::builder()
                .status(status)
                .header("location", "https://evil/")
                .body(body)
                .unwrap()
        });
        let error = plugin(client(), by_password()).sign_in(&*double).await.unwrap_err();
        assert_eq!(error.kind, SignInErrorKind::Protocol);
        assert!(error.reason.contains("https://idp/.well-known/"), "{error}");
        assert_eq!(double.asked().len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_device_shows_only_what_can_be_shown() {
    for (uri, code) in [("javascript:x", "AB"), ("https://idp/a", "A\u{1b}[2J")] {
        let double = Double::new(move |request| match request.uri().path() {
            "/device" => reply(
                200,
                &json!({"device_code": "a device", "user_code": code,
                "verification_uri": uri, "expires_in": 60}),
            ),
            _ => reply(200, &discovery()),
        });
        let error = plugin(client(), DEVICE).sign_in(&*double).await.unwrap_err();
        assert!(error.reason.contains("no printable address and code"), "{error}");
    }
}

#[tokio::test]
async fn oauth2_at_keystone_proves_itself_twice() {
    let double = Double::new(|request| {
        if request.uri().path() == "/v3/auth/tokens" {
            return token("keystone");
        }
        let grant = ("grant_type".to_owned(), "client_credentials".to_owned());
        assert_eq!(fields(request), Fields::from([grant]));
        let life = json!({"access_token": "bearer", "token_type": "Bearer", "expires_in": 100});
        reply(200, &life)
    });
    let plugin = OAuth2ClientCredential {
        auth_url: "https://ks".into(),
        endpoint: "https://ks/v3/OS-OAUTH2/token".into(),
        client_id: ID.into(),
        client_secret: SECRET.into(),
    };
    let granted = plugin.sign_in(&*double).await.unwrap();
    let expected = [("x-auth-token", "keystone"), ("authorization", "Bearer bearer")];
    assert_eq!(proof(&granted), expected.map(|(name, value)| (name.into(), value.into())));
    let life = granted.life.unwrap();
    assert_eq!(life.end - life.begin, Duration::from_secs(100));
    assert!(!format!("{plugin:?} {granted:?}").contains("bearer"));
}

#[tokio::test]
async fn http_basic_is_as_rfc_7617_says() {
    let plugin = HttpBasic {
        username: "Aladdin".into(),
        password: "open sesame".into(),
        endpoint: Some("https://g".into()),
    };
    let granted =
        plugin.sign_in(&*Double::new(|_| panic!("no request is expected"))).await.unwrap();
    let basic = ("authorization".to_owned(), "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==".to_owned());
    assert_eq!(proof(&granted), [basic]);
    assert_eq!(granted.endpoint.as_deref(), Some("https://g"));
    assert!(!format!("{plugin:?} {granted:?}").contains("sesame"));
}
