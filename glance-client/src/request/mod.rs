//! Sends requests to one Glance: headers, token, and interpretation of the response.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, Method, Request, Response, StatusCode, header};
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::Value;
use url::Url;

use glance_core::body::Body;
use glance_core::image::{Image, ImageId};
use glance_core::store::{StoreError, StoreErrorKind};
use glance_core::transport::{Optional, RequestedFor, RetryCount, Transport};
use keystone_auth::Session;
use keystone_auth::auth::AuthHeaders;
use keystone_auth::redirect::{self, Unanswered};

use crate::permission::Credentials;
use crate::record_stream::LONGEST;

mod answer;

pub(crate) use answer::HINT;

pub(super) use answer::BROKE_OFF;

use answer::DID_NOT_COME;

/// The connection to one Glance.
#[derive(Debug, Clone)]
pub(super) struct Client {
    name: String,
    transport: Arc<dyn Transport>,
    endpoint: String,
    session: Arc<Session>,
    /// The expected throughput of image data, in bytes per second.
    pub(super) rate: u64,
    /// Whether the caller can do without the responses. Requests are then sent once, without
    /// retries.
    optional: bool,
}

/// The purpose of a request, as worded in its error messages.
#[derive(Debug)]
pub(super) struct Operation {
    pub(super) what: &'static str,
    pub(super) image: Option<ImageId>,
}

impl Operation {
    pub(super) fn new(what: &'static str, image: &ImageId) -> Self {
        Self { what, image: Some(image.clone()) }
    }
}

impl fmt::Display for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.name == self.endpoint {
            return f.write_str(&self.name);
        }
        write!(f, "{} ({})", self.name, self.endpoint)
    }
}

impl Client {
    pub(super) fn new(
        name: String,
        transport: Arc<dyn Transport>,
        endpoint: &str,
        session: Arc<Session>,
    ) -> Self {
        let endpoint = endpoint.trim_end_matches('/').to_owned();
        Self { name, transport, endpoint, session, rate: SLOW, optional: false }
    }

    /// The same connection, for requests whose responses are optional.
    pub(super) fn optional(&self) -> Self {
        Self { optional: true, ..self.clone() }
    }

