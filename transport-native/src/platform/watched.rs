//! Notes how a server behaves in the handshake, because each platform's library words that
//! differently.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use glance_core::transport::failure::io_reason;
use tls_policy::fault::Alert;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use transport_hyper::Io;

/// A connection to a server of which the first bytes and the end are noted.
pub(crate) struct Watched {
    io: Box<dyn Io>,
    seen: Seen,
}

/// What was seen of the server.
#[derive(Debug, Clone, Default)]
pub(crate) struct Seen(Arc<Mutex<Notes>>);

#[derive(Debug, Default)]
struct Notes {
    /// The first bytes from the server.
    first: Vec<u8>,
    /// How the connection ended, if it did.
    closed: Option<String>,
}

impl Watched {
    pub(crate) fn new(io: Box<dyn Io>) -> (Self, Seen) {
        let seen = Seen::default();
        (Self { io, seen: seen.clone() }, seen)
    }
}

impl Seen {
    fn notes(&self) -> MutexGuard<'_, Notes> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, read: &io::Result<()>, bytes: &[u8]) {
        let mut notes = self.notes();
        let missing = ALERT_RECORD - notes.first.len();
        notes.first.extend_from_slice(&bytes[..bytes.len().min(missing)]);
        match read {
            Err(error) => notes.closed = Some(io_reason(error)),
            Ok(()) if bytes.is_empty() => {
                notes.closed = Some(io_reason(&io::ErrorKind::UnexpectedEof.into()));
            }
            Ok(()) => {}
        }
    }

    /// Whether the first byte from the server, if any came, begins a TLS record (RFC 8446, 5.1).
    pub(crate) fn speaks_tls(&self) -> bool {
        matches!(self.notes().first.first(), None | Some(&(ALERT | HANDSHAKE)))
    }

    /// The alert with which the server answered, if it did.
    pub(crate) fn alert(&self) -> Option<Alert> {
        match self.notes().first[..] {
            [ALERT, _, _, _, _, _, description] => Some(Alert(description)),
            _ => None,
        }
    }

    /// How the connection ended, if it did.
    pub(crate) fn closed(&self) -> Option<String> {
        self.notes().closed.clone()
    }
}

/// Types of TLS records.
const ALERT: u8 = 21;
const HANDSHAKE: u8 = 22;

/// The length of a record with an alert: type, version, length, level and description.
const ALERT_RECORD: usize = 7;

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = ready!(Pin::new(&mut self.io).poll_read(context, buffer));
        self.seen.note(&read, &buffer.filled()[before..]);
        Poll::Ready(read)
    }
}

impl AsyncWrite for Watched {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    /// What is seen of a server that sends these bytes and hangs up.
    async fn seen_of(bytes: &[u8]) -> Seen {
        let (client, mut server) = tokio::io::duplex(64);
        let (mut watched, seen) = Watched::new(Box::new(client));
        server.write_all(bytes).await.unwrap();
        let mut read = vec![0; bytes.len()];
        // In two parts, as a network may deliver it.
        let (one, other) = read.split_at_mut(bytes.len() / 2);
        watched.read_exact(one).await.unwrap();
        watched.read_exact(other).await.unwrap();
        assert_eq!(seen.closed(), None);
        drop(server);
        assert_eq!(watched.read(&mut [0; 8]).await.unwrap(), 0);
        seen
    }

    #[tokio::test]
    async fn the_first_bytes_tell_what_the_server_speaks() {
        assert!(!seen_of(b"HTTP/1.1 400 Bad Request").await.speaks_tls());
        let nothing = seen_of(b"").await;
        assert!(nothing.speaks_tls() && nothing.alert().is_none());
        assert_eq!(nothing.closed().unwrap(), "the server closed the connection");
        // The alerts "protocol version", and a ServerHello.
        let alert = seen_of(&[21, 3, 1, 0, 2, 2, 70]).await;
        assert!(alert.speaks_tls());
        assert_eq!(alert.alert(), Some(Alert(70)));
        let hello = seen_of(&[22, 3, 3, 0, 50, 2, 0, 0, 46, 3]).await;
        assert!(hello.speaks_tls() && hello.alert().is_none());
    }
}
