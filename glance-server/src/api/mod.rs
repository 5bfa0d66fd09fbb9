//! Routes requests to handlers.

use std::collections::HashSet;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use glance_core::body::Body;
use glance_core::metadefs::Namespace;
use glance_core::transport::{Transport, TransportError, TransportErrorKind};
use glance_core::{ImageId, ImageStore};
use http::header::HeaderValue;
use http::request::Parts;
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri};
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

use crate::api::answer::{Answer, Refusal, json, page};
use crate::api::metadefs::Definitions;

pub(crate) mod answer;
mod data;
mod inspect;
mod listing;
mod members;
pub(crate) mod metadefs;
mod patch;
mod records;
mod rules;
mod schemas;

/// The Glance v2 API over an image store. Every caller is treated as an administrator.
///
/// The API is itself a [`Transport`], so a client can use it without a socket.
#[derive(Debug)]
pub struct GlanceApi {
    pub(crate) store: Arc<dyn ImageStore>,
    pub(crate) definitions: Definitions,
    access: Access,
    /// Held from reading a record until writing it, so that concurrent requests lose no changes.
    pub(crate) writing: tokio::sync::Mutex<()>,
    /// Images whose rejected upload left data behind: Glance never accepts data for them again.
    spoiled: Mutex<HashSet<ImageId>>,
    token: Option<Token>,
}

/// The rights of callers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Read only.
    ReadOnly,
    /// Read and write.
    ReadWrite,
}

impl GlanceApi {
    /// Creates an API over `store`: callers may read and write, and no metadata definitions exist.
    pub fn new(store: Arc<dyn ImageStore>) -> Self {
        Self {
            store,
            definitions: Definitions::default(),
            access: Access::ReadWrite,
            writing: tokio::sync::Mutex::default(),
            spoiled: Mutex::default(),
            token: None,
        }
    }

    /// Sets the rights of callers.
    #[must_use]
    pub fn with_access(self, access: Access) -> Self {
        Self { access, ..self }
    }

    /// Sets the metadata definitions. Callers cannot change them.
    #[must_use]
    pub fn with_metadefs(self, namespaces: impl IntoIterator<Item = Namespace>) -> Self {
        Self { definitions: namespaces.into_iter().collect(), ..self }
    }

    /// Restricts the API to callers whose `X-Auth-Token` is `secret`.
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

    /// Rejects writes if callers may only read. A method that an address does not support is
    /// rejected by the handler of that address.
    fn permit(&self, method: &Method) -> Result<(), Refusal> {
        let writes = [Method::POST, Method::PUT, Method::PATCH, Method::DELETE].contains(method);
        match self.access {
            Access::ReadOnly if writes => Err(Refusal::forbidden(
                "This server is read-only. Its operator can start it with --writable.",
            )),
            _ => Ok(()),
        }
    }

    async fn route(&self, request: Request<Body>) -> Answer {
        let (parts, body) = request.into_parts();
        // Decode before splitting, as WSGI does: a slash in a tag cannot be escaped.
        let path = percent_decode_str(parts.uri.path())
            .decode_utf8()
            .map_err(|_| Refusal::invalid("The path is not UTF-8"))?;
        let segments: Vec<&str> = path.trim_start_matches('/').split('/').collect();
        match segments.as_slice() {
            ["v2", rest @ ..] => {
                self.authorize(&parts.headers)?;
                self.permit(&parts.method)?;
                self.route_v2(&parts, rest, body).await
            }
            // An unknown version is answered with the list of versions, as `/` is.
            _ => Ok(versions(&parts.uri)),
        }
    }

    async fn route_v2(&self, parts: &Parts, segments: &[&str], body: Body) -> Answer {
        let method = parts.method.as_str();
        let query = parts.uri.query().unwrap_or_default();
        match segments {
            ["images"] => match method {
                "GET" => self.list(query).await,
                "POST" => self.create(&parts.uri, body).await,
                _ => Err(Refusal::method("GET, POST")),
            },
            ["images", id, rest @ ..] => self.route_image(parts, &image_id(id)?, rest, body).await,
            ["metadefs", rest @ ..] => match method {
                "GET" => self.definitions.show(rest, query),
                _ => Err(Refusal::forbidden("This server's metadata definitions are read-only.")),
            },
            ["schemas", rest @ ..] => {
                let schema = schemas::find(rest).ok_or_else(no_resource)?;
                only_get(method, || schema)
            }
            ["info", "import"] => only_get(method, import_methods),
            ["info", "usage"] => only_get(method, || json!({ "usage": {} })),
            _ => Err(no_resource()),
        }
    }

