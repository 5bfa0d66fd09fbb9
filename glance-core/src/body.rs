//! A stream of bytes, with its length where the length is known.

use std::fmt;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::stream::{self, BoxStream, StreamExt};
use http_body::{Frame, SizeHint};

use crate::digest::worker::ChunkWorker;
use crate::digest::{Algorithm, Awaited, Hashers};
use crate::error::{BodyError, io_error};

/// The bytes of a request, of a response, or of an image.
///
/// A body can be read once. A body made from bytes in memory can also be repeated
/// ([`again`](Self::again)); any other body must be created anew by its source, or is not sent a
/// second time.
///
/// As a [`Stream`](futures_util::Stream) a body yields chunks. As an [`http_body::Body`] it can be
/// sent by HTTP libraries. An error is the last item.
pub struct Body {
    /// The mutex is never locked: it makes the body `Sync`, which a stream need not be.
    chunks: Mutex<Chunks>,
    size: Option<u64>,
    /// The complete data, if it was known when the body was created.
    whole: Option<Bytes>,
    digests: Option<Awaited>,
}

type Chunks = BoxStream<'static, Result<Bytes, BodyError>>;

impl Body {
    /// A body without bytes.
    pub fn empty() -> Self {
        Bytes::new().into()
    }

    /// A body that yields `chunks`. A `size` is a promise of that many bytes: a transport announces
    /// it as `Content-Length` and aborts the request if the body ends earlier.
    pub fn from_stream<S>(chunks: S, size: Option<u64>) -> Self
    where
        S: futures_util::Stream<Item = Result<Bytes, BodyError>> + Send + 'static,
    {
        Self::streaming(chunks.boxed(), size)
    }

    /// A body that yields the bytes of `reader`, such as a file, from its present position to its
    /// end. They are read on a thread for blocking work, so the body must be read inside a tokio
    /// runtime. `size` is a promise as in [`from_stream`](Self::from_stream).
    ///
    /// ```no_run
    /// use std::fs::File;
    /// use glance_core::Body;
    ///
    /// let file = File::open("debian-12.qcow2")?;
    /// let size = file.metadata()?.len();
    /// let data = Body::from_reader(file, Some(size));
    /// # std::io::Result::Ok(())
    /// ```
    pub fn from_reader<R>(reader: R, size: Option<u64>) -> Self
    where
        R: Read + Send + 'static,
    {
        let chunks = stream::try_unfold(reader, |mut reader| async move {
            let read = tokio::task::spawn_blocking(move || {
                let mut chunk = Vec::with_capacity(CHUNK);
                reader.by_ref().take(CHUNK as u64).read_to_end(&mut chunk)?;
                io::Result::Ok((chunk, reader))
            });
            let (chunk, reader) = read.await.map_err(BodyError::from)??;
            Ok((!chunk.is_empty()).then(|| (Bytes::from(chunk), reader)))
        });
        Self::streaming(chunks.boxed(), size)
    }

    /// A body that yields these bytes of `reader`, such as a file. The bytes are read as by
    /// [`from_reader`](Self::from_reader).
    ///
    /// # Errors
    /// When `reader` cannot go to the beginning of `range`.
    pub fn part_of<R>(mut reader: R, range: Range<u64>) -> io::Result<Self>
    where
        R: Read + Seek + Send + 'static,
    {
        reader.seek(SeekFrom::Start(range.start))?;
        let length = range.end - range.start;
        Ok(Self::from_reader(reader.take(length), Some(length)))
    }

    fn streaming(chunks: Chunks, size: Option<u64>) -> Self {
        Self { chunks: Mutex::new(chunks), size, digests: None, whole: None }
    }

