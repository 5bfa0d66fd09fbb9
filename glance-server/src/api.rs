//! Which request goes where.

use std::collections::HashSet;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use glance_core::body::Body;
use glance_core::transport::{Transport, TransportError, TransportErrorKind};
use glance_core::{ImageId, ImageStore};
use http::header::HeaderValue;
use http::request::Parts;
use http::{HeaderMap, Request, Response, StatusCode, Uri};
use percent_encoding::percent_decode_str;
use serde_json::json;

use crate::answer::{Answer, Refusal, json, page};

/// The Glance v2 API over an image store. Every caller is an administrator.
///
/// It is a [`Transport`] that ends in itself, so a client can be pointed at it without a socket.
#[derive(Debug)]
pub struct GlanceApi {
    pub(crate) store: Arc<dyn ImageStore>,
    /// Held from reading a record to writing it, so that no change of another request gets lost.
    pub(crate) writing: tokio::sync::Mutex<()>,
    /// Images whose rejected data left a blob behind: Glance never takes data for them again.
    spoiled: Mutex<HashSet<ImageId>>,
    token: Option<Token>,
}

impl GlanceApi {
    /// The API over `store`, open to everyone.
    pub fn new(store: Arc<dyn ImageStore>) -> Self {
        Self {
            store,
            writing: tokio::sync::Mutex::default(),
            spoiled: Mutex::default(),
            token: None,
        }
    }

    /// The same API, for those only whose `X-Auth-Token` is `secret`.
    #[must_use]
    pub fn with_token(mut self, secret: impl Into<String>) -> Self {
        self.token = Some(Token(secret.into()));
        self
    }

    pub(crate) fn spoil(&self, id: &ImageId) {
        self.spoiled.lock().unwrap_or_else(PoisonError::into_inner).insert(id.clone());
    }

    pub(crate) fn is_spoiled(&self, id: &ImageId) -> bool {
        self.spoiled.lock().unwrap_or_else(PoisonError::into_inner).contains(id)
    }

    pub(crate) fn forget(&self, id: &ImageId) {
        self.spoiled.lock().unwrap_or_else(PoisonError::into_inner).remove(id);
    }

    fn authorize(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let given = headers.get("x-auth-token").map_or(&b""[..], HeaderValue::as_bytes);
        match &self.token {
            Some(token) if !token.equals(given) => Err(Refusal::new(
                StatusCode::UNAUTHORIZED,
                "The request you have made requires authentication.",
            )),
            _ => Ok(()),
        }
    }

    async fn route(&self, request: Request<Body>) -> Answer {
        let (parts, body) = request.into_parts();
        // Decoded before it is split, as WSGI does: a slash in a tag can't be escaped.
        let path = percent_decode_str(parts.uri.path())
            .decode_utf8()
            .map_err(|_| Refusal::invalid("The path is not UTF-8"))?;
        let segments: Vec<&str> = path.trim_start_matches('/').split('/').collect();
        match segments.as_slice() {
            ["v2", rest @ ..] => {
                self.authorize(&parts.headers)?;
                self.route_v2(&parts, rest, body).await
            }
            ["versions"] => Ok(versions(StatusCode::OK, &parts.uri)),
            // An unknown version is answered with the known ones, as `/` is.
            _ => Ok(versions(StatusCode::MULTIPLE_CHOICES, &parts.uri)),
        }
    }

