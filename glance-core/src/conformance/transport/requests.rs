//! Cases about requests and their bodies.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use futures_util::future::{BoxFuture, Either, select};
use futures_util::stream::{self, Stream, StreamExt};
use http::Request;
use tokio::io::AsyncReadExt;
use tokio::sync::Notify;

use super::server::Connection;
use super::{TransportUnderTest, put, refused, text};
use crate::body::Body;
use crate::conformance::{Outcome, same};
use crate::error::BodyError;
use crate::transport::TransportErrorKind;

/// The request line and the headers arrive, without headers that the transport invented.
pub(super) async fn a_request_arrives_as_it_is(under_test: &TransportUnderTest) -> Outcome {
    let mut server = under_test
        .serve(async |mut connection: Connection| {
            let head = connection.head().await?.unwrap_or_default();
            connection.saw(head);
            connection.write("HTTP/1.1 204 No Content\r\n\r\n").await
        })
        .await?;
    let (transport, origin) = under_test.way(&server).await;
    let request = Request::get(format!("{origin}/v2/images?name=a%20b&tag=%C3%BC"))
        .header("x-auth-token", "token")
        .header("range", "bytes=5-")
        .body(Body::empty())?;
    transport.send(request).await?;
    let head = String::from_utf8(server.seen().await?)?;
    let mut lines = head.trim_end().split("\r\n");
    let line = lines.next().unwrap_or_default();
    same!("the request's line", line, "GET /v2/images?name=a%20b&tag=%C3%BC HTTP/1.1");
    let lower = |line: &str| line.to_ascii_lowercase();
    let mut headers: Vec<String> = lines.map(lower).collect();
    headers.retain(|header| !matches!(&**header, "content-length: 0" | "accept: */*"));
    headers.sort();
    let host = format!("host: {}", origin.split("://").last().unwrap_or_default());
    same!("the headers", headers, [&host, "range: bytes=5-", "x-auth-token: token"]);
    Ok(())
}

pub(super) async fn a_body_of_known_size_is_announced(under_test: &TransportUnderTest) -> Outcome {
    let mut server = under_test.serve(absorb).await?;
    let chunks = stream::iter([Ok(Bytes::from("abc")), Ok(Bytes::from("def"))]);
    let answer = under_test.put(&server, Body::from_stream(chunks, Some(6))).await?;
    same!("the answer", answer.status(), 200);
    let seen = lower(&server.seen().await?);
    same!("content-length", seen.contains("\r\ncontent-length: 6\r\n"), true);
    same!("chunked", seen.contains("transfer-encoding"), false);
    same!("the body", seen.ends_with("\r\n\r\nabcdef"), true);
    Ok(())
}

pub(super) async fn a_body_of_unknown_size_is_chunked(under_test: &TransportUnderTest) -> Outcome {
    let mut server = under_test.serve(absorb).await?;
    let chunks = stream::iter([Ok(Bytes::from("abc")), Ok(Bytes::from("def"))]);
    let answer = under_test.put(&server, Body::from_stream(chunks, None)).await?;
    same!("the answer", answer.status(), 200);
    let seen = lower(&server.seen().await?);
    same!("chunked", seen.contains("\r\ntransfer-encoding: chunked\r\n"), true);
    same!("content-length", seen.contains("content-length"), false);
    same!("the chunks", seen.ends_with("\r\n\r\n3\r\nabc\r\n3\r\ndef\r\n0\r\n\r\n"), true);
    Ok(())
}

/// Memory is bounded: if the server reads nothing, the transport stops reading the body.
pub(super) async fn a_body_is_drawn_no_faster_than_it_goes(
    under_test: &TransportUnderTest,
) -> Outcome {
    let server = under_test.serve(async |connection: Connection| {
        let _connection = connection;
        std::future::pending().await
    });
    let server = server.await?;
    let drawn = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&drawn);
    let endless = stream::repeat_with(move || {
        counter.fetch_add(CHUNK.len() as u64, Ordering::SeqCst);
        Ok(Bytes::from_static(CHUNK))
    });
    let (transport, origin) = under_test.way(&server).await;
    let sending = transport.send(put(&origin, Body::from_stream(endless, Some(u64::MAX)))?);
    match select(sending, pin!(stops(&drawn, under_test))).await {
        Either::Left((Ok(answer), _)) => Err(format!("the answer {}", answer.status()).into()),
        Either::Left((Err(error), _)) => Err(error.into()),
        Either::Right((bounded, _sending)) => bounded,
    }
}

/// Waits until nothing more of a body is drawn.
async fn stops(drawn: &AtomicU64, under_test: &TransportUnderTest) -> Outcome {
    let mut before = 0;
    for _ in 0..MOMENTS {
        tokio::time::sleep(under_test.moment()).await;
        let now = drawn.load(Ordering::SeqCst);
        if now > BUFFERS {
            return Err(format!("{now} bytes were drawn, and none was read").into());
        }
        if now > 0 && now == before {
            return Ok(());
        }
        before = now;
    }
    Err(format!("{before} bytes were drawn, and the transport does not stop").into())
}

pub(super) async fn a_failing_body_is_not_ended(under_test: &TransportUnderTest) -> Outcome {
    for size in [Some(9), None] {
        let begun = Arc::new(Notify::new());
        let mut server = under_test.serve(watching(&begun)).await?;
        let broken = BodyError::from(std::io::Error::other("the source broke"));
        let chunks = after(begun, stream::iter([Err(broken)]));
        let (transport, origin) = under_test.way(&server).await;
        let result = transport.send(put(&origin, Body::from_stream(chunks, size))?).await;
        let error = refused("a failing body", TransportErrorKind::Body, result)?;
        let source = error.source.ok_or("the body's failure is not in the error")?;
        let source = source.downcast_ref::<std::io::Error>().map(ToString::to_string);
        same!("the body's failure", source.as_deref(), Some("the source broke"));
        not_ended(&server.seen().await?)?;
    }
    Ok(())
}

