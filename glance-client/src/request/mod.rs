//! One request at a time to one Glance: headers, token, and what the answer means.

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
use glance_core::transport::redirect::{self, Unanswered};
use glance_core::transport::{Optional, Repeated, Transport};
use keystone_auth::Session;
use keystone_auth::auth::Proof;

use crate::record_stream::LONGEST;

mod answer;

pub(super) use answer::BROKE_OFF;

use answer::DID_NOT_COME;

/// The connection to one Glance.
#[derive(Debug, Clone)]
pub(super) struct Client {
    name: String,
    transport: Arc<dyn Transport>,
    endpoint: String,
    session: Arc<Session>,
    /// Bytes per second at which data is expected to pass.
    pub(super) rate: u64,
    /// Whether nothing depends on the answers.
    optional: bool,
}

/// What a request is for, in the words of its error messages.
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

    /// The same connection, for questions whose answers are not needed.
    pub(super) fn optional(&self) -> Self {
        Self { optional: true, ..self.clone() }
    }

    /// Where Glance is.
    pub(super) fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Sends a JSON document, or nothing, and understands the JSON answer (null when it is empty).
    pub(super) async fn json<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        document: Option<Value>,
        operation: &Operation,
    ) -> Result<T, StoreError> {
        self.json_within(ANSWER, method, path, document, operation).await
    }

    /// The same, of an answer that may have so many bytes.
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
                    tracing::info!("{error}; it is asked for again");
                    again -= 1;
                }
                read => return read,
            }
        }
    }

    /// Sends a JSON document, or nothing, whose answer says nothing more.
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

    /// Sends a JSON document, or nothing, and understands the image of the answer.
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

    /// Asks for a long answer, whose body is not read.
    pub(super) async fn page(
        &self,
        path: &str,
        operation: &Operation,
    ) -> Result<Response<Body>, StoreError> {
        self.repeatable(Method::GET, path, &[], None, operation).await
    }

    /// Asks for data, of a length that nobody knows; the answer's body is not read.
    pub(super) async fn get(
        &self,
        path: &str,
        headers: &[(HeaderName, String)],
        operation: &Operation,
    ) -> Result<Response<Body>, StoreError> {
        self.renew_early(operation).await?;
        self.repeatable(Method::GET, path, headers, None, operation).await
    }

    /// Gets a proof that lasts, for work of which nobody knows how long it takes. The request that
    /// follows takes it, unless it expires in between.
    pub(super) async fn renew_early(&self, operation: &Operation) -> Result<(), StoreError> {
        let proof = self.session.proof_lasting(None).await;
        proof.map(drop).map_err(|error| self.sign_in(error, operation))
    }

    /// Sends data. Whatever the answer, it is not sent again: only the caller knows what became of
    /// it.
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
        self.accept(answer, operation).await.map_err(|error| match renewed {
            true => StoreError { kind: StoreErrorKind::Renewed, ..error },
            false => error,
        })
    }

    /// Sends a request that can be made again, and does so once after a 401 with a new token.
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
        let mut answer =
            self.send(method.clone(), path, &headers, body(), &proof, operation).await?;
        if answer.status() == StatusCode::UNAUTHORIZED && !proof.is_none() {
            let renewed = self.session.renew(&proof).await;
            let proof = renewed.map_err(|error| self.sign_in(error, operation))?;
            answer = self.send(method, path, &headers, body(), &proof, operation).await?;
        }
        // The first time, of which no answer came, did it.
        let is_gone = answer.status() == StatusCode::NOT_FOUND && is_delete;
        if is_gone && answer.extensions().get::<Repeated>().is_some() {
            return Ok(Response::new(Body::empty()));
        }
        self.accept(answer, operation).await
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(HeaderName, String)],
        body: Body,
        proof: &Proof,
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
        proof: &Proof,
        operation: &Operation,
    ) -> Result<Request<Body>, StoreError> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.endpoint))
            .header(header::ACCEPT, "*/*");
        for (name, value) in headers {
            request = request.header(name, value);
        }
        // What is no URL is refused below.
        if let Ok(url) = Url::parse(&self.endpoint) {
            let proof = proof.headers(&url).map_err(|error| self.sign_in(error, operation))?;
            for (name, value) in proof {
                request = request.header(name, value);
            }
        }
        if self.optional {
            request = request.extension(Optional);
        }
        request.body(body).map_err(|error| {
            self.error(StoreErrorKind::Invalid, operation, "the request can't be written")
                .caused_by(error)
        })
    }
}

const JSON: &str = "application/json";
const JSON_PATCH: &str = "application/openstack-images-v2.1-json-patch";
const OCTETS: &str = "application/octet-stream";

/// Bytes per second at which data passes at least, unless told otherwise. Where it passes faster,
/// tokens are only renewed earlier than they need be.
const SLOW: u64 = 10 << 20;

/// How often an answer that broke off is asked for again.
pub(super) const BROKEN_OFF: u32 = 3;

/// Bytes of an answer that is no list: as many as of a record in a listing.
const ANSWER: usize = LONGEST;