    /// The same body, with the digests that its creator computes from all of its bytes while they
    /// stream. Code that wraps this body in another one with the same bytes passes the digests on;
    /// otherwise, a store computes them a second time:
    /// ```
    /// use futures_util::StreamExt;
    /// use glance_core::Body;
    ///
    /// fn wrapped(data: Body) -> Body {
    ///     let size = data.size();
    ///     let digests = data.digests().cloned();
    ///     let counted = data.inspect(|chunk| { /* count the bytes */ });
    ///     Body::from_stream(counted, size).carrying(digests)
    /// }
    /// ```
    #[must_use]
    pub fn carrying(self, digests: Option<Awaited>) -> Self {
        Self { digests, ..self }
    }

    /// The body of a message of an HTTP library. Trailers are dropped.
    pub fn from_http<B>(body: B) -> Self
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BodyError>,
    {
        let size = body.size_hint().exact();
        let mut body = Box::pin(body);
        let chunks = stream::poll_fn(move |context| {
            loop {
                return match ready!(body.as_mut().poll_frame(context)) {
                    None => Poll::Ready(None),
                    Some(Err(error)) => Poll::Ready(Some(Err(error.into()))),
                    Some(Ok(frame)) => match frame.into_data() {
                        Ok(data) => Poll::Ready(Some(Ok(data))),
                        Err(_trailers) => continue,
                    },
                };
            }
        });
        Self::streaming(chunks.boxed(), size)
    }

    /// A second body with the same bytes from the beginning, no matter how much of this body has
    /// been read. `None` for a stream.
    pub fn again(&self) -> Option<Self> {
        self.whole.clone().map(Self::from)
    }

    /// The same body, made non-repeatable: [`again`](Self::again) returns `None`.
    #[must_use]
    pub fn once(self) -> Self {
        Self { whole: None, ..self }
    }

    /// The promised size in bytes, if known in advance.
    pub fn size(&self) -> Option<u64> {
        self.size
    }

    /// The digests that the body's creator computes from all of its bytes, so that the consumer
    /// need not compute them again.
    pub fn digests(&self) -> Option<&Awaited> {
        self.digests.as_ref()
    }

    /// The same body. `watch` gets each chunk when it is read.
    #[must_use]
    pub(crate) fn watched(self, watch: impl Fn(&Bytes) + Send + 'static) -> Self {
        let Self { chunks, size, whole, digests } = self;
        let chunks = chunks.into_inner().unwrap_or_else(PoisonError::into_inner);
        let chunks = chunks.inspect(move |chunk| chunk.iter().for_each(&watch)).boxed();
        Self { chunks: Mutex::new(chunks), size, whole, digests }
    }

    /// Reads the first `length` bytes, or fewer if the body ends or fails earlier. Returns these
    /// bytes with a body that still yields everything, including the bytes and an error already
    /// read.
    pub async fn peek(mut self, length: usize) -> (Bytes, Self) {
        let (mut head, mut read) = (Vec::new(), Vec::new());
        while head.len() < length {
            let Some(chunk) = self.next().await else { break };
            let failed = chunk.is_err();
            if let Ok(chunk) = &chunk {
                head.extend_from_slice(&chunk[..chunk.len().min(length - head.len())]);
            }
            read.push(chunk);
            if failed {
                break;
            }
        }
        let rest = self.chunks.into_inner().unwrap_or_else(PoisonError::into_inner);
        let chunks = Mutex::new(stream::iter(read).chain(rest).boxed());
        (head.into(), Self { chunks, ..self })
    }

    /// Returns the same body. A body that promises no bytes is first read to its end: HTTP
    /// libraries never poll such a body and would not notice its error.
    ///
    /// # Errors
    /// When a body that promises no bytes fails or yields bytes.
    pub async fn proven_if_empty(mut self) -> Result<Self, BodyError> {
        if self.size != Some(0) {
            return Ok(self);
        }
        while let Some(chunk) = self.next().await {
            if !chunk?.is_empty() {
                return Err("the data is longer than announced".into());
            }
        }
        Ok(self)
    }

