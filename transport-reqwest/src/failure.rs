//! Translates reqwest's errors.

use std::error::Error;
use std::io;

use glance_core::error::{all_causes, causes, one_line};
use glance_core::transport::failure::{CHECK_SILENT, DialError, innermost};
use glance_core::transport::{TransportError, TransportErrorKind};
use http::Uri;
use tls_policy::TlsVersion;
use tls_policy::fault::{Alert, Fault};
use tls_policy::verdict::refusal;

use crate::library_words::FAULTS;

/// Converts an error of reqwest into a [`TransportError`].
pub(crate) fn explain(error: reqwest::Error, uri: &Uri, endpoint: &str) -> TransportError {
    // The URL may contain secrets.
    let error = error.without_url();
    let host = uri.host().unwrap_or_default();
    if error.is_connect() {
        return connect(&error, uri, endpoint);
    }
    // In TLS 1.3, a server that rejects the client certificate says so after the handshake.
    if let Some(alert) = Alert::in_message(&one_line(&error)) {
        return refusal(&alert.fault(None, TlsVersion::V1_2), host, endpoint, &[], &[]);
    }
    let hyper = all_causes(&error).find_map(|error| error.downcast_ref::<hyper::Error>());
    let (kind, reason) = match hyper {
        Some(error) if error.is_timeout() => (TransportErrorKind::Timeout, innermost(error)),
        Some(error) if error.is_parse() || error.is_user() => {
            (TransportErrorKind::Protocol, innermost(error))
        }
        // hyper drops the alert of a server that closes the connection before the request.
        Some(error) if error.is_canceled() => (TransportErrorKind::Interrupted, CLOSED.to_owned()),
        _ => (TransportErrorKind::Interrupted, innermost(&error)),
    };
    TransportError::of_exchange(kind, reason, endpoint)
}

const CLOSED: &str =
    "the server closed the connection before the request; it may require a client certificate";

/// The error of a connection that was not opened.
fn connect(error: &reqwest::Error, uri: &Uri, endpoint: &str) -> TransportError {
    let host = uri.host().unwrap_or_default();
    let failure =
        |kind, DialError { reason, hint }| TransportError::new(kind, endpoint, reason).hint(hint);
    if error.is_timeout() {
        let reason = "no connection within the time limit".to_owned();
        return failure(TransportErrorKind::Timeout, DialError { reason, hint: CHECK_SILENT });
    }
    if error.is_dns() {
        let unresolved = DialError::unresolved(host, &innermost(error));
        return failure(TransportErrorKind::Connect, unresolved);
    }
    let mut io = all_causes(error).filter_map(<dyn Error>::downcast_ref::<io::Error>);
    if let Some(system) = io.find(|io| io.raw_os_error().is_some()) {
        return failure(TransportErrorKind::Connect, DialError::refused(system));
    }
    let said = one_line(error);
    let is_of_proxy = ["tunnel error", "SOCKS error"].iter().any(|words| said.contains(words));
    if is_of_proxy || uri.scheme_str() != Some("https") {
        let reason = innermost(error);
        return failure(TransportErrorKind::Connect, DialError { reason, hint: CHECK_SILENT });
    }
    refusal(&fault(error, &said), host, endpoint, &[], &[])
}

/// Why the TLS library refused a server, from its message: neither reqwest nor native-tls has types
/// for that.
fn fault(error: &reqwest::Error, said: &str) -> Fault {
    if let Some((_, fault)) = FAULTS.iter().find(|(words, _)| said.contains(words)) {
        return fault.clone();
    }
    if let Some(alert) = Alert::in_message(said) {
        return alert.fault(None, TlsVersion::V1_2);
    }
    if said.to_lowercase().contains("eof") {
        return Fault::Closed("the server closed the connection".to_owned());
    }
    // Below the errors of reqwest and hyper.
    let library = causes(error).nth(2).map_or_else(|| innermost(error), ToString::to_string);
    match said.contains("certificate") {
        true => Fault::Unfit(Vec::new(), format!("was refused: {library}")),
        false => Fault::Other(format!("the TLS handshake failed: {library}")),
    }
}
