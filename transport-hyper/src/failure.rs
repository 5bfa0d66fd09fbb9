//! Translates hyper's errors.

use std::error::Error;
use std::io;
use std::sync::{Arc, OnceLock};

use glance_core::error::BodyError;
use glance_core::tls::verdict::{Alert, Fault, refusal};
use glance_core::transport::{ClientCertificate, TransportError, TransportErrorKind};
use hyper_util::client::legacy;

/// Converts an error of hyper into a [`TransportError`]. `own` is the error of the request body, if
/// it failed.
pub(crate) fn explain(
    error: &legacy::Error,
    own: Option<BodyError>,
    endpoint: &str,
) -> TransportError {
    if let Some(own) = own {
        return TransportError {
            kind: TransportErrorKind::Body,
            endpoint: endpoint.to_owned(),
            reason: "the data cannot be read".to_owned(),
            hint: None,
            source: Some(own),
        };
    }
    if let Some(failure) = inner_transport_error(error).or_else(|| judged(error)) {
        return failure;
    }
    let deepest = innermost(error);
    let failure = |kind, reason| failure(kind, reason, endpoint);
    let hyper = chain(error).find_map(|error| error.downcast_ref::<hyper::Error>());
    match hyper {
        Some(error) if error.is_timeout() => failure(TransportErrorKind::Timeout, deepest),
        Some(error) if error.is_parse() || error.is_user() => {
            failure(TransportErrorKind::Protocol, deepest)
        }
        _ => failure(TransportErrorKind::Interrupted, deepest),
    }
}

/// The error of an exchange that failed after the connection was opened.
pub(crate) fn failure(kind: TransportErrorKind, reason: String, endpoint: &str) -> TransportError {
    let hint = match kind {
        TransportErrorKind::Interrupted => Some(LOST),
        TransportErrorKind::Protocol => Some(NOT_HTTP),
        TransportErrorKind::Timeout => Some(SILENT),
        _ => None,
    };
    let (endpoint, hint) = (endpoint.to_owned(), hint.map(str::to_owned));
    TransportError { kind, endpoint, reason, hint, source: None }
}

const LOST: &str = "run the command again; if the connection breaks again, read the log of the server and \
                    of the proxies in front of it";
const NOT_HTTP: &str =
    "check the scheme, the address and the port: another service may listen there";
const SILENT: &str = "check that the server is not overloaded, or raise --idle-timeout";

/// Records how a server that requested a client certificate rejects it. In TLS 1.3 the alert
/// arrives after the handshake, in place of a response. The connection stores the alert, because
/// hyper does not report why a connection closed before its request.
#[derive(Debug, Clone)]
pub(crate) struct Judgement {
    asked: ClientCertificate,
    endpoint: String,
    alert: Arc<OnceLock<Alert>>,
}

impl Judgement {
    pub(crate) fn new(asked: ClientCertificate, endpoint: &str) -> Self {
        Self { asked, endpoint: endpoint.to_owned(), alert: Arc::default() }
    }

    /// Wraps an I/O error of the connection: an alert becomes an error that explains it.
    pub(crate) fn hear(&self, error: io::Error) -> io::Error {
        let Some(alert) = Alert::in_message(&error.to_string()) else { return error };
        let alert = self.alert.get_or_init(|| alert);
        io::Error::new(error.kind(), self.refusal(*alert))
    }

    fn refusal(&self, alert: Alert) -> TransportError {
        refusal(&Fault::ClientCertificate(self.asked, alert), "", &self.endpoint, &[], &[])
    }
}

/// The error for the alert that closed the connection, if there was one.
fn judged(error: &legacy::Error) -> Option<TransportError> {
    let mut found = http::Extensions::new();
    error.connect_info()?.get_extras(&mut found);
    let judgement = found.get::<Judgement>()?;
    judgement.alert.get().map(|alert| judgement.refusal(*alert))
}

/// Finds the [`TransportError`] of the connector or connection that hyper has wrapped.
fn inner_transport_error(error: &legacy::Error) -> Option<TransportError> {
    let inner = chain(error).find_map(|error| {
        // `source()` skips the error inside an `io::Error`.
        let io = error.downcast_ref::<io::Error>().and_then(|error| error.get_ref());
        let io = io.and_then(|inner| inner.downcast_ref::<TransportError>());
        io.or_else(|| error.downcast_ref::<TransportError>())
    })?;
    Some(TransportError {
        kind: inner.kind,
        endpoint: inner.endpoint.clone(),
        reason: inner.reason.clone(),
        hint: inner.hint.clone(),
        source: None,
    })
}

/// The message of the innermost error, without the errors that wrap it.
pub(crate) fn innermost(error: &(dyn Error + 'static)) -> String {
    let Some(last) = chain(error).last() else { return String::new() };
    last.downcast_ref().map_or_else(|| last.to_string(), io_reason)
}

/// Describes why a connection failed, in the same words for every TLS library. For an unexpected
/// end, for instance, rustls would quote the address of its manual.
pub fn io_reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => "the server closed the connection".to_owned(),
        _ => error.to_string(),
    }
}

fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    let mut next = Some(error);
    std::iter::from_fn(move || {
        let current = next?;
        next = current.source();
        Some(current)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unexpected_end_is_said_in_our_words() {
        let library = "peer closed connection without sending TLS close_notify: https://manual";
        let error = io::Error::new(io::ErrorKind::UnexpectedEof, library);
        assert_eq!(innermost(&error), "the server closed the connection");
        let error = io::Error::new(io::ErrorKind::ConnectionReset, "connection reset");
        assert_eq!(innermost(&error), "connection reset");
    }
}