    /// Writes the complete body to `writer`, such as a file, on a thread for blocking work, and
    /// returns the writer. What was written before an error remains. If the future is dropped, the
    /// thread may still write what it has received, so an attempt of its own needs a file of its own.
    ///
    /// # Errors
    /// When the body fails or writing fails.
    pub async fn write_to<W>(mut self, mut writer: W) -> io::Result<W>
    where
        W: Write + Send + 'static,
    {
        let mut written = ChunkWorker::start(move |chunks| {
            for chunk in chunks {
                writer.write_all(&chunk)?;
            }
            writer.flush()?;
            io::Result::Ok(writer)
        });
        while let Some(chunk) = self.next().await {
            if !written.send(chunk.map_err(io_error)?).await {
                break;
            }
        }
        written.finish().await.map_err(io::Error::from)?
    }

    /// The digest of the complete body, in lower-case hexadecimal.
    ///
    /// # Errors
    /// When the body or the library of `hashers` fails, or the library does not offer `algorithm`
    /// ([`io::ErrorKind::Unsupported`]).
    pub async fn digest(mut self, hashers: Hashers, algorithm: Algorithm) -> io::Result<String> {
        let mut hashing = hashers.start([algorithm]);
        while let Some(chunk) = self.next().await {
            hashing.update(&chunk.map_err(io_error)?).await;
        }
        let mut digests = hashing.finish().await.map_err(io_error)?;
        let missing = || io::Error::new(io::ErrorKind::Unsupported, "no such digest is offered");
        digests.remove(&algorithm).ok_or_else(missing)
    }

    fn stream(&mut self) -> &mut Chunks {
        self.chunks.get_mut().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads the complete body, up to `limit` bytes.
    ///
    /// # Errors
    /// When the body fails, or [is longer](TooLong) than `limit`.
    pub async fn collect(mut self, limit: usize) -> Result<Bytes, BodyError> {
        let mut whole = Vec::new();
        while let Some(chunk) = self.next().await {
            let chunk = chunk?;
            if whole.len() + chunk.len() > limit {
                return Err(TooLong { limit }.into());
            }
            whole.extend_from_slice(&chunk);
        }
        Ok(whole.into())
    }
}

/// A body that was to be read into memory is longer than the limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("longer than {}", readable(*limit))]
pub struct TooLong {
    /// The limit in bytes.
    pub limit: usize,
}

/// Formats a size limit for error messages, such as `3 MiB`.
pub fn readable(bytes: usize) -> String {
    match (bytes >> 20, bytes >> 10) {
        (mib, _) if mib > 0 && mib << 20 == bytes => format!("{mib} MiB"),
        (_, kib) if kib > 0 && kib << 10 == bytes => format!("{kib} KiB"),
        _ => format!("{bytes} bytes"),
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        let size = Some(bytes.len() as u64);
        let chunk = (!bytes.is_empty()).then_some(Ok(bytes.clone()));
        Self { whole: Some(bytes), ..Self::streaming(stream::iter(chunk).boxed(), size) }
    }
}

impl futures_util::Stream for Body {
    type Item = Result<Bytes, BodyError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.stream().poll_next_unpin(context)
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        self.stream().poll_next_unpin(context).map_ok(Frame::data)
    }

    fn is_end_stream(&self) -> bool {
        self.size == Some(0)
    }

    fn size_hint(&self) -> SizeHint {
        self.size.map(SizeHint::with_exact).unwrap_or_default()
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Body").field("size", &self.size).finish_non_exhaustive()
    }
}