    /// The base URL of the Glance.
    pub(super) fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Sends a JSON document, or nothing, and parses the JSON response (null if empty).
    pub(super) async fn json<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        document: Option<Value>,
        operation: &Operation,
    ) -> Result<T, StoreError> {
        self.json_within(ANSWER, method, path, document, operation).await
    }

    /// Like [`json`](Self::json), with a limit on the size of the response, in bytes.
    pub(super) async fn json_within<T: DeserializeOwned>(
        &self,
        limit: usize,
        method: Method,
        path: &str,
        document: Option<Value>,
        operation: &Operation,
    ) -> Result<T, StoreError> {
        let payload = document.map(|document| (JSON, Bytes::from(document.to_string())));
        let is_read = method == Method::GET;
        let mut again = if is_read && !self.optional { BROKEN_OFF } else { 0 };
        loop {
            let (method, payload) = (method.clone(), payload.clone());
            let answer = self.repeatable(method, path, &[], payload, operation).await?;
            match self.read_json(answer, limit, operation).await {
                Err(error) if again > 0 && error.kind == BROKE_OFF => {
                    tracing::info!("{error}; retrying");
                    again -= 1;
                }
                read => return read,
            }
        }
    }

    /// Sends a JSON document, or nothing; the response carries no information.
    pub(super) async fn call(
        &self,
        method: Method,
        path: &str,
        document: Option<Value>,
        operation: &Operation,
    ) -> Result<(), StoreError> {
        self.json::<IgnoredAny>(method, path, document, operation).await.map(drop)
    }

    /// Sends a JSON patch.
    pub(super) async fn patch(
        &self,
        path: &str,
        changes: &Value,
        operation: &Operation,
    ) -> Result<Image, StoreError> {
        let payload = Some((JSON_PATCH, Bytes::from(changes.to_string())));
        let answer = self.repeatable(Method::PATCH, path, &[], payload, operation).await?;
        let record = self.read_json(answer, ANSWER, operation).await?;
        Image::read(record).map_err(|misread| self.misread(&misread, operation))
    }

    /// Sends a JSON document, or nothing, and parses the image in the response.
    pub(super) async fn image(
        &self,
        method: Method,
        path: &str,
        document: Option<Value>,
        operation: &Operation,
    ) -> Result<Image, StoreError> {
        let record = self.json(method, path, document, operation).await?;
        Image::read(record).map_err(|misread| self.misread(&misread, operation))
    }

    /// Requests a long response; its body is left to the caller.
    pub(super) async fn page(
        &self,
        path: &str,
        operation: &Operation,
    ) -> Result<Response<Body>, StoreError> {
        self.repeatable(Method::GET, path, &[], None, operation).await
    }

    /// Requests image data, whose duration is unknown; the body is left to the caller.
    pub(super) async fn get(
        &self,
        path: &str,
        headers: &[(HeaderName, String)],
        operation: &Operation,
    ) -> Result<Response<Body>, StoreError> {
        self.renew_early(operation).await?;
        self.repeatable(Method::GET, path, headers, None, operation).await
    }

    /// Obtains a proof with a long remaining life, for work of unknown duration. The request that
    /// follows uses it, unless it expires in between.
    pub(super) async fn renew_early(&self, operation: &Operation) -> Result<(), StoreError> {
        let proof = self.session.proof_lasting(None).await;
        proof.map(drop).map_err(|error| self.sign_in(error, operation))
    }

    /// Uploads data. The request is never repeated, whatever the response: only the caller knows
    /// the state of the image.
    pub(super) async fn put_data(
        &self,
        path: &str,
        more: impl IntoIterator<Item = (HeaderName, String)>,
        data: Body,
        operation: &Operation,
    ) -> Result<Response<Body>, StoreError> {
        let data = data.proven_if_empty().await.map_err(|error| {
            self.error(StoreErrorKind::Data, operation, DID_NOT_COME).caused_by(error)
        })?;
        let needed = data.size().map(|size| Duration::from_secs(size / self.rate.max(1)));
        let proof = self.session.proof_lasting(needed).await;
        let proof = proof.map_err(|error| self.sign_in(error, operation))?;
        let mut headers = vec![(header::CONTENT_TYPE, OCTETS.to_owned())];
        if let Some(size) = data.size() {
            headers.push((HeaderName::from_static("x-openstack-image-size"), size.to_string()));
        }
        headers.extend(more);
        let data = data.once();
        let answer = self.send(Method::PUT, path, &headers, data, &proof, operation).await?;
        let is_stale = answer.status() == StatusCode::UNAUTHORIZED && !proof.is_none();
        let renewed = is_stale && self.session.renew(&proof).await.is_ok();
        let sent = if proof.is_none() { Credentials::Missing } else { Credentials::Sent };
        self.accept(answer, sent, operation).await.map_err(|error| match renewed {
            true => error.of_kind(StoreErrorKind::CredentialsRenewed),
            false => error,
        })
    }

    /// Sends a repeatable request, and repeats it once with a new token after a 401.
    async fn repeatable(
        &self,
        method: Method,
        path: &str,
        headers: &[(HeaderName, String)],
        payload: Option<(&str, Bytes)>,
        operation: &Operation,
    ) -> Result<Response<Body>, StoreError> {
        let mut headers = headers.to_vec();
        let payload = payload.map(|(media_type, bytes)| {
            headers.push((header::CONTENT_TYPE, media_type.to_owned()));
            bytes
        });
        let is_delete = method == Method::DELETE;
        let body = || payload.clone().map_or_else(Body::empty, Body::from);
        let proof = self.session.proof().await.map_err(|error| self.sign_in(error, operation))?;
        let mut sent = if proof.is_none() { Credentials::Missing } else { Credentials::Sent };
        let mut answer =
            self.send(method.clone(), path, &headers, body(), &proof, operation).await?;
        if answer.status() == StatusCode::UNAUTHORIZED && !proof.is_none() {
            let renewed = self.session.renew(&proof).await;
            let proof = renewed.map_err(|error| self.sign_in(error, operation))?;
            answer = self.send(method, path, &headers, body(), &proof, operation).await?;
            sent = Credentials::Renewed;
        }
        // An earlier attempt, whose response was lost, has deleted the item.
        let is_gone = answer.status() == StatusCode::NOT_FOUND && is_delete;
        if is_gone && answer.extensions().get::<RetryCount>().is_some() {
            return Ok(Response::new(Body::empty()));
        }
        self.accept(answer, sent, operation).await
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(HeaderName, String)],
        body: Body,
        proof: &AuthHeaders,
        operation: &Operation,
    ) -> Result<Response<Body>, StoreError> {
        let request = self.request(method, path, headers, body, proof, operation)?;
        redirect::send(&*self.transport, request).await.map_err(|error| match error {
            Unanswered::Transport(error) => self.no_answer(error, operation),
            Unanswered::Redirect(redirect) => {
                self.error(StoreErrorKind::Server, operation, redirect.reason).hint(redirect.hint)
            }
        })
    }

    fn request(
        &self,
        method: Method,
        path: &str,
        headers: &[(HeaderName, String)],
        body: Body,
        proof: &AuthHeaders,
        operation: &Operation,
    ) -> Result<Request<Body>, StoreError> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.endpoint))
            .header(header::ACCEPT, "*/*");
        for (name, value) in headers {
            request = request.header(name, value);
        }
        // An invalid URL is reported below.
        if let Ok(url) = Url::parse(&self.endpoint) {
            let proof = proof.headers(&url).map_err(|error| self.sign_in(error, operation))?;
            for (name, value) in proof {
                request = request.header(name, value);
            }
        }
        if self.optional {
            request = request.extension(Optional);
        }
        if let Some(image) = &operation.image {
            request = request.extension(RequestedFor(image.clone()));
        }
        request.body(body).map_err(|error| {
            self.error(StoreErrorKind::Invalid, operation, "cannot create the request")
                .caused_by(error)
        })
    }
}

const JSON: &str = "application/json";
const JSON_PATCH: &str = "application/openstack-images-v2.1-json-patch";
const OCTETS: &str = "application/octet-stream";

/// The default expected throughput, in bytes per second. If data passes faster, tokens are merely
/// renewed earlier than necessary.
const SLOW: u64 = 10 << 20;

/// How often an interrupted response is requested again.
pub(super) const BROKEN_OFF: u32 = 3;

/// Maximum bytes of a response other than a list; the same as for a record in a listing.
const ANSWER: usize = LONGEST;
