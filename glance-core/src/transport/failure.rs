//! The words for connections that were not opened and for exchanges that failed, the same for every
//! HTTP client.

use std::error::Error;
use std::io;

use super::{TransportError, TransportErrorKind};
use crate::error::causes;

impl TransportError {
    /// The error of an exchange, with the usual hint for its kind. `endpoint` is the server, as
    /// [`address::endpoint`](super::address::endpoint) formats it.
    pub fn of_exchange(kind: TransportErrorKind, reason: String, endpoint: &str) -> Self {
        let hint = match kind {
            TransportErrorKind::Interrupted => Some(LOST),
            TransportErrorKind::Protocol => Some(NOT_HTTP),
            TransportErrorKind::Timeout => Some(SILENT),
            _ => None,
        };
        let (endpoint, hint) = (endpoint.to_owned(), hint.map(str::to_owned));
        Self { kind, endpoint, reason, hint, source: None }
    }
}

const LOST: &str = "run the command again; if the connection breaks again, read the log of the server and \
                    of the proxies in front of it";
const NOT_HTTP: &str =
    "check the scheme, the address and the port: another service may listen there";
const SILENT: &str = "check that the server is not overloaded, or raise --idle-timeout";

/// The message of the innermost error of a chain, without the errors that wrap it.
pub fn innermost(error: &(dyn Error + 'static)) -> String {
    let last = causes(error).last().unwrap_or(error);
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

/// Why no TCP connection was opened.
#[derive(Debug, PartialEq, Eq)]
pub struct DialError {
    /// What happened, in a few words.
    pub reason: String,
    /// What the operator can do about it, if the other end is a server.
    pub hint: &'static str,
}

impl DialError {
    /// The host name cannot be resolved; `why` is the message of the resolver.
    pub fn unresolved(host: &str, why: &str) -> Self {
        let why = why.strip_prefix("failed to lookup address information: ").unwrap_or(why);
        let reason = format!("cannot resolve the host name {host}: {why}");
        Self { reason, hint: CHECK_NAME }
    }

    /// The resolver knows the host name, but no address.
    pub fn without_address(host: &str) -> Self {
        let reason = format!("the host name {host} has no address");
        Self { reason, hint: CHECK_NAME }
    }

    /// No address of the host accepts a connection; `error` is that of the last one.
    pub fn refused(error: &io::Error) -> Self {
        let (reason, hint) = match error.kind() {
            io::ErrorKind::ConnectionRefused => ("connection refused", CHECK_PORT),
            io::ErrorKind::HostUnreachable => ("the host is unreachable", CHECK_ROUTE),
            io::ErrorKind::NetworkUnreachable => ("the network is unreachable", CHECK_ROUTE),
            io::ErrorKind::TimedOut => ("connection timed out", CHECK_SILENT),
            _ => return Self { reason: error.to_string(), hint: CHECK_ROUTE },
        };
        Self { reason: reason.to_owned(), hint }
    }
}

const CHECK_NAME: &str =
    "check the spelling of the host name, and the DNS settings of this machine";
const CHECK_PORT: &str = "check the address and the port, and that the server is running";
const CHECK_ROUTE: &str = "check the address, and the network settings of this machine";

/// The hint for a server that does not answer at all.
pub const CHECK_SILENT: &str =
    "check the address, that the server is running, and that no firewall drops the packets";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_fits_the_cause_and_the_hint_fits_the_reason() {
        for (kind, reason, hint) in [
            (io::ErrorKind::ConnectionRefused, "connection refused", CHECK_PORT),
            (io::ErrorKind::HostUnreachable, "the host is unreachable", CHECK_ROUTE),
            (io::ErrorKind::NetworkUnreachable, "the network is unreachable", CHECK_ROUTE),
            (io::ErrorKind::TimedOut, "connection timed out", CHECK_SILENT),
        ] {
            let found = DialError::refused(&io::Error::from(kind));
            assert_eq!(found, DialError { reason: reason.to_owned(), hint });
        }
        let why = "failed to lookup address information: Name or service not known";
        let found = DialError::unresolved("glanse.test", why);
        let reason = "cannot resolve the host name glanse.test: Name or service not known";
        assert_eq!(found, DialError { reason: reason.to_owned(), hint: CHECK_NAME });
    }

    #[test]
    fn an_unexpected_end_is_said_in_our_words() {
        let library = "peer closed connection without sending TLS close_notify: https://manual";
        let error = io::Error::new(io::ErrorKind::UnexpectedEof, library);
        assert_eq!(innermost(&error), "the server closed the connection");
        let error = io::Error::new(io::ErrorKind::ConnectionReset, "connection reset");
        assert_eq!(innermost(&error), "connection reset");
    }
}
