//! Interprets responses, and requests that got none.

use bytes::Bytes;
use http::Response;
use serde::de::DeserializeOwned;

use crate::permission::{self, Credentials};
use crate::status;
use glance_core::body::{Body, TooLong};
use glance_core::error::BodyError;
use glance_core::image::{Image, Misread, Status};
use glance_core::store::{StoreError, StoreErrorKind};
use glance_core::transport::{
    ClientCertificate, RetryCount, TransportError, TransportErrorKind, request_id,
};
use keystone_auth::auth::TokenScope;
use keystone_auth::{SignInError, SignInErrorKind};

use super::{Client, Operation};

impl Client {
    pub(super) fn no_answer(&self, error: TransportError, operation: &Operation) -> StoreError {
        let (kind, reason, hint) = match error.kind {
            TransportErrorKind::Body => (StoreErrorKind::Data, DID_NOT_COME.to_owned(), None),
            kind => {
                let headline = error.headline().into_owned();
                (StoreErrorKind::Transport(kind), headline, error.hint.clone())
            }
        };
        let mut failure = self.error(kind, operation, reason).caused_by(error);
        failure.hint = hint;
        failure
    }

    /// Turns a rejection into an error, after reading the server's explanation.
    pub(super) async fn accept(
        &self,
        answer: Response<Body>,
        credentials: Credentials,
        operation: &Operation,
    ) -> Result<Response<Body>, StoreError> {
        if answer.status().is_success() {
            return Ok(answer);
        }
        let (head, body) = answer.into_parts();
        // The beginning of the page contains the explanation.
        let (text, _) = body.peek(REFUSAL_LIMIT).await;
        let refusal = status::explain(head.status, operation.what, &text);
        let asked = head.extensions.get::<ClientCertificate>();
        let mut error = self.error(refusal.kind, operation, refusal.reason);
        error.request_id = request_id(&head.headers);
        if let Some(RetryCount(times)) = head.extensions.get() {
            error.reason = format!("{} (tried {} times)", error.reason, times + 1);
        }
        error.hint = match error.kind {
            StoreErrorKind::Unauthenticated => {
                Some(permission::unauthenticated(credentials).into())
            }
            StoreErrorKind::Forbidden => {
                let holder = self.session.holder().await;
                Some(permission::forbidden(operation.what, &error.reason, holder.as_ref()))
            }
            _ => refusal.hint,
        };
        if let Some(hint) = status::of_the_client(asked.copied(), &error.reason) {
            error.hint = Some(hint);
        }
        Err(error)
    }

    /// Explains a rejection by the scope of the token, if that is not a project.
    pub(crate) async fn explain(&self, error: StoreError) -> StoreError {
        let reach = match (error.kind, self.session.reach().await) {
            (StoreErrorKind::Forbidden, Some(TokenScope::Domain)) => "a domain",
            (StoreErrorKind::Forbidden, Some(TokenScope::System)) => "the whole system",
            _ => return error,
        };
        error.hint(format!(
            "set a project in clouds.yaml, or with --source-project or --target-project: the sign-in is \
             for {reach}, and this Glance shows images only to projects"
        ))
    }

    pub(super) async fn read_json<T: DeserializeOwned>(
        &self,
        answer: Response<Body>,
        limit: usize,
        operation: &Operation,
    ) -> Result<T, StoreError> {
        let (head, body) = answer.into_parts();
        let answered = |error: StoreError| error.answered(request_id(&head.headers));
        let text = body.collect(limit).await;
        let text = text.map_err(|error| answered(self.broke_off(error, operation)))?;
        let text = if text.is_empty() { Bytes::from_static(b"null") } else { text };
        serde_json::from_slice(&text).map_err(|error| {
            let reason = match error.is_data() {
                true => "the response is not a Glance response",
                false => "the response is not JSON",
            };
            let failed = self.error(StoreErrorKind::Unreadable, operation, reason);
            answered(failed.caused_by(error))
        })
    }

    pub(crate) fn error(
        &self,
        kind: StoreErrorKind,
        operation: &Operation,
        reason: impl Into<String>,
    ) -> StoreError {
        let mut error = StoreError::new(kind, self, operation.what, reason);
        error.image.clone_from(&operation.image);
        error
    }

    pub(crate) fn unexpected(&self, answer: &Response<Body>, operation: &Operation) -> StoreError {
        let reason = format!("unexpected response status {}", answer.status());
        let error = self.error(StoreErrorKind::Server, operation, reason);
        error.answered(request_id(answer.headers()))
    }

    /// The error for an upload that was answered with success, but left the record without data.
    pub(crate) fn not_stored(
        &self,
        answer: &Response<Body>,
        status: Status,
        operation: &Operation,
    ) -> StoreError {
        let answered = answer.status();
        let reason =
            format!("the response {answered} is not from a Glance: the record is still {status}");
        let error = self.error(StoreErrorKind::Server, operation, reason).hint(IN_FRONT);
        error.answered(request_id(answer.headers()))
    }

    pub(super) fn sign_in(&self, error: SignInError, operation: &Operation) -> StoreError {
        let kind = match error.kind {
            SignInErrorKind::Transport(kind) => StoreErrorKind::Transport(kind),
            SignInErrorKind::PlainHttp => StoreErrorKind::Invalid,
            _ => StoreErrorKind::Unauthenticated,
        };
        let reason = match error.kind {
            SignInErrorKind::Unauthenticated => "authentication failed",
            _ => "sign-in failed",
        };
        let hint = error.hint.clone();
        let mut failure = self.error(kind, operation, reason).caused_by(error);
        failure.hint = hint;
        failure
    }

    /// The error for a record that cannot be parsed.
    pub(crate) fn misread(&self, misread: &Misread, operation: &Operation) -> StoreError {
        let Misread { image, fault } = misread;
        let error = self.error(StoreErrorKind::Unreadable, operation, fault.to_string());
        let error = error.hint(ODD_RECORD);
        match image {
            Some(image) => error.of_record(Image::clone(image)),
            None => error,
        }
    }

    /// The error for a response that was interrupted, or exceeds its size limit.
    pub(crate) fn broke_off(&self, error: BodyError, operation: &Operation) -> StoreError {
        match error.downcast::<TooLong>() {
            Ok(too_long) => {
                let reason = format!("cannot read the response: {too_long}");
                self.error(StoreErrorKind::Unreadable, operation, reason).hint(HINT)
            }
            Err(error) => {
                self.error(BROKE_OFF, operation, "the response was interrupted").caused_by(error)
            }
        }
    }
}

pub(crate) const BROKE_OFF: StoreErrorKind =
    StoreErrorKind::Transport(TransportErrorKind::Interrupted);

pub(super) const DID_NOT_COME: &str = "the data could not be read";

const IN_FRONT: &str =
    "configure the proxy or load balancer that responds in place of Glance to forward uploads";

const ODD_RECORD: &str = "ask the server's administrator to correct the record, or leave the image out \
    (--exclude id=ID)";

/// Bytes of a rejection to read: schema violations quote the whole schema.
const REFUSAL_LIMIT: usize = 256 * 1024;

pub(crate) const HINT: &str =
    "check that the address is a Glance, and check proxies in front of it";
