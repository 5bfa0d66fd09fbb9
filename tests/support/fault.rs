//! A transport that injects faults and records the requests.

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{Stream, StreamExt, TryStreamExt, stream};
use glance_core::body::Body;
use glance_core::error::BodyError;
use glance_core::transport::TransportErrorKind;
use glance_core::{Transport, TransportError};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderValue, LOCATION, RANGE, RETRY_AFTER};
use http::{HeaderName, Method, Request, Response, StatusCode};
use serde_json::Value;
use tokio::sync::oneshot;

/// An injected fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The answer's body breaks off.
    CutDownload {
        /// The number of bytes that arrive before.
        after: u64,
    },
    /// The answer's body stalls while the connection stays open.
    StallDownload {
        /// The number of bytes that arrive before.
        after: u64,
    },
    /// One byte of the answer's body is changed.
    CorruptDownload {
        /// The position of the byte.
        at: u64,
    },
    /// No answer ever comes, and the request is not carried out.
    Stall,
    /// The answer has this status, and the request is not carried out.
    Status(u16),
    /// The answer redirects to this location with 307, and the request is not carried out.
    Redirect(&'static str),
    /// The answer has this status and this `Retry-After`, and the request is not carried out.
    Busy(u16, &'static str),
    /// The answer is an HTML page with status 200, and the request is not carried out.
    NotGlance,
    /// The request arrives without its `Range`, so the answer has all of the data.
    IgnoreRange,
    /// The server receives the request's body with one byte changed.
    StoreOther,
    /// The server receives the request's body with this byte changed.
    CorruptUpload {
        /// The position of the byte.
        at: u64,
    },
    /// Records in the answer show other digests than the server's.
    WrongDigest,
    /// Records in the answer show a size one byte above the server's.
    WrongSize,
    /// Records in the answer show no digests, like Glance's for data that it never read.
    NoDigest,
    /// Records in the answer differ from the server's. Each entry names the id of an image (empty
    /// for all images), a field, and its JSON value.
    Says(&'static [(&'static str, &'static str, &'static str)]),
    /// The connection is lost before the request arrives.
    Lost,
    /// The connection is lost while the request's body is sent.
    CutUpload {
        /// The number of bytes that arrive before.
        after: u64,
    },
    /// The server stops reading the request's body, sends no answer, and keeps the connection open.
    StallUpload {
        /// The number of bytes that arrive before.
        after: u64,
    },
    /// The answer is a status in the middle of the request's body, which is discarded.
    RefuseUpload {
        /// The HTTP status code.
        status: u16,
        /// The number of bytes that arrive before.
        after: u64,
    },
    /// The request is carried out, and the connection is lost before the answer.
    AnswerLost,
    /// The request is carried out, and no answer ever comes.
    AnswerStalled,
    /// The request is carried out, but the answer has this status.
    Answer(u16),
    /// The answer has this status once the request has arrived, and the request is carried out a
    /// moment later, as behind a proxy that timed out.
    GaveUp(u16),
}

/// A [`Transport`] that passes requests on, except where a rule injects a fault.
pub(crate) struct Faulty {
    inner: Arc<dyn Transport>,
    rules: Mutex<Vec<Rule>>,
    requests: Mutex<Vec<(Method, String)>>,
    end: Mutex<Option<(usize, Fault)>>,
}

struct Rule {
    method: Method,
    path: Box<dyn Fn(&str) -> bool + Send>,
    times: usize,
    fault: Fault,
}

impl Faulty {
    /// Wraps `inner`, without any rule yet.
    pub(crate) fn new(inner: Arc<dyn Transport>) -> Self {
        Self { inner, rules: Mutex::default(), requests: Mutex::default(), end: Mutex::default() }
    }

    /// Adds a rule: the next `times` requests with this `method` and a matching `path` suffer
    /// `fault`. The first matching rule applies. Rules may be added at any time.
    pub(crate) fn inject(
        &self,
        method: Method,
        path: impl Fn(&str) -> bool + Send + 'static,
        times: usize,
        fault: Fault,
    ) {
        let rule = Rule { method, path: Box::new(path), times, fault };
        self.rules.lock().unwrap().push(rule);
    }

    /// Passes the next `requests` requests, applies `fault` to the one after them, and loses all
    /// later ones: the traffic that a server sees of a killed client.
    pub(crate) fn end_after(&self, requests: usize, fault: Fault) {
        let so_far = self.requests().len();
        let end = Some((so_far + requests, fault));
        *self.end.lock().unwrap() = end;
    }

    /// Removes all rules.
    pub(crate) fn mend(&self) {
        self.rules.lock().unwrap().clear();
        *self.end.lock().unwrap() = None;
    }

    /// The method and path of all requests so far, in order of arrival.
    pub(crate) fn requests(&self) -> Vec<(Method, String)> {
        self.requests.lock().unwrap().clone()
    }

