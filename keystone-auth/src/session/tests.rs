use std::sync::Mutex as StdMutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response};

use super::*;
use crate::auth::{FixedToken, Keystone as ByKeystone, Method, NoAuth, Validity};
use crate::{Domain, Scope, User};
use glance_core::body::Body;
use glance_core::transport::{TransportError, TransportErrorKind};

/// A Keystone that counts the tokens it issues.
#[derive(Debug, Default)]
struct Keystone {
    asked: AtomicUsize,
    // 0 means no response at all.
    status: AtomicUsize,
    location: &'static str,
    last: StdMutex<String>,
}

impl Keystone {
    fn new(status: usize) -> Arc<Self> {
        Arc::new(Self { status: status.into(), ..Self::default() })
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl Transport for Keystone {
    async fn send(&self, request: Request<Body>) -> Result<Response<Body>, TransportError> {
        if request.uri() == "https://g/i/" {
            assert!(request.headers().get("x-auth-token").is_none());
            let versions = r#"{"versions": [{"id": "v2.9", "links": []}, {"id": "v2.17"}]}"#;
            let body = Body::from(Bytes::from(versions));
            return Ok(Response::builder().status(300).body(body).unwrap());
        }
        let number = self.asked.fetch_add(1, Ordering::SeqCst) + 1;
        assert_eq!(request.uri(), "https://ks/v3/auth/tokens");
        let sent = request.into_body().collect(9999).await.unwrap();
        *self.last.lock().unwrap() = String::from_utf8(sent.to_vec()).unwrap();
        tokio::time::sleep(Duration::from_millis(10)).await;
        let status = self.status.load(Ordering::SeqCst);
        if status == 0 {
            let kind = TransportErrorKind::Connect;
            return Err(TransportError::new(kind, "https://ks", "refused").hint("look"));
        }
        let body = r#"{"token": {"issued_at": "2020-01-01T00:00:00.000000Z",
            "expires_at": "2020-01-01T01:00:00.000000Z", "catalog": [{"type": "image",
            "endpoints": [{"interface": "public", "region_id": "R", "url": "https://g/i/v2/"},
            {"interface": "internal", "region_id": "R", "url": "http://g/i/v2/"}]}]}}"#;
        Ok(Response::builder()
            .status(u16::try_from(status).unwrap())
            .header("Location", self.location)
            .header("X-Subject-Token", format!("token-{number}"))
            .header("X-OpenStack-Request-ID", format!("req-{number}"))
            .body(Body::from(Bytes::from(body)))
            .unwrap())
    }
}

fn password() -> Arc<dyn AuthPlugin> {
    let domain = Domain::Name("D".into());
    let user = User::Name { name: "bob".into(), domain: domain.clone() };
    Arc::new(ByKeystone {
        auth_url: "https://ks".into(),
        methods: vec![Method::Password { user, password: "hush".into() }],
        scope: Scope::ProjectName { name: "p".into(), domain },
    })
}

fn shown(proof: &AuthHeaders) -> String {
    let url = Url::parse("https://g").unwrap();
    proof.headers(&url).unwrap().map(|(_, value)| value.to_str().unwrap().to_owned()).collect()
}

async fn token(session: &Session) -> String {
    shown(&session.proof().await.unwrap())
}

fn wanted(interface: &str) -> ImageService {
    let interfaces = vec![interface.to_owned()];
    ImageService { region: Some("R".into()), interfaces, ..ImageService::default() }
}

#[tokio::test(start_paused = true)]
async fn many_waiters_sign_in_once() {
    let keystone = Keystone::new(201);
    let session = Session::new(keystone.clone(), password());
    let waiters = (0..20).map(|_| token(&session));
    for token in futures_util::future::join_all(waiters).await {
        assert_eq!(token, "token-1");
    }
    let endpoint = session.image_endpoint(&wanted("public")).await.unwrap();
    assert_eq!((endpoint.url.as_str(), endpoint.minor_version), ("https://g/i", Some(17)));
    let error = session.image_endpoint(&wanted("internal")).await.unwrap_err();
    assert_eq!(error.kind, SignInErrorKind::PlainHttp);
    assert_eq!(keystone.asked(), 1);
    let sent: serde_json::Value = serde_json::from_str(&keystone.last.lock().unwrap()).unwrap();
    assert_eq!(sent["auth"]["identity"]["password"]["user"]["domain"]["name"], "D");
    assert_eq!(sent["auth"]["scope"]["project"]["name"], "p");
}

