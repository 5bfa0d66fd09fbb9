//! Tunnels through a proxy by `CONNECT` (RFC 9110, 9.3.6).

use std::io;

use glance_core::TransportError;
use http::StatusCode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::proxy::Proxy;
use crate::tls::Io;

/// Asks `proxy`, at the other end of `io`, to connect to `server` (`host:port`). The proxy learns
/// nothing else about the request.
pub(crate) async fn open(
    io: &mut dyn Io,
    proxy: &Proxy,
    server: &str,
) -> Result<(), TransportError> {
    let mut request = format!("CONNECT {server} HTTP/1.1\r\nHost: {server}\r\n").into_bytes();
    if let Some(credentials) = &proxy.credentials {
        request.extend_from_slice(b"Proxy-Authorization: ");
        request.extend_from_slice(credentials.as_bytes());
        request.extend_from_slice(b"\r\n");
    }
    request.extend_from_slice(b"\r\n");
    let answer = ask(io, &request).await.map_err(|error| {
        proxy.failure(match error.kind() {
            io::ErrorKind::UnexpectedEof => {
                "the proxy closed the connection without a response".to_owned()
            }
            _ => error.to_string(),
        })
    })?;
    match status(&answer) {
        Some(status) if status.is_success() => Ok(()),
        Some(status) => Err(proxy.refusal(status, server)),
        None => Err(proxy.failure("the response of the proxy is not HTTP".to_owned())),
    }
}

/// Sends `request` and returns the response head, cut off at `HEAD_LIMIT`. Reads no byte beyond the
/// head: the rest belongs to the server.
async fn ask(io: &mut dyn Io, request: &[u8]) -> io::Result<Vec<u8>> {
    io.write_all(request).await?;
    io.flush().await?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") && head.len() < HEAD_LIMIT {
        head.push(io.read_u8().await?);
    }
    Ok(head)
}

/// The status code of a complete response head.
fn status(head: &[u8]) -> Option<StatusCode> {
    let head = head.strip_suffix(b"\r\n\r\n")?.strip_prefix(b"HTTP/1.")?;
    let code = head.split(|byte| *byte == b' ').nth(1)?;
    StatusCode::from_bytes(code.get(..3)?).ok()
}

const HEAD_LIMIT: usize = 16 * 1024;