    /// The number of requests that are still to suffer a fault.
    pub(crate) fn pending(&self) -> usize {
        let rules = self.rules.lock().unwrap();
        rules.iter().fold(0, |sum, rule| rule.times.saturating_add(sum))
    }

    fn receive(&self, request: &Request<Body>) -> Option<Fault> {
        let (method, path) = (request.method(), request.uri().path());
        let mut requests = self.requests.lock().unwrap();
        let number = requests.len();
        requests.push((method.clone(), path.to_owned()));
        match *self.end.lock().unwrap() {
            Some((last, fault)) if number == last => return Some(fault),
            Some((last, _)) if number > last => return Some(Fault::Lost),
            _ => {}
        }
        let mut rules = self.rules.lock().unwrap();
        let fits = |rule: &&mut Rule| rule.times > 0 && rule.method == method && (rule.path)(path);
        let rule = rules.iter_mut().find(fits)?;
        rule.times -= 1;
        Some(rule.fault)
    }

    /// Returns when the request has arrived, and carries it out later.
    async fn give_up(&self, request: Request<Body>) -> Result<(), TransportError> {
        let (arrived, arrival) = oneshot::channel();
        let inner = Arc::clone(&self.inner);
        let request = request.map(|body| late(body, arrived));
        tokio::spawn(async move { inner.send(request).await });
        arrival.await.map_err(|_| lost())
    }
}

#[async_trait]
impl Transport for Faulty {
    async fn send(&self, request: Request<Body>) -> Result<Response<Body>, TransportError> {
        match self.receive(&request) {
            None => self.inner.send(request).await,
            Some(Fault::Stall) => std::future::pending().await,
            Some(Fault::GaveUp(code)) => self.give_up(request).await.map(|()| status(code)),
            Some(fault) => match instead(fault) {
                Some(answer) => answer,
                None => back(fault, self.inner.send(there(fault, request)).await).await,
            },
        }
    }
}

/// The answer to a request that is not carried out.
fn instead(fault: Fault) -> Option<Result<Response<Body>, TransportError>> {
    let with = |mut answer: Response<Body>, name: HeaderName, value| {
        answer.headers_mut().insert(name, HeaderValue::from_static(value));
        answer
    };
    Some(match fault {
        Fault::Status(code) => Ok(status(code)),
        Fault::Busy(code, after) => Ok(with(status(code), RETRY_AFTER, after)),
        Fault::NotGlance => Ok(status(200)),
        Fault::Redirect(location) => Ok(with(status(307), LOCATION, location)),
        Fault::Lost => Err(lost()),
        _ => return None,
    })
}

/// The request as the server receives it.
fn there(fault: Fault, mut request: Request<Body>) -> Request<Body> {
    match fault {
        Fault::IgnoreRange => {
            request.headers_mut().remove(RANGE);
            request
        }
        Fault::StoreOther => request.map(|body| corrupt(body, None)),
        Fault::CorruptUpload { at } => request.map(|body| corrupt(body, Some(at))),
        Fault::CutUpload { after } | Fault::RefuseUpload { after, .. } => {
            request.map(|body| cut(body, after))
        }
        Fault::StallUpload { after } => request.map(|body| stall(body, after)),
        _ => request,
    }
}

/// The answer as the client receives it.
async fn back(
    fault: Fault,
    answer: Result<Response<Body>, TransportError>,
) -> Result<Response<Body>, TransportError> {
    if let Fault::RefuseUpload { status: code, .. } = fault {
        return Ok(status(code));
    }
    let answer = answer?;
    match fault {
        Fault::AnswerLost | Fault::CutUpload { .. } => Err(lost()),
        Fault::AnswerStalled => std::future::pending().await,
        Fault::Answer(code) => Ok(status(code)),
        Fault::CutDownload { after } => Ok(answer.map(|body| cut(body, after))),
        Fault::StallDownload { after } => Ok(answer.map(|body| stall(body, after))),
        Fault::CorruptDownload { at } => Ok(answer.map(|body| corrupt(body, Some(at)))),
        Fault::WrongDigest => Ok(lie(answer, falsify).await),
        Fault::WrongSize => Ok(lie(answer, grow).await),
        Fault::NoDigest => Ok(lie(answer, forget).await),
        Fault::Says(fields) => Ok(lie(answer, |record| say(record, fields)).await),
        _ => Ok(answer),
    }
}

impl fmt::Debug for Faulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Faulty").field("inner", &self.inner).finish_non_exhaustive()
    }
}

