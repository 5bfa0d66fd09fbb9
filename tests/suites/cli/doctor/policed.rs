//! A Keystone and a Glance with a policy, in one server.

use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use bytes::Bytes;
use glance_core::store::memory::MemoryStore;
use glance_core::{Body, Transport, TransportError};
use glance_server::GlanceApi;
use http::{HeaderValue, Method, Request, Response};
use serde_json::{Value, json};

/// A Keystone that signs everyone in, and a Glance that denies what one policy rule permits.
#[derive(Debug)]
pub(crate) struct Policed {
    rule: &'static str,
    glance: GlanceApi,
    pub(crate) url: OnceLock<String>,
}

impl Policed {
    /// Denies what this rule permits, such as `get_images`.
    pub(crate) fn denying(rule: &'static str) -> Self {
        let glance = GlanceApi::new(Arc::new(MemoryStore::new("kept"))).with_token(TOKEN);
        Self { rule, glance, url: OnceLock::new() }
    }

    /// The answer of Keystone to a sign-in.
    fn token(&self) -> Value {
        let url = self.url.get().unwrap();
        let endpoints = json!([{"interface": "public", "region": "R", "url": url}]);
        json!({"token": {
            "methods": ["password"], "user": {"id": "1", "name": "alice"},
            "project": {"id": "77", "name": "demo"},
            "roles": [{"id": "2", "name": "member"}, {"id": "3", "name": "reader"}],
            "catalog": [{"type": "image", "endpoints": endpoints}],
        }})
    }

    fn denies(&self, method: &Method, body: &[u8]) -> bool {
        let text = String::from_utf8_lossy(body);
        match self.rule {
            "get_images" => method == Method::GET,
            "add_image" => method == Method::POST,
            "publicize_image" => text.contains("public"),
            _ => false,
        }
    }
}

#[async_trait]
impl Transport for Policed {
    async fn send(&self, request: Request<Body>) -> Result<Response<Body>, TransportError> {
        let (head, body) = request.into_parts();
        let body = body.collect(1 << 20).await.unwrap();
        if head.uri.path() == "/v3/auth/tokens" {
            let document = Bytes::from(self.token().to_string());
            let mut answer = Response::builder().status(201).body(Body::from(document)).unwrap();
            answer.headers_mut().insert("x-subject-token", HeaderValue::from_static(TOKEN));
            return Ok(answer);
        }
        if head.uri.path().starts_with("/v2/images") && self.denies(&head.method, &body) {
            let rule = self.rule;
            let page = format!(
                "<html><body><h1>403 Forbidden</h1>You are not authorized to complete {rule} \
                 action.<br /></body></html>"
            );
            return Ok(Response::builder().status(403).body(Bytes::from(page).into()).unwrap());
        }
        self.glance.send(Request::from_parts(head, Body::from(body))).await
    }
}

const TOKEN: &str = "token-of-alice";
