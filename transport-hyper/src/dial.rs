//! Opens TCP connections, and words the reasons why one cannot be opened.

use std::io;
use std::net::SocketAddr;

use tokio::net::{TcpSocket, TcpStream, lookup_host};

/// Why no TCP connection was opened.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct DialError {
    /// What happened, in a few words.
    pub(crate) reason: String,
    /// What the operator can do about it, if the other end is a server.
    pub(crate) hint: &'static str,
}

/// Opens a TCP connection to the first address of the host that accepts one.
pub(crate) async fn dial(host: &str, port: u16) -> Result<TcpStream, DialError> {
    let addresses = lookup_host((host, port)).await.map_err(|error| unresolved(host, &error))?;
    let mut failure = None;
    for address in addresses {
        match dial_address(address).await {
            Ok(tcp) => return Ok(tcp),
            Err(error) => failure = Some(refused(&error)),
        }
    }
    Err(failure.unwrap_or_else(|| {
        let reason = format!("the host name {host} has no address");
        DialError { reason, hint: CHECK_NAME }
    }))
}

async fn dial_address(address: SocketAddr) -> io::Result<TcpStream> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // Firewalls drop idle connections, such as those waiting for the response to an upload.
    socket.set_keepalive(true)?;
    socket.connect(address).await
}

fn unresolved(host: &str, error: &io::Error) -> DialError {
    let error = error.to_string();
    let why = error.strip_prefix("failed to lookup address information: ").unwrap_or(&error);
    DialError { reason: format!("cannot resolve the host name {host}: {why}"), hint: CHECK_NAME }
}

fn refused(error: &io::Error) -> DialError {
    let (reason, hint) = match error.kind() {
        io::ErrorKind::ConnectionRefused => ("connection refused", CHECK_PORT),
        io::ErrorKind::HostUnreachable => ("the host is unreachable", CHECK_ROUTE),
        io::ErrorKind::NetworkUnreachable => ("the network is unreachable", CHECK_ROUTE),
        io::ErrorKind::TimedOut => ("connection timed out", CHECK_SILENT),
        _ => return DialError { reason: error.to_string(), hint: CHECK_ROUTE },
    };
    DialError { reason: reason.to_owned(), hint }
}

const CHECK_NAME: &str =
    "check the spelling of the host name, and the DNS settings of this machine";
const CHECK_PORT: &str = "check the address and the port, and that the server is running";
const CHECK_ROUTE: &str = "check the address, and the network settings of this machine";

/// The hint for a server that does not answer at all.
pub(crate) const CHECK_SILENT: &str =
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
            let found = refused(&io::Error::from(kind));
            assert_eq!(found, DialError { reason: reason.to_owned(), hint });
        }
        let error = "failed to lookup address information: Name or service not known";
        let found = unresolved("glanse.test", &io::Error::other(error));
        let reason = "cannot resolve the host name glanse.test: Name or service not known";
        assert_eq!(found, DialError { reason: reason.to_owned(), hint: CHECK_NAME });
    }

    #[tokio::test]
    async fn a_port_without_a_server_is_refused() {
        let unused = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = unused.local_addr().unwrap().port();
        drop(unused);
        let error = dial("127.0.0.1", port).await.unwrap_err();
        assert_eq!((error.reason.as_str(), error.hint), ("connection refused", CHECK_PORT));
    }
}