    async fn route_v2(&self, parts: &Parts, segments: &[&str], body: Body) -> Answer {
        match (parts.method.as_str(), segments) {
            ("GET", ["images"]) => self.list(parts.uri.query().unwrap_or_default()).await,
            ("POST", ["images"]) => self.create(body).await,
            ("GET", ["images", id]) => self.show(&image_id(id)?).await,
            ("PATCH", ["images", id]) => self.patch(&image_id(id)?, &parts.headers, body).await,
            ("DELETE", ["images", id]) => self.delete(&image_id(id)?).await,
            ("PUT", ["images", id, "tags", tag]) => self.add_tag(&image_id(id)?, tag).await,
            ("DELETE", ["images", id, "tags", tag]) => self.remove_tag(&image_id(id)?, tag).await,
            ("GET", ["images", id, "members"]) => self.members(&image_id(id)?).await,
            ("POST", ["images", id, "members"]) => self.add_member(&image_id(id)?, body).await,
            ("GET", ["images", id, "members", who]) => self.member(&image_id(id)?, who).await,
            ("PUT", ["images", id, "members", who]) => {
                self.set_member(&image_id(id)?, who, body).await
            }
            ("DELETE", ["images", id, "members", who]) => {
                self.remove_member(&image_id(id)?, who).await
            }
            ("GET", ["images", id, "file"]) => self.download(&image_id(id)?, &parts.headers).await,
            ("PUT", ["images", id, "file"]) => {
                self.upload(&image_id(id)?, &parts.headers, body).await
            }
            ("POST", ["images", id, "actions", action]) => self.act(&image_id(id)?, action).await,
            ("GET", ["schemas", "image"]) => Ok(json(StatusCode::OK, &crate::records::schema())),
            ("GET", ["info", "import"]) => Ok(json(StatusCode::OK, &import_methods())),
            (
                _,
                ["images"]
                | ["images", _]
                | ["images", _, "file" | "members"]
                | ["images", _, "tags" | "members" | "actions", _],
            ) => Err(Refusal::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "The method specified is not allowed for this resource.",
            )),
            _ => Err(Refusal::missing("The resource could not be found.")),
        }
    }
}

#[async_trait]
impl Transport for GlanceApi {
    async fn send(&self, request: Request<Body>) -> Result<Response<Body>, TransportError> {
        let origin = origin(request.uri());
        let mut response = match self.route(request).await {
            Ok(response) => response,
            Err(Refusal::Status(status, text)) => page(status, &text),
            Err(Refusal::Body(source)) => {
                return Err(TransportError {
                    kind: TransportErrorKind::Body,
                    endpoint: origin,
                    reason: "the request's body failed".into(),
                    hint: None,
                    source: Some(source),
                });
            }
        };
        let request_id = format!("req-{}", uuid::Uuid::new_v4());
        if let Ok(value) = HeaderValue::try_from(request_id) {
            response.headers_mut().insert("x-openstack-request-id", value);
        }
        Ok(response)
    }
}

fn image_id(segment: &str) -> Result<ImageId, Refusal> {
    let missing = |_| Refusal::missing(format!("Failed to find image {segment}"));
    segment.parse().map_err(missing)
}

fn origin(uri: &Uri) -> String {
    let scheme = uri.scheme_str().unwrap_or("http");
    format!("{scheme}://{}", uri.authority().map_or("localhost", |authority| authority.as_str()))
}

fn versions(status: StatusCode, uri: &Uri) -> Response<Body> {
    let links = json!([{"rel": "self", "href": format!("{}/v2/", origin(uri))}]);
    let version = |id, status| json!({"id": id, "status": status, "links": links});
    let known =
        [version("v2.17", "CURRENT"), version("v2.9", "SUPPORTED"), version("v2.0", "SUPPORTED")];
    json(status, &json!({ "versions": known }))
}

fn import_methods() -> serde_json::Value {
    let methods = json!({
        "description": "Import methods available.", "type": "array", "value": []
    });
    json!({ "import-methods": methods })
}

/// The token that opens the API.
struct Token(String);

impl Token {
    /// Takes as long for every text of one length, so that time tells nothing of the secret.
    fn equals(&self, given: &[u8]) -> bool {
        let pairs = self.0.bytes().zip(given);
        let difference =
            pairs.fold(0, |all, (one, other)| std::hint::black_box(all | (one ^ other)));
        self.0.len() == given.len() && difference == 0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}
