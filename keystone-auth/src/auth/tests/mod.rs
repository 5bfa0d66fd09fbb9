//! The plugins against fake servers that follow the standards.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response};
use serde_json::{Value, json};

use super::*;
use crate::{Domain, Scope, SignInErrorKind, User};
use glance_core::body::Body;
use glance_core::transport::TransportError;

mod hostile;
mod oidc;
mod plain_http;
mod receipts;

/// A server: a function from a request, with its body, to the response.
type Answers = dyn Fn(&Request<Bytes>) -> Response<Body> + Send + Sync;

/// A transport that passes requests to a function and records them.
struct Double {
    answers: Box<Answers>,
    sent: Mutex<Vec<Request<Bytes>>>,
}

impl Double {
    fn new(
        answers: impl Fn(&Request<Bytes>) -> Response<Body> + Send + Sync + 'static,
    ) -> Arc<Self> {
        Arc::new(Self { answers: Box::new(answers), sent: Mutex::default() })
    }

    /// The URLs of all requests.
    fn asked(&self) -> Vec<String> {
        self.sent.lock().unwrap().iter().map(|request| request.uri().to_string()).collect()
    }

    fn sent(&self, number: usize) -> Request<Bytes> {
        self.sent.lock().unwrap()[number].clone()
    }
}

impl fmt::Debug for Double {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Double")
    }
}

#[async_trait]
impl Transport for Double {
    async fn send(&self, request: Request<Body>) -> Result<Response<Body>, TransportError> {
        let (head, body) = request.into_parts();
        let body = body.collect(1 << 20).await.unwrap();
        let request = Request::from_parts(head, body);
        let answer = (self.answers)(&request);
        self.sent.lock().unwrap().push(request);
        Ok(answer)
    }
}

fn reply(status: u16, body: &Value) -> Response<Body> {
    Response::builder().status(status).body(Body::from(Bytes::from(body.to_string()))).unwrap()
}

/// Keystone's response with a token.
fn token(token: &str) -> Response<Body> {
    let mut answer = reply(201, &json!({"token": {"catalog": []}}));
    answer.headers_mut().insert("x-subject-token", token.parse().unwrap());
    answer
}

fn bob() -> User {
    User::Name { name: "bob".into(), domain: Domain::Name("D".into()) }
}

fn by_password() -> Keystone {
    Keystone {
        auth_url: "https://ks".into(),
        methods: vec![Method::Password { user: bob(), password: "hush".into() }],
        scope: Scope::Default,
    }
}

fn proof(grant: &Grant) -> Vec<(String, String)> {
    let text = |(name, value): (&HeaderName, HeaderValue)| {
        (name.to_string(), value.to_str().unwrap().to_owned())
    };
    grant.proof.values().map(text).collect()
}

#[tokio::test]
async fn a_given_token_is_looked_at_by_its_keystone() {
    let plugin = GivenToken { token: "hush".into(), auth_url: "https://ks".into() };
    let double = Double::new(|request| {
        assert_eq!(request.method(), "GET");
        for name in ["x-auth-token", "x-subject-token"] {
            assert!(request.headers()[name] == "hush" && request.headers()[name].is_sensitive());
        }
        let mut answer = reply(200, &json!({"token": {"expires_at": "2024-01-01T00:01:00Z"}}));
        let date = "Mon, 01 Jan 2024 00:00:02 GMT".parse().unwrap();
        answer.headers_mut().insert("date", date);
        answer
    });
    let grant = plugin.sign_in(&*double).await.unwrap();
    let life = grant.life.unwrap();
    assert_eq!(
        (life.end - life.begin, grant.renewal),
        (Duration::from_secs(58), Renewal::Impossible)
    );
    assert_eq!(proof(&grant), [("x-auth-token".to_owned(), "hush".to_owned())]);
    assert_eq!(double.asked(), ["https://ks/v3/auth/tokens"]);
    // If Keystone cannot be asked, the token may still be valid; after a rejection it is not.
    let grant = plugin.sign_in(&*Double::new(|_| reply(503, &Value::Null))).await.unwrap();
    assert!(grant.life.is_none() && proof(&grant).len() == 1);
    let error = plugin.sign_in(&*Double::new(|_| reply(401, &Value::Null))).await.unwrap_err();
    assert!(error.reason.contains("rejected the credentials of the given token"));
}
