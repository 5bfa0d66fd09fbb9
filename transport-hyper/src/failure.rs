//! Translates hyper's errors.

use std::io;
use std::sync::{Arc, OnceLock};

use glance_core::error::{all_causes, causes};
use glance_core::transport::failure::{innermost, io_reason};
use glance_core::transport::{ClientCertificate, TransportError, TransportErrorKind};
use hyper_util::client::legacy;
use tls_policy::fault::{Alert, Fault};
use tls_policy::verdict::refusal;

/// Converts an error of hyper into a [`TransportError`].
pub(crate) fn explain(error: &legacy::Error, endpoint: &str) -> TransportError {
    let ending = ending(error);
    let judged = || ending.as_ref().and_then(Ending::refusal);
    if let Some(failure) = inner_transport_error(error).or_else(judged) {
        return failure;
    }
    let hyper = causes(error).find_map(|error| error.downcast_ref::<hyper::Error>());
    let kind = match hyper {
        Some(error) if error.is_timeout() => TransportErrorKind::Timeout,
        Some(error) if error.is_parse() || error.is_user() => TransportErrorKind::Protocol,
        _ => TransportErrorKind::Interrupted,
    };
    let is_end = |error: &hyper::Error| error.is_canceled() || error.is_incomplete_message();
    let reason = match ending.as_ref().and_then(Ending::reason) {
        Some(reason) => reason.to_owned(),
        None if hyper.is_some_and(is_end) => io_reason(&io::ErrorKind::UnexpectedEof.into()),
        None => innermost(error),
    };
    TransportError::of_exchange(kind, reason, endpoint)
}

/// Records why a connection can no longer be read, because hyper does not report why a connection
/// closed before its request. In TLS 1.3, the alert by which a server rejects a client certificate
/// arrives after the handshake, in place of a response.
#[derive(Debug, Clone)]
pub(crate) struct Ending(Arc<Connection>);

#[derive(Debug)]
struct Connection {
    endpoint: String,
    /// Whether the server requested a client certificate, as far as the TLS library shows it.
    asked: Option<ClientCertificate>,
    reason: OnceLock<String>,
}

impl Ending {
    pub(crate) fn new(asked: Option<ClientCertificate>, endpoint: &str) -> Self {
        let endpoint = endpoint.to_owned();
        Self(Arc::new(Connection { endpoint, asked, reason: OnceLock::new() }))
    }

    /// Records an I/O error of the connection, and wraps it if it rejects a client certificate.
    pub(crate) fn record(&self, error: io::Error) -> io::Error {
        self.0.reason.get_or_init(|| io_reason(&error));
        match self.refusal() {
            Some(refusal) => io::Error::new(error.kind(), refusal),
            None => error,
        }
    }

    fn reason(&self) -> Option<&str> {
        self.0.reason.get().map(String::as_str)
    }

    /// The error for the alert that closed the connection, if the server requested a certificate.
    fn refusal(&self) -> Option<TransportError> {
        let (asked, alert) = (self.0.asked?, Alert::in_message(self.reason()?)?);
        Some(refusal(&Fault::ClientCertificate(asked, alert), "", &self.0.endpoint, &[], &[]))
    }
}

/// The record of the connection that hyper used.
fn ending(error: &legacy::Error) -> Option<Ending> {
    let mut found = http::Extensions::new();
    error.connect_info()?.get_extras(&mut found);
    found.remove()
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
