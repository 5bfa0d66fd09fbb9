//! What hyper's errors mean.

use std::error::Error;

use glance_core::body::BodyError;
use glance_core::transport::{TransportError, TransportErrorKind};
use hyper_util::client::legacy;

/// The failure of a request's own body, marked so that it is found again below hyper's errors.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct OwnBody(pub(crate) BodyError);

/// Turns hyper's error into ours.
pub(crate) fn explain(error: &legacy::Error, endpoint: &str) -> TransportError {
    if let Some(failure) = inner_transport_error(error) {
        return failure;
    }
    let failure = |kind, reason: String| TransportError {
        kind,
        endpoint: endpoint.to_owned(),
        reason,
        hint: None,
        source: None,
    };
    let chain = || chain(error);
    if let Some(own) = chain().find_map(|error| error.downcast_ref::<OwnBody>()) {
        return failure(TransportErrorKind::Body, own.to_string());
    }
    let deepest = chain().last().map(ToString::to_string).unwrap_or_default();
    let hyper = chain().find_map(|error| error.downcast_ref::<hyper::Error>());
    match hyper {
        Some(error) if error.is_timeout() => failure(TransportErrorKind::Timeout, deepest),
        Some(error) if error.is_parse() || error.is_user() => {
            failure(TransportErrorKind::Protocol, deepest)
        }
        _ => failure(TransportErrorKind::Interrupted, deepest),
    }
}

/// The connector's own error, which hyper wraps.
fn inner_transport_error(error: &legacy::Error) -> Option<TransportError> {
    let inner = chain(error).find_map(|error| error.downcast_ref::<TransportError>())?;
    Some(TransportError {
        kind: inner.kind,
        endpoint: inner.endpoint.clone(),
        reason: inner.reason.clone(),
        hint: inner.hint.clone(),
        source: None,
    })
}

fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    let mut next = Some(error);
    std::iter::from_fn(move || {
        let current = next?;
        next = current.source();
        Some(current)
    })
}
