//! The suite's servers, whose behaviour each case defines.

use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::conformance::Wrong;

/// A server on the loopback interface; it stops when it is dropped.
pub(super) struct Server {
    pub(super) address: SocketAddr,
    seen: mpsc::UnboundedReceiver<Seen>,
    accepting: JoinHandle<()>,
    patience: Duration,
    moment: Duration,
}

/// A report of a connection's handler.
pub(super) type Seen = Result<Vec<u8>, Wrong>;

/// One connection, with the channel for its handler's reports.
pub(super) struct Connection {
    pub(super) tcp: TcpStream,
    seen: mpsc::UnboundedSender<Seen>,
}

impl Server {
    /// Starts a server that handles each connection with `behave`, independently of the others.
    /// `patience` and `moment` are those of [`TransportUnderTest`](super::TransportUnderTest).
    pub(super) async fn start<F>(
        patience: Duration,
        moment: Duration,
        behave: impl Fn(Connection) -> F + Send + 'static,
    ) -> Result<Self, Wrong>
    where
        F: Future<Output = Result<(), Wrong>> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let (told, seen) = mpsc::unbounded_channel();
        let accepting = tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                let told = told.clone();
                let handled = behave(Connection { tcp, seen: told.clone() });
                tokio::spawn(async move {
                    if let Err(wrong) = handled.await {
                        let _ = told.send(Err(wrong));
                    }
                });
            }
        });
        Ok(Self { address, seen, accepting, patience, moment })
    }

    /// The next report of a handler; an error if none arrives in time.
    pub(super) async fn seen(&mut self) -> Seen {
        match tokio::time::timeout(self.patience, self.seen.recv()).await {
            Ok(Some(seen)) => seen,
            _ => Err("the server saw nothing of the kind".into()),
        }
    }

    /// Whether a report has arrived or arrives within a moment.
    pub(super) async fn sees_more(&mut self) -> bool {
        tokio::time::timeout(self.moment, self.seen.recv()).await.is_ok_and(|seen| seen.is_some())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Connection {
    /// Sends a report to the case.
    pub(super) fn saw(&self, what: impl Into<Vec<u8>>) {
        // A case that has ended no longer receives reports.
        let _ = self.seen.send(Ok(what.into()));
    }

    /// The head of the next request; `None` if the client has closed the connection.
    pub(super) async fn head(&mut self) -> Result<Option<String>, Wrong> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            match self.tcp.read_u8().await {
                Ok(byte) => head.push(byte),
                Err(_) if head.is_empty() => return Ok(None),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(Some(String::from_utf8(head)?))
    }

    /// All bytes until the client ends or breaks the connection.
    pub(super) async fn rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        // A broken connection also counts as the end.
        let _ = self.tcp.read_to_end(&mut rest).await;
        rest
    }

    pub(super) async fn write(&mut self, bytes: impl AsRef<[u8]>) -> Result<(), Wrong> {
        Ok(self.tcp.write_all(bytes.as_ref()).await?)
    }
}
