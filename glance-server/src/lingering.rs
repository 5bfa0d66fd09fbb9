//! What becomes of a request's body that the API does not want.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body as _, Frame, Incoming, SizeHint};
use tokio::runtime::Handle;

/// A request's body that goes on being read for a while when the API drops it early. Closing the
/// connection on a client that is still sending would reset it, and the client might lose the
/// answer.
pub(crate) struct Lingering {
    /// There until it is dropped.
    body: Option<Incoming>,
    /// Whether the client waits for a word before it sends: then nothing is under way.
    expecting: bool,
}

impl Lingering {
    /// The body of a client that waits for a word before it sends, or does not.
    pub(crate) fn new(body: Incoming, expecting: bool) -> Self {
        Self { body: Some(body), expecting }
    }
}

impl hyper::body::Body for Lingering {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match &mut self.body {
            Some(body) => Pin::new(body).poll_frame(context),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(hyper::body::Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map(hyper::body::Body::size_hint).unwrap_or_default()
    }
}

impl Drop for Lingering {
    fn drop(&mut self) {
        let Some(mut body) = self.body.take().filter(|body| !body.is_end_stream()) else {
            return;
        };
        if let (false, Ok(runtime)) = (self.expecting, Handle::try_current()) {
            let rest = async move { while let Some(Ok(_)) = body.frame().await {} };
            runtime.spawn(tokio::time::timeout(LINGER, rest));
        }
    }
}

/// How long a client may go on sending what nobody wants.
const LINGER: Duration = Duration::from_secs(5);
