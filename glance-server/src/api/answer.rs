//! Responses in Glance's format: JSON, empty, or an error as an HTML page.

use bytes::Bytes;
use glance_core::body::Body;
use glance_core::error::BodyError;
use glance_core::image::InvalidRecord;
use glance_core::store::{StoreError, StoreErrorKind};
use http::header::{ALLOW, CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue};
use http::{Response, StatusCode};
use serde_json::Value;

/// The result of a handler.
pub(crate) type Answer = Result<Response<Body>, Refusal>;

/// Why a request was not fulfilled.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// A response with this status and explanation.
    Status(StatusCode, String),
    /// The same, with an additional header.
    With(StatusCode, String, (HeaderName, HeaderValue)),
    /// The request body failed, so no client is left to answer.
    Body(BodyError),
}

impl Refusal {
    pub(crate) fn new(status: StatusCode, text: impl Into<String>) -> Self {
        Self::Status(status, text.into())
    }

    pub(crate) fn invalid(text: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, text)
    }

    pub(crate) fn forbidden(text: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, text)
    }

    pub(crate) fn conflict(text: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, text)
    }

    /// The address supports only these methods.
    pub(crate) fn method(allowed: &'static str) -> Self {
        let text = "The method specified is not allowed for this resource.".to_owned();
        let header = (ALLOW, HeaderValue::from_static(allowed));
        Self::With(StatusCode::METHOD_NOT_ALLOWED, text, header)
    }

    pub(crate) fn missing(text: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, text)
    }
}

impl From<InvalidRecord> for Refusal {
    fn from(error: InvalidRecord) -> Self {
        Self::invalid(error.to_string())
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        let status = match error.kind {
            StoreErrorKind::Conflict | StoreErrorKind::IdTaken | StoreErrorKind::Locked => {
                StatusCode::CONFLICT
            }
            StoreErrorKind::Data | StoreErrorKind::Invalid => StatusCode::BAD_REQUEST,
            StoreErrorKind::Forbidden => StatusCode::FORBIDDEN,
            StoreErrorKind::LimitReached => StatusCode::PAYLOAD_TOO_LARGE,
            StoreErrorKind::NotFound => StatusCode::NOT_FOUND,
            StoreErrorKind::Range => StatusCode::RANGE_NOT_SATISFIABLE,
            StoreErrorKind::Rejected => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            // Not the caller's credentials but this server's failed: the caller can only wait.
            StoreErrorKind::Unauthenticated | StoreErrorKind::Transport(_) => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        if status.is_server_error() {
            tracing::warn!(%error, "the store failed");
        }
        Self::Status(status, error.reason)
    }
}

/// A JSON response.
pub(crate) fn json(status: StatusCode, value: &Value) -> Response<Body> {
    with_bytes(status, "application/json", value.to_string())
}

/// An empty response.
pub(crate) fn nothing() -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
}

/// An error page.
pub(crate) fn page(status: StatusCode, text: &str) -> Response<Body> {
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let page = format!(
        "<html>\n <head>\n  <title>{status}</title>\n </head>\n <body>\n  <h1>{status}</h1>\n  \
         {text}<br /><br />\n\n\n </body>\n</html>"
    );
    with_bytes(status, "text/html; charset=UTF-8", page)
}

fn with_bytes(status: StatusCode, media_type: &'static str, text: String) -> Response<Body> {
    let length = HeaderValue::from(text.len());
    let mut response = Response::new(Body::from(Bytes::from(text)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    response.headers_mut().insert(CONTENT_LENGTH, length);
    response
}
