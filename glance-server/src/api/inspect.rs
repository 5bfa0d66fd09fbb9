//! Checks uploaded data as it passes. If the data does not match the announcement, the stream fails
//! before its end, so that the store never completes the image.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use glance_core::body::Body;
use glance_core::content_format::{self, HEAD};
use glance_core::error::BodyError;

/// A fault of uploaded data.
#[derive(Debug)]
pub(crate) enum Fault {
    /// The format differs from that in the record, or the content is unsafe.
    Format(content_format::Unfit),
    /// The data is longer or shorter than announced.
    Size(String),
    /// The upload was interrupted.
    Broken(BodyError),
}

/// What the request and the record announce about the data.
#[derive(Debug)]
pub(crate) struct Announced {
    /// The size given by `x-openstack-image-size`.
    pub(crate) size: Option<u64>,
    /// The record's `disk_format`.
    pub(crate) disk: String,
    /// The record's `container_format`.
    pub(crate) container: String,
}

/// Receives the verdict of an [`inspect`]ed body. The store's own error only says that the data
/// failed.
#[derive(Debug, Clone, Default)]
pub(crate) struct Verdict(Arc<Mutex<Option<Fault>>>);

impl Verdict {
    pub(crate) fn take(&self) -> Option<Fault> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn set(&self, fault: Fault) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(fault);
    }
}

/// Wraps `data`; the stream fails before its last chunk if the data is not as `announced`.
pub(crate) fn inspect(data: Body, announced: Announced) -> (Body, Verdict) {
    let verdict = Verdict::default();
    let promised = data.size();
    let inspection = Inspection {
        data,
        announced,
        promised,
        head: Vec::new(),
        passed: 0,
        done: false,
        verdict: verdict.clone(),
    };
    (Body::from_stream(inspection, promised), verdict)
}

struct Inspection {
    data: Body,
    announced: Announced,
    /// The size of the body. The store knows it too and may stop reading there, so the verdict must
    /// come before.
    promised: Option<u64>,
    head: Vec<u8>,
    passed: u64,
    done: bool,
    verdict: Verdict,
}

impl Inspection {
    fn look(&mut self, chunk: &Bytes) -> Result<(), Fault> {
        let missing = HEAD.saturating_sub(self.head.len()).min(chunk.len());
        self.head.extend_from_slice(&chunk[..missing]);
        self.passed += chunk.len() as u64;
        if self.promised == Some(self.passed) {
            return self.judge();
        }
        match self.announced.size {
            Some(size) if self.passed > size => Err(self.size_mismatch(size)),
            _ => Ok(()),
        }
    }

    fn end(&mut self) -> Result<(), Fault> {
        match self.promised {
            Some(size) if self.passed < size => {
                let text = format!("the data ended after {} of {size} bytes", self.passed);
                Err(Fault::Broken(text.into()))
            }
            _ => self.judge(),
        }
    }

    fn judge(&self) -> Result<(), Fault> {
        if let Some(size) = self.announced.size.filter(|size| *size != self.passed) {
            return Err(self.size_mismatch(size));
        }
        let Announced { disk, container, .. } = &self.announced;
        content_format::check(disk, container, &self.head, self.passed).map_err(Fault::Format)
    }

    fn size_mismatch(&self, announced: u64) -> Fault {
        Fault::Size(format!("Size mismatch: {announced} bytes announced, {} sent", self.passed))
    }

    fn fail(&mut self, fault: Fault) -> BodyError {
        let text = match &fault {
            Fault::Format(unfit) => unfit.to_string(),
            Fault::Size(text) => text.clone(),
            Fault::Broken(error) => error.to_string(),
        };
        self.done = true;
        self.verdict.set(fault);
        text.into()
    }
}

impl Stream for Inspection {
    type Item = Result<Bytes, BodyError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.done {
            return Poll::Ready(None);
        }
        let item = ready!(self.data.poll_next_unpin(context));
        let passed = match &item {
            Some(Ok(chunk)) => self.look(chunk),
            Some(Err(_)) => Ok(()),
            None => self.end(),
        };
        if let Err(fault) = passed {
            return Poll::Ready(Some(Err(self.fail(fault))));
        }
        Poll::Ready(match item {
            Some(Err(error)) => Some(Err(self.fail(Fault::Broken(error)))),
            item => item,
        })
    }
}
