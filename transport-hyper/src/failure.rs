//! Translates hyper's errors.

use std::io;
use std::sync::{Arc, OnceLock};

use glance_core::error::{all_causes, causes};
use glance_core::transport::failure::innermost;
use glance_core::transport::{ClientCertificate, TransportError, TransportErrorKind};
use hyper_util::client::legacy;
use tls_policy::fault::{Alert, Fault};
use tls_policy::verdict::refusal;

/// Converts an error of hyper into a [`TransportError`].
pub(crate) fn explain(error: &legacy::Error, endpoint: &str) -> TransportError {
    if let Some(failure) = inner_transport_error(error).or_else(|| judged(error)) {
        return failure;
    }
    let hyper = causes(error).find_map(|error| error.downcast_ref::<hyper::Error>());
    let kind = match hyper {
        Some(error) if error.is_timeout() => TransportErrorKind::Timeout,
        Some(error) if error.is_parse() || error.is_user() => TransportErrorKind::Protocol,
        _ => TransportErrorKind::Interrupted,
    };
    TransportError::of_exchange(kind, innermost(error), endpoint)
}

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
    let inner = all_causes(error).find_map(|error| error.downcast_ref::<TransportError>())?;
    let error = TransportError::new(inner.kind, &inner.endpoint, &inner.reason);
    Some(match &inner.hint {
        Some(hint) => error.hint(hint),
        None => error,
    })
}
