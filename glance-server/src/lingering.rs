//! Keeps reading a request body that the API does not need.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body as _, Frame, Incoming, SizeHint};
use tokio::runtime::Handle;

/// A request body that is still read for a while after the API drops it early. Closing the
/// connection while the client is sending would reset it, and the client might lose the response.
pub(crate) struct Lingering {
    /// `Some` until the body is dropped.
    body: Option<Incoming>,
    /// Whether the client sent `Expect` and waits before sending the body, so no data is in
    /// transit.
    expecting: bool,
}

impl Lingering {
    /// Wraps the body of a request; `expecting` says whether the request has an `Expect` header.
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

/// How long an unneeded body is still read.
const LINGER: Duration = Duration::from_secs(5);