/// The size of a chunk read from a reader, in bytes.
const CHUNK: usize = 256 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn failing() -> Body {
        let chunks = ["abc", "def"].map(|text| Ok(Bytes::from_static(text.as_bytes())));
        let end = stream::iter([Err("cut".into()), Ok(Bytes::from_static(b"never"))]);
        Body::from_stream(stream::iter(chunks).chain(end.take(1)), Some(9))
    }

    #[tokio::test]
    async fn a_look_at_the_first_bytes_changes_nothing() {
        for (length, seen) in [(0, ""), (2, "ab"), (3, "abc"), (4, "abcd"), (100, "abcdef")] {
            let (head, mut body) = failing().peek(length).await;
            assert_eq!(head, seen);
            assert_eq!(body.size(), Some(9));
            let mut passed = Vec::new();
            while let Some(chunk) = body.next().await {
                passed.push(chunk.map_err(|error| error.to_string()));
            }
            assert_eq!(passed, [Ok("abc".into()), Ok("def".into()), Err("cut".to_owned())]);
        }
        let (head, body) = Body::empty().peek(7).await;
        assert!(head.is_empty() && body.collect(0).await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn a_body_without_bytes_is_read_to_its_end_and_others_are_left_alone() {
        let body = |parts: Vec<Result<Bytes, BodyError>>, size| {
            Body::from_stream(stream::iter(parts), Some(size)).proven_if_empty()
        };
        assert_eq!(body(vec![Ok(Bytes::new())], 0).await.unwrap().size(), Some(0));
        assert_eq!(body(vec![Err("bad".into())], 0).await.unwrap_err().to_string(), "bad");
        let error = body(vec![Ok(Bytes::from_static(b"x"))], 0).await.unwrap_err();
        assert!(error.to_string().contains("longer than announced"), "{error}");
        let failing = body(vec![Ok(Bytes::from_static(b"x")), Err("bad".into())], 2).await.unwrap();
        assert_eq!(failing.count().await, 2);
        let error = Body::from(Bytes::from_static(b"abc")).collect(2).await.unwrap_err();
        assert_eq!(*error.downcast::<TooLong>().unwrap(), TooLong { limit: 2 });
        let named = [3 << 20, 5 << 10, 1000].map(|limit| TooLong { limit }.to_string());
        assert_eq!(named, ["3 MiB", "5 KiB", "1000 bytes"].map(|it| format!("longer than {it}")));
    }

    #[tokio::test]
    async fn a_reader_is_read_and_a_writer_is_written_to_the_end() {
        let data: Vec<u8> = (0..=250).cycle().take(3 * CHUNK + 7).collect();
        let body = Body::from_reader(io::Cursor::new(data.clone()), Some(data.len() as u64));
        assert_eq!(body.size(), Some(data.len() as u64));
        assert_eq!(body.write_to(Vec::new()).await.unwrap(), data);
        let part = Body::part_of(io::Cursor::new(data.clone()), 5..7).unwrap();
        assert_eq!((part.size(), part.collect(9).await.unwrap()), (Some(2), vec![5, 6].into()));
        let error = failing().write_to(Vec::new()).await.unwrap_err();
        assert_eq!(error.to_string(), "cut");
        let no_room: &'static mut [u8] = &mut [];
        let body = Body::from(Bytes::from_static(b"abc"));
        let full = body.write_to(no_room).await.unwrap_err();
        assert_eq!(full.kind(), io::ErrorKind::WriteZero);
    }

    #[test]
    fn a_body_can_be_shared_between_threads() {
        fn shared<T: Send + Sync>() {}
        shared::<Body>();
    }

    #[tokio::test]
    async fn bytes_are_repeatable_and_streams_are_not() {
        let mut body = Body::from(Bytes::from_static(b"abc"));
        body.next().await.unwrap().unwrap();
        let again = body.again().and_then(|again| again.again()).unwrap();
        assert_eq!(again.size(), Some(3));
        assert_eq!(again.collect(3).await.unwrap(), "abc");
        let empty = Body::empty().again().unwrap();
        assert_eq!((empty.size(), empty.collect(0).await.unwrap().len()), (Some(0), 0));
        let (_, peeked) = Body::from(Bytes::from_static(b"abc")).peek(2).await;
        assert_eq!(peeked.again().unwrap().collect(3).await.unwrap(), "abc");
        assert!(failing().again().is_none());
        assert!(Body::from(Bytes::from_static(b"abc")).once().again().is_none());
    }
}
