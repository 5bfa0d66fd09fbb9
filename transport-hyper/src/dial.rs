//! Opens TCP connections.

use std::io;
use std::net::SocketAddr;

use glance_core::transport::failure::DialError;
use tokio::net::{TcpSocket, TcpStream, lookup_host};

/// Opens a TCP connection to the first address of the host that accepts one.
pub(crate) async fn dial(host: &str, port: u16) -> Result<TcpStream, DialError> {
    let addresses = lookup_host((host, port)).await;
    let addresses = addresses.map_err(|error| DialError::unresolved(host, &error.to_string()))?;
    let mut failure = None;
    for address in addresses {
        match dial_address(address).await {
            Ok(tcp) => return Ok(tcp),
            Err(error) => failure = Some(DialError::refused(&error)),
        }
    }
    Err(failure.unwrap_or_else(|| DialError::without_address(host)))
}

async fn dial_address(address: SocketAddr) -> io::Result<TcpStream> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // Firewalls drop idle connections, such as those waiting for the response to an upload.
    socket.set_keepalive(true)?;
    socket.connect(address).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_port_without_a_server_is_refused() {
        let unused = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = unused.local_addr().unwrap().port();
        drop(unused);
        let error = dial("127.0.0.1", port).await.unwrap_err();
        let hint = "check the address and the port, and that the server is running";
        assert_eq!((error.reason.as_str(), error.hint), ("connection refused", hint));
    }
}