#[tokio::test(start_paused = true)]
async fn a_token_is_renewed_before_it_expires() {
    let session = Session::new(Keystone::new(201), password());
    assert_eq!(token(&session).await, "token-1");
    tokio::time::advance(Duration::from_secs(3600 - 125)).await;
    assert_eq!(token(&session).await, "token-1");
    tokio::time::advance(Duration::from_secs(6)).await;
    assert_eq!(token(&session).await, "token-2");
}

#[tokio::test(start_paused = true)]
async fn what_could_outlive_a_token_gets_another() {
    let session = Session::new(Keystone::new(201), password());
    let lasting = async |minutes: Option<u64>| {
        let needed = minutes.map(|minutes| Duration::from_secs(60 * minutes));
        shown(&session.proof_lasting(needed).await.unwrap())
    };
    assert_eq!(lasting(Some(30)).await, "token-1");
    tokio::time::advance(Duration::from_secs(60 * 20)).await;
    assert_eq!(lasting(Some(30)).await, "token-1");
    assert_eq!(lasting(None).await, "token-1");
    assert_eq!(lasting(Some(40)).await, "token-2");
    // Longer than any token lives, so a nearly new token must do.
    assert_eq!(lasting(Some(600)).await, "token-2");
    tokio::time::advance(Duration::from_secs(60 * 5)).await;
    assert_eq!(lasting(Some(600)).await, "token-2");
    tokio::time::advance(Duration::from_secs(60 * 2)).await;
    assert_eq!(lasting(Some(600)).await, "token-3");
    tokio::time::advance(Duration::from_secs(60 * 31)).await;
    assert_eq!(lasting(Some(0)).await, "token-3");
    assert_eq!(lasting(None).await, "token-4");
    assert_eq!(session.time_left().await.unwrap(), None);
}