pub(super) async fn a_body_that_breaks_its_promise_is_not_ended(
    under_test: &TransportUnderTest,
) -> Outcome {
    for rest in [&[][..], &["defg", "hij"]] {
        let begun = Arc::new(Notify::new());
        let mut server = under_test.serve(watching(&begun)).await?;
        let rest = stream::iter(rest.iter().map(|chunk| Ok(Bytes::from_static(chunk.as_bytes()))));
        let chunks = after(begun, rest);
        let (transport, origin) = under_test.way(&server).await;
        let result = transport.send(put(&origin, Body::from_stream(chunks, Some(9)))?).await;
        refused("a body of another size", TransportErrorKind::Body, result)?;
        not_ended(&server.seen().await?)?;
    }
    Ok(())
}

pub(super) async fn a_dropped_request_is_not_ended(under_test: &TransportUnderTest) -> Outcome {
    for size in [Some(9), None] {
        let begun = Arc::new(Notify::new());
        let mut server = under_test.serve(watching(&begun)).await?;
        let chunks = stream::iter([Ok(Bytes::from("abc"))]).chain(stream::pending());
        let sending = Box::pin(under_test.put(&server, Body::from_stream(chunks, size)));
        match select(sending, pin!(begun.notified())).await {
            Either::Left((answer, _)) => {
                return Err(format!("the answer {} to half a request", answer?.status()).into());
            }
            Either::Right(((), sending)) => drop(sending),
        }
        not_ended(&server.seen().await?)?;
    }
    Ok(())
}

/// A server that accepts a request and closes without an answer must not get the body again: the
/// body may be consumed.
pub(super) async fn a_body_is_sent_once(under_test: &TransportUnderTest) -> Outcome {
    let mut server = under_test
        .serve(async |mut connection: Connection| {
            while let Some(head) = connection.head().await? {
                let put = head.starts_with("PUT");
                connection.saw(head);
                if put {
                    break;
                }
                connection.write("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await?;
            }
            Ok(())
        })
        .await?;
    let (transport, origin) = under_test.way(&server).await;
    text(transport.send(super::get(&origin)?).await?).await?;
    server.seen().await?;
    let body = Body::from(Bytes::from_static(b"abc")).once();
    let result = transport.send(put(&origin, body)?).await;
    refused("a connection that ends", TransportErrorKind::Interrupted, result)?;
    server.seen().await?;
    same!("a second sending", server.sees_more().await, false);
    Ok(())
}

/// Three bytes, and the rest when `begun` tells that they have arrived.
fn after(
    begun: Arc<Notify>,
    rest: impl Stream<Item = Chunk> + Send + 'static,
) -> impl Stream<Item = Chunk> + Send {
    let arrived = stream::once(async move { begun.notified().await });
    let first = stream::iter([Ok(Bytes::from("abc"))]);
    first.chain(arrived.flat_map(|()| stream::empty())).chain(rest)
}

type Chunk = Result<Bytes, BodyError>;

/// Reports one complete request and answers it.
async fn absorb(mut connection: Connection) -> Outcome {
    let head = connection.head().await?.unwrap_or_default();
    let mut body = Vec::new();
    while !complete(&head, &body) {
        body.push(connection.tcp.read_u8().await?);
    }
    connection.saw([head.into_bytes(), body].concat());
    connection.write("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await
}

/// A handler that tells `begun` when bytes of a body arrive, and reports all bytes until the connection
/// ends.
fn watching(
    begun: &Arc<Notify>,
) -> impl Fn(Connection) -> BoxFuture<'static, Outcome> + Send + 'static {
    let begun = Arc::clone(begun);
    move |mut connection| {
        let begun = Arc::clone(&begun);
        Box::pin(async move {
            let head = connection.head().await?.unwrap_or_default();
            let first = connection.tcp.read_u8().await?;
            begun.notify_one();
            let rest = connection.rest().await;
            connection.saw([head.into_bytes(), vec![first], rest].concat());
            Ok(())
        })
    }
}

fn not_ended(request: &[u8]) -> Outcome {
    let text = lower(request);
    let (head, body) = text.split_once("\r\n\r\n").ok_or("the request has no head")?;
    match complete(head, body.as_bytes()) {
        true => Err(format!("the broken body was ended as if it were whole: {body:?}").into()),
        false => Ok(()),
    }
}

/// Whether a body is complete by the rules of HTTP, for the bodies of these cases.
fn complete(head: &str, body: &[u8]) -> bool {
    match head.to_ascii_lowercase().contains("chunked") {
        true => body.ends_with(b"0\r\n\r\n"),
        false => body.len() >= content_length(head).unwrap_or_default(),
    }
}

fn content_length(head: &str) -> Option<usize> {
    let head = head.to_ascii_lowercase();
    let (_, after) = head.split_once("content-length: ")?;
    after.split("\r\n").next()?.parse().ok()
}

fn lower(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).to_ascii_lowercase()
}

const CHUNK: &[u8] = &[0; 16384];

/// More than the buffers of client, system and front end can hold.
const BUFFERS: u64 = 64 << 20;

/// How many moments a transport may take to begin and to stop drawing a body.
const MOMENTS: u32 = 30;
