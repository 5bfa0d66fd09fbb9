//! Reads as many bytes as are available at once.
//!
//! A TLS stream returns one record (16 KiB) per read, and hyper turns each read into a chunk that
//! passes between tasks. Larger chunks avoid most of that overhead.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A stream whose reads fill the reader's buffer as far as possible without waiting.
pub(crate) struct Fill<T> {
    inner: T,
    /// An error that followed some bytes; the next read returns it.
    failure: Option<io::Error>,
}

impl<T> Fill<T> {
    pub(crate) fn new(inner: T) -> Self {
        Self { inner, failure: None }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Fill<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Some(failure) = self.failure.take() {
            return Poll::Ready(Err(failure));
        }
        let mut before = buffer.filled().len();
        ready!(Pin::new(&mut self.inner).poll_read(context, buffer))?;
        while buffer.filled().len() > before && buffer.remaining() >= RECORD {
            before = buffer.filled().len();
            match Pin::new(&mut self.inner).poll_read(context, buffer) {
                Poll::Pending => break,
                Poll::Ready(Ok(())) => {}
                // Return the bytes read before the error first.
                Poll::Ready(Err(error)) => self.failure = Some(error),
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Fill<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(context, buffers)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }
}

/// The maximum payload of a TLS record (RFC 8446, 5.1).
const RECORD: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::*;

    /// Yields ten bytes twice, then one error.
    struct Breaking(u8);

    impl AsyncRead for Breaking {
        fn poll_read(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            buffer: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            self.0 += 1;
            match self.0 {
                1 | 2 => buffer.put_slice(&[self.0; 10]),
                3 => return Poll::Ready(Err(io::Error::other("broken"))),
                _ => {}
            }
            Poll::Ready(Ok(()))
        }
    }

    #[tokio::test]
    async fn fills_the_buffer_and_loses_neither_bytes_nor_the_error() {
        let mut fill = Fill::new(Breaking(0));
        let mut buffer = vec![0; 2 * RECORD];
        assert_eq!(fill.read(&mut buffer).await.unwrap(), 20);
        assert_eq!(buffer[..20], [[1; 10], [2; 10]].concat());
        assert_eq!(fill.read(&mut buffer).await.unwrap_err().to_string(), "broken");
    }
}