/// An error page in Glance's format.
fn status(code: u16) -> Response<Body> {
    let status = StatusCode::from_u16(code).unwrap();
    let page = format!(
        "<html>\n <head>\n  <title>{status}</title>\n </head>\n <body>\n  <h1>{status}</h1>\n  \
         Injected<br /><br />\n\n\n </body>\n</html>"
    );
    let mut answer = Response::new(Body::empty());
    *answer.status_mut() = status;
    let media_type = HeaderValue::from_static("text/html; charset=UTF-8");
    answer.headers_mut().insert(CONTENT_TYPE, media_type);
    answer.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(page.len()));
    answer.map(|_: Body| Body::from(Bytes::from(page)))
}

fn lost() -> TransportError {
    let kind = TransportErrorKind::Interrupted;
    TransportError::new(kind, "https://faulty", "it was cut on purpose")
}

/// The first `after` bytes of a body, followed by an error.
fn cut(body: Body, after: u64) -> Body {
    let size = body.size();
    let end: Result<Bytes, BodyError> = Err("the connection was cut on purpose".into());
    Body::from_stream(first(body, after).chain(stream::iter([end])), size)
}

/// The first `after` bytes of a body, after which the stream stalls without an end.
fn stall(body: Body, after: u64) -> Body {
    let size = body.size();
    Body::from_stream(first(body, after).chain(stream::pending()), size)
}

/// A body whose end is delayed after all its data has `arrived`.
fn late(body: Body, arrived: oneshot::Sender<()>) -> Body {
    let size = body.size();
    let end = stream::once(async {
        let _ = arrived.send(());
        tokio::time::sleep(LATE).await;
        Ok(Bytes::new())
    });
    Body::from_stream(body.chain(end), size)
}

/// At most the first `count` bytes of a body.
fn first(body: Body, count: u64) -> impl Stream<Item = Result<Bytes, BodyError>> + Send + 'static {
    stream::try_unfold((body, count), |(mut body, left)| async move {
        let next = if left == 0 { None } else { body.try_next().await? };
        Ok(next.map(|mut chunk| {
            chunk.truncate(usize::try_from(left).unwrap_or(usize::MAX));
            let left = left - chunk.len() as u64;
            (chunk, (body, left))
        }))
    })
}

/// A body with the byte at `at` changed. Without a position, the last byte of the first chunk
/// changes, so that the format's signature at the beginning stays intact.
fn corrupt(body: Body, at: Option<u64>) -> Body {
    let size = body.size();
    let mut before = 0_u64;
    let mut done = false;
    let chunks = body.map_ok(move |chunk| {
        let length = chunk.len() as u64;
        let at = at.unwrap_or(length.saturating_sub(1));
        let here = at.checked_sub(before).filter(|at| *at < length && !done);
        before += length;
        let Some(here) = here.and_then(|here| usize::try_from(here).ok()) else {
            return chunk;
        };
        done = true;
        let mut bytes = chunk.to_vec();
        bytes[here] ^= 1;
        Bytes::from(bytes)
    });
    Body::from_stream(chunks, size)
}

/// A response with `change` applied to its records. A response that is not JSON stays unchanged.
async fn lie(response: Response<Body>, change: impl Fn(&mut Value)) -> Response<Body> {
    let is_json = response.headers().get(CONTENT_TYPE).is_some_and(|is| is == "application/json");
    if !is_json {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    let bytes = body.collect(usize::MAX).await.unwrap_or_default();
    let Ok(mut value) = serde_json::from_slice::<Value>(&bytes) else {
        return Response::from_parts(parts, bytes.into());
    };
    match value.get_mut("images").and_then(Value::as_array_mut) {
        Some(images) => images.iter_mut().for_each(change),
        None => change(&mut value),
    }
    let bytes = Bytes::from(value.to_string());
    parts.headers.insert(CONTENT_LENGTH, HeaderValue::from(bytes.len()));
    Response::from_parts(parts, bytes.into())
}

fn grow(record: &mut Value) {
    if let Some(size) = record.get("size").and_then(Value::as_u64) {
        record["size"] = (size + 1).into();
    }
}

fn forget(record: &mut Value) {
    for key in ["checksum", "os_hash_algo", "os_hash_value"] {
        if let Some(digest) = record.get_mut(key) {
            *digest = Value::Null;
        }
    }
}

fn say(record: &mut Value, fields: &[(&str, &str, &str)]) {
    let is_of = |of: &str| of.is_empty() || record["id"] == of;
    let changed: Vec<_> = fields.iter().filter(|(of, ..)| is_of(of)).collect();
    for (_, field, value) in changed {
        record[*field] = serde_json::from_str(value).unwrap_or_default();
    }
}

fn falsify(record: &mut Value) {
    for key in ["checksum", "os_hash_value"] {
        if let Some(Value::String(digest)) = record.get_mut(key) {
            let other = if digest.starts_with('0') { "1" } else { "0" };
            digest.replace_range(..1.min(digest.len()), other);
        }
    }
}

/// Delay before a request whose proxy timed out is carried out.
const LATE: Duration = Duration::from_millis(300);
