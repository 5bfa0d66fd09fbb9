//! Secrets that came over https are sent by plain http to this machine only.

use super::*;
use crate::{ImageService, Session};

/// A Keystone at `keystone` with a Glance at `glance`, and an identity provider.
fn cloud(glance: &'static str) -> Arc<Double> {
    Double::new(move |request| {
        let path = request.uri().path();
        if path.ends_with("/token") {
            return reply(200, &json!({"access_token": "a", "token_type": "bearer"}));
        }
        if path.ends_with("openid-configuration") {
            return reply(200, &json!({"token_endpoint": "http://idp/token"}));
        }
        if !path.starts_with("/v3/") {
            return reply(404, &Value::Null);
        }
        let endpoints = json!([{"interface": "public", "url": glance}]);
        let catalog = json!([{"type": "image", "endpoints": endpoints}]);
        let status = if request.method() == "GET" { 503 } else { 201 };
        let mut answer = reply(status, &json!({"token": {"catalog": catalog}}));
        answer.headers_mut().insert("x-subject-token", "t".parse().unwrap());
        answer
    })
}

fn keystone(auth_url: &str) -> Arc<dyn AuthPlugin> {
    Arc::new(Keystone { auth_url: auth_url.into(), ..by_password() })
}

async fn found(
    plugin: Arc<dyn AuthPlugin>,
    glance: &'static str,
    said: Option<&str>,
) -> Result<String, SignInError> {
    let double = cloud(glance);
    let session = Session::new(double.clone(), plugin);
    let wanted =
        ImageService { endpoint_override: said.map(str::to_owned), ..ImageService::default() };
    let endpoint = session.image_endpoint(&wanted).await;
    let is_refused = endpoint.is_err();
    assert!(!(is_refused && double.asked().iter().any(|url| url.contains("//g"))));
    endpoint.map(|endpoint| endpoint.url)
}

#[tokio::test]
async fn a_token_that_came_over_https_goes_to_no_http_server_but_here() {
    let (https, http) = ("https://ks", "http://ks");
    for (auth_url, glance, said, refused) in [
        (https, "https://g", None, None),
        (https, "http://g:9292", None, Some("http://g:9292")),
        (https, "HTTP://G:9292/v2", None, Some("http://g:9292")),
        (https, "http://localhost:9292", None, None),
        (https, "http://[::1]:9292", None, None),
        (https, "https://g", Some("http://g:1"), Some("http://g:1")),
        (https, "https://g", Some("hTTP://g:1"), Some("http://g:1")),
        (https, "http://g", Some("http://127.0.0.1:1"), None),
        ("HTTPS://ks", "http://g", None, Some("http://g")),
        (http, "http://g", None, None),
        (http, "https://g", Some("http://g:1"), None),
    ] {
        let found = found(keystone(auth_url), glance, said).await;
        let Some(server) = refused else {
            assert!(found.is_ok(), "{auth_url} {glance} {said:?}: {found:?}");
            continue;
        };
        let error = found.unwrap_err();
        assert_eq!(error.kind, SignInErrorKind::PlainHttp);
        let said = format!(
            "the token was received over https and is not sent over plain http to {server}, "
        );
        assert!(error.reason.starts_with(&said), "{error}");
        assert!(error.hint.unwrap().contains("image_endpoint_override"));
    }
}

/// Keystone cannot be asked here, so the life of the token is unknown; its origin is known.
#[tokio::test]
async fn a_given_token_belongs_to_its_keystone() {
    for (auth_url, refused) in [("https://ks", true), ("http://ks", false)] {
        let given = GivenToken { token: "hush".into(), auth_url: auth_url.into() };
        let found = found(Arc::new(given), "", Some("http://g")).await;
        assert_eq!(found.is_err(), refused, "{auth_url}");
    }
    // A raw token may be sent to the http endpoint that is configured with it.
    let raw = FixedToken { token: "hush".into(), endpoint: Some("http://g".into()) };
    assert_eq!(found(Arc::new(raw), "", None).await.unwrap(), "http://g");
}

#[tokio::test]
async fn what_an_identity_provider_gives_goes_to_no_keystone_in_clear() {
    let oidc = |auth_url: &str, endpoint: &str, discovered: Option<&str>| {
        let mut client = OidcClient::new("me", "hush".into(), endpoint);
        if let Some(url) = discovered {
            (client.token_endpoint, client.discovery_endpoint) = (None, Some(url.to_owned()));
        }
        Oidc {
            auth_url: auth_url.into(),
            identity_provider: "idp".into(),
            protocol: "openid".into(),
            flow: Flow::Client { client, grant: OidcGrant::ClientCredentials },
            scope: Scope::Unscoped,
        }
    };
    for (auth_url, endpoint, reason) in [
        ("https://ks", "https://idp/token", None),
        ("http://127.0.0.1:5000", "https://idp/token", None),
        ("http://ks", "http://idp/token", None),
        (
            "http://ks",
            "https://idp/token",
            Some("token was received over https and is not sent over plain http to"),
        ),
        (
            "http://ks",
            "HTTPS://idp/token",
            Some("token was received over https and is not sent over plain http to"),
        ),
    ] {
        let double = cloud("https://g");
        let granted = oidc(auth_url, endpoint, None).sign_in(&*double).await;
        let asked = double.asked().len();
        match reason {
            None => drop(granted.unwrap()),
            Some(reason) => {
                let error = granted.unwrap_err();
                assert!(error.reason.contains(reason), "{error}");
                assert_eq!((error.kind, asked), (SignInErrorKind::PlainHttp, 1));
            }
        }
    }
    let discovered = Some("HTTPS://idp/.well-known/openid-configuration");
    let error = oidc("https://ks", "", discovered).sign_in(&*cloud("https://g")).await.unwrap_err();
    assert!(error.reason.contains("is not an https URL"), "{error}");
}

#[tokio::test]
async fn one_of_two_proofs_is_enough_to_confine_both() {
    for (auth_url, endpoint, refused) in [
        ("http://ks", "https://ks/token", true),
        ("https://ks", "http://ks/token", true),
        ("http://ks", "http://ks/token", false),
    ] {
        let plugin = OAuth2ClientCredential {
            auth_url: auth_url.into(),
            endpoint: endpoint.into(),
            client_id: "i".into(),
            client_secret: "s".into(),
        };
        let found = found(Arc::new(plugin), "http://g", None).await;
        assert_eq!(found.is_err(), refused, "{auth_url} {endpoint}");
    }
}