#[tokio::test(start_paused = true)]
async fn a_token_is_used_to_its_end_when_keystone_gives_no_other() {
    let keystone = Keystone::new(201);
    let session = Session::new(keystone.clone(), password());
    assert_eq!(token(&session).await, "token-1");
    tokio::time::advance(Duration::from_secs(3600 - 100)).await;
    for (status, asked) in [(503, 2), (503, 2)] {
        keystone.status.store(status, Ordering::SeqCst);
        assert_eq!(token(&session).await, "token-1");
        assert_eq!(keystone.asked(), asked);
    }
    tokio::time::advance(REFUSAL_STANDS).await;
    keystone.status.store(401, Ordering::SeqCst);
    for _ in 0..3 {
        assert_eq!(token(&session).await, "token-1");
        assert_eq!(keystone.asked(), 3);
        tokio::time::advance(Duration::from_secs(20)).await;
    }
    tokio::time::advance(Duration::from_secs(30)).await;
    let error = session.proof().await.unwrap_err();
    assert!(error.reason.contains("rejected the credentials"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_passcode_or_a_token_is_not_offered_twice() {
    for method in [
        Method::Token { token: "hush".into() },
        Method::Totp { user: User::Id("u".into()), passcode: "hush".into() },
    ] {
        let keystone = Keystone::new(201);
        let by = ByKeystone {
            auth_url: "https://ks".into(),
            methods: vec![method],
            scope: Scope::Default,
        };
        let session = Session::new(keystone.clone(), Arc::new(by));
        let stale = session.proof().await.unwrap();
        tokio::time::advance(Duration::from_secs(3500)).await;
        assert_eq!(token(&session).await, "token-1");
        let left = session.time_left().await.unwrap().unwrap().as_secs();
        assert!((99..=100).contains(&left), "{left}");
        assert!(session.renew(&stale).await.is_err());
        tokio::time::advance(Duration::from_secs(100)).await;
        let error = session.proof().await.unwrap_err();
        assert!(error.hint.unwrap().contains("application credential"));
        assert_eq!(keystone.asked(), 1);
    }
}

/// A sign-in that requires a person.
#[derive(Debug, Default)]
struct Person(AtomicUsize);

#[async_trait]
impl AuthPlugin for Person {
    async fn sign_in(&self, _: &dyn Transport) -> Result<Grant, SignInError> {
        let number = self.0.fetch_add(1, Ordering::SeqCst) + 1;
        let proof = AuthHeaders::token(format!("token-{number}").into())?;
        let life = Validity::new(Instant::now(), Duration::from_secs(3600));
        Ok(Grant { life, renewal: Renewal::ByPerson, ..Grant::lasting(proof, None) })
    }
}

#[tokio::test(start_paused = true)]
async fn a_person_is_not_bothered_before_it_must_be() {
    let session = Session::new(Keystone::new(0), Arc::new(Person::default()));
    assert_eq!(token(&session).await, "token-1");
    tokio::time::advance(Duration::from_secs(3590)).await;
    assert_eq!(shown(&session.proof_lasting(None).await.unwrap()), "token-1");
    tokio::time::advance(Duration::from_secs(10)).await;
    assert_eq!(token(&session).await, "token-2");
}

#[tokio::test(start_paused = true)]
async fn renewing_happens_once_for_all_who_saw_the_same_token() {
    let keystone = Keystone::new(201);
    let session = Session::new(keystone.clone(), password());
    let stale = session.proof().await.unwrap();
    for renewed in futures_util::future::join_all((0..5).map(|_| session.renew(&stale))).await {
        assert_eq!(shown(&renewed.unwrap()), "token-2");
    }
    assert_eq!(keystone.asked(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_asked_for_once() {
    let keystone = Keystone::new(401);
    let session = Session::new(keystone.clone(), password());
    for answer in futures_util::future::join_all((0..5).map(|_| session.proof())).await {
        let error = answer.unwrap_err();
        assert_eq!(error.kind, SignInErrorKind::Unauthenticated);
        assert!(error.reason.contains("rejected the credentials of user `bob`"), "{error}");
        // The id of the single request, also for callers that only shared its result.
        assert!(error.to_string().ends_with("(request req-1)"), "{error}");
        assert!(!format!("{error} {error:?}").contains("hush"));
    }
    assert_eq!(keystone.asked(), 1);
    keystone.status.store(201, Ordering::SeqCst);
    tokio::time::advance(REFUSAL_STANDS).await;
    assert_eq!(token(&session).await, "token-2");
}

#[tokio::test]
async fn failures_have_their_kinds() {
    let connect = SignInErrorKind::Transport(TransportErrorKind::Connect);
    for (status, kind) in
        [(0, connect), (302, SignInErrorKind::Protocol), (503, SignInErrorKind::Protocol)]
    {
        let session = Session::new(Keystone::new(status), password());
        let error = session.proof().await.unwrap_err();
        assert_eq!(error.kind, kind);
        assert_eq!(error.source.is_some(), status == 0);
        assert!(error.hint.is_some());
    }
}

#[tokio::test]
async fn the_password_follows_no_redirect() {
    for (location, reason) in [
        (
            "https://ks/identity/v3/auth/tokens",
            "https://ks redirects POST requests to another path",
        ),
        ("https://evil/v3/auth/tokens", "https://ks redirects to https://evil,"),
        ("http://ks/v3/auth/tokens", "https://ks redirects to http://ks,"),
    ] {
        let keystone = Arc::new(Keystone { status: 307.into(), location, ..Keystone::default() });
        let error = Session::new(keystone.clone(), password()).proof().await.unwrap_err();
        assert_eq!(error.kind, SignInErrorKind::Protocol);
        assert!(error.reason.contains(reason) && error.hint.is_some(), "{error}");
        assert!(!format!("{error} {error:?}").contains("hush"));
        assert_eq!(keystone.asked(), 1);
    }
}

#[tokio::test]
async fn a_token_that_fits_no_header_is_an_error() {
    for token in ["", "hush\nx-evil: 1", "hush\u{e9}", "hush\u{7f}"] {
        let fixed = FixedToken { token: token.into(), endpoint: None };
        let error = Session::new(Keystone::new(201), Arc::new(fixed)).proof().await.unwrap_err();
        assert_eq!(error.kind, SignInErrorKind::Unauthenticated);
        assert!(error.reason.contains("invalid in a header") && error.hint.is_some());
        assert!(!format!("{error} {error:?}").contains("hush"));
    }
}

#[tokio::test]
async fn fixed_tokens_and_none() {
    let keystone = Keystone::new(201);
    let fixed = FixedToken { token: "hush".into(), endpoint: None };
    let session = Session::new(keystone.clone(), Arc::new(fixed));
    assert_eq!(token(&session).await, "hush");
    let stale = session.proof().await.unwrap();
    let error = session.renew(&stale).await.unwrap_err();
    assert_eq!(error.kind, SignInErrorKind::Unauthenticated);
    assert!(error.hint.is_some());
    assert!(!format!("{session:?} {stale:?} {error} {error:?}").contains("hush"));
    assert_eq!(token(&session).await, "hush");
    assert!(session.image_endpoint(&wanted("public")).await.is_err());
    let session = Session::new(keystone.clone(), Arc::new(NoAuth::default()));
    assert!(session.proof().await.unwrap().is_none());
    assert_eq!(keystone.asked(), 0);
}
