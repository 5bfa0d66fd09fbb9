//! Timeouts for silent clients.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_util::{StreamExt, stream};
use glance_core::body::Body;
use glance_core::error::BodyError;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

/// Wraps a body: reading fails when no bytes arrive within `silence`. Only the time spent in a read
/// counts.
pub(crate) fn watched(body: Body, silence: Duration) -> Body {
    let size = body.size();
    let chunks = stream::unfold(Some(body), move |body| async move {
        let mut body = body?;
        match tokio::time::timeout(silence, body.next()).await {
            Ok(chunk) => Some((chunk?, Some(body))),
            Err(_) => Some((Err(silent(silence)), None)),
        }
    });
    Body::from_stream(chunks, size)
}

fn silent(silence: Duration) -> BodyError {
    let reason = format!("the client sent nothing for {} s", silence.as_secs_f64());
    io::Error::new(io::ErrorKind::TimedOut, reason).into()
}

/// A connection whose writes fail when the client reads nothing for `silence`.
pub(crate) struct Watched<T> {
    io: T,
    silence: Duration,
    /// When the blocked write times out.
    end: Option<Pin<Box<Sleep>>>,
}

impl<T> Watched<T> {
    pub(crate) fn new(io: T, silence: Duration) -> Self {
        Self { io, silence, end: None }
    }

    /// Returns the result of a write, or a timeout if the write has been blocked for too long.
    fn limit<R>(
        &mut self,
        went: Poll<io::Result<R>>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<R>> {
        if went.is_ready() {
            self.end = None;
            return went;
        }
        let silence = self.silence;
        let end = self.end.get_or_insert_with(|| Box::pin(tokio::time::sleep(silence)));
        ready!(end.as_mut().poll(context));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Watched<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(context, buffer)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Watched<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let went = Pin::new(&mut self.io).poll_write(context, bytes);
        self.limit(went, context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let went = Pin::new(&mut self.io).poll_write_vectored(context, slices);
        self.limit(went, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let went = Pin::new(&mut self.io).poll_flush(context);
        self.limit(went, context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let went = Pin::new(&mut self.io).poll_shutdown(context);
        self.limit(went, context)
    }
}