    /// Routes the requests below the address of one image.
    async fn route_image(
        &self,
        parts: &Parts,
        id: &ImageId,
        segments: &[&str],
        body: Body,
    ) -> Answer {
        let headers = &parts.headers;
        match (parts.method.as_str(), segments) {
            ("GET", []) => self.show(id).await,
            ("PATCH", []) => self.patch(id, headers, body).await,
            ("DELETE", []) => self.delete(id).await,
            (_, []) => Err(Refusal::method("GET, PATCH, DELETE")),
            ("GET", ["file"]) => self.download(id, headers).await,
            ("PUT", ["file"]) => self.upload(id, headers, body).await,
            (_, ["file"]) => Err(Refusal::method("GET, PUT")),
            ("PUT", ["tags", tag]) => self.add_tag(id, tag).await,
            ("DELETE", ["tags", tag]) => self.remove_tag(id, tag).await,
            (_, ["tags", _]) => Err(Refusal::method("PUT, DELETE")),
            ("GET", ["members"]) => self.members(id).await,
            ("POST", ["members"]) => self.add_member(id, body).await,
            (_, ["members"]) => Err(Refusal::method("GET, POST")),
            ("GET", ["members", project]) => self.member(id, project).await,
            ("PUT", ["members", project]) => self.set_member(id, project, body).await,
            ("DELETE", ["members", project]) => self.remove_member(id, project).await,
            (_, ["members", _]) => Err(Refusal::method("GET, PUT, DELETE")),
            ("POST", ["actions", action]) => self.act(id, action).await,
            (_, ["actions", _]) => Err(Refusal::method("POST")),
            _ => Err(no_resource()),
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
            Err(Refusal::With(status, text, header)) => {
                let mut page = page(status, &text);
                page.headers_mut().extend([header]);
                page
            }
            Err(Refusal::Body(source)) => {
                let (kind, reason) = (TransportErrorKind::Body, "the request's body failed");
                return Err(TransportError::new(kind, origin, reason).caused_by(source));
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
    let missing = |_| Refusal::missing(format!("No image found with ID {segment}"));
    segment.parse().map_err(missing)
}

pub(crate) fn origin(uri: &Uri) -> String {
    let scheme = uri.scheme_str().unwrap_or("http");
    format!("{scheme}://{}", uri.authority().map_or("localhost", |authority| authority.as_str()))
}

/// The versions of a Glance 2026.1 with one store and no cache.
fn versions(uri: &Uri) -> Response<Body> {
    let links = json!([{"rel": "self", "href": format!("{}/v2/", origin(uri))}]);
    let known = VERSIONS.iter().enumerate().map(|(place, id)| {
        let status = if place == 0 { "CURRENT" } else { "SUPPORTED" };
        json!({"id": id, "status": status, "links": links})
    });
    let known = known.collect::<Vec<_>>();
    json(StatusCode::MULTIPLE_CHOICES, &json!({ "versions": known }))
}

fn only_get(method: &str, answer: impl FnOnce() -> Value) -> Answer {
    match method {
        "GET" => Ok(json(StatusCode::OK, &answer())),
        _ => Err(Refusal::method("GET")),
    }
}

fn no_resource() -> Refusal {
    Refusal::missing("The resource could not be found.")
}

fn import_methods() -> Value {
    let methods = json!({
        "description": "Import methods available.", "type": "array", "value": []
    });
    json!({ "import-methods": methods })
}

/// The token that callers must present.
struct Token(String);

impl Token {
    /// Compares in constant time for texts of equal length, so that timing does not reveal the
    /// secret.
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

/// The newest first.
const VERSIONS: &[&str] =
    &["v2.17", "v2.15", "v2.9", "v2.7", "v2.6", "v2.5", "v2.4", "v2.3", "v2.2", "v2.1", "v2.0"];
