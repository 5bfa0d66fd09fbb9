//! Cases about errors.

use bytes::Bytes;
use tokio::net::TcpListener;

use super::server::Connection;
use super::{TransportUnderTest, get, put, refused, text};
use crate::body::Body;
use crate::conformance::{Outcome, Wrong, same};
use crate::error::BodyError;
use crate::transport::{TlsFailure, TransportError, TransportErrorKind};

/// A truncated response must not look like a complete one.
pub(super) async fn an_answer_cut_short_is_an_error(under_test: &TransportUnderTest) -> Outcome {
    for head in ["content-length: 9\r\n\r\nabc", "transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n"] {
        let server = under_test
            .serve(move |mut connection: Connection| async move {
                connection.head().await?;
                connection.write(format!("HTTP/1.1 200 OK\r\n{head}")).await
            })
            .await?;
        let answer = under_test.put(&server, Body::empty()).await?;
        let error = failed(text(answer).await)?;
        same!("the kind", error.kind, TransportErrorKind::Interrupted);
    }
    Ok(())
}

/// Silence before a response and in the middle of one.
pub(super) async fn silence_is_an_error(under_test: &TransportUnderTest) -> Outcome {
    let server = under_test
        .serve(async |mut connection: Connection| {
            if connection.head().await?.is_some_and(|head| head.starts_with("PUT")) {
                connection.write("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc").await?;
            }
            std::future::pending().await
        })
        .await?;
    let (transport, origin) = under_test.impatient_way(&server).await;
    let patience = under_test.patience();
    let waits = |_elapsed| "the transport does not notice the silence";
    let result = tokio::time::timeout(patience, transport.send(get(&origin)?)).await;
    let result = result.map_err(waits)?;
    let error = refused("silence before the answer", TransportErrorKind::Timeout, result)?;
    same!("a retry can help", error.kind.is_retryable(), true);
    let answer = transport.send(put(&origin, Body::empty())?).await?;
    let error = failed(tokio::time::timeout(patience, text(answer)).await.map_err(waits)?)?;
    same!("the kind", error.kind, TransportErrorKind::Timeout);
    Ok(())
}

/// The total time has no limit: single bytes keep an exchange alive.
pub(super) async fn slowness_is_no_error(under_test: &TransportUnderTest) -> Outcome {
    // Eight pauses take longer than the limit on silence, and each is much shorter.
    let pause = under_test.silence / 5;
    let server = under_test
        .serve(move |mut connection: Connection| async move {
            connection.head().await?;
            connection.write("HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\n").await?;
            for _ in 0..8 {
                tokio::time::sleep(pause).await;
                connection.write("a").await?;
            }
            Ok(())
        })
        .await?;
    let (transport, origin) = under_test.impatient_way(&server).await;
    let answer = transport.send(put(&origin, Body::empty())?).await?;
    same!("the body", text(answer).await?, "aaaaaaaa");
    Ok(())
}

pub(super) async fn other_failures_have_their_kinds(under_test: &TransportUnderTest) -> Outcome {
    let silent = under_test
        .serve(async |mut connection: Connection| {
            connection.head().await?;
            Ok(())
        })
        .await?;
    let (transport, origin) = under_test.way(&silent).await;
    let result = transport.send(get(&origin)?).await;
    let error = refused("a connection that ends", TransportErrorKind::Interrupted, result)?;
    same!("the endpoint", error.endpoint, origin);

    let other = under_test
        .serve(async |mut connection: Connection| {
            connection.head().await?;
            connection.write("220 mail ready\r\n\r\n").await
        })
        .await?;
    let (transport, origin) = under_test.way(&other).await;
    let result = transport.send(get(&origin)?).await;
    refused("another protocol", TransportErrorKind::Protocol, result)?;

    let unused = TcpListener::bind("127.0.0.1:0").await?.local_addr()?;
    let scheme = origin.split("://").next().unwrap_or_default();
    let result = under_test.transport().send(get(&format!("{scheme}://{unused}"))?).await;
    refused("a port without a listener", TransportErrorKind::Connect, result)?;
    Ok(())
}

/// No byte of a request, and thus no token, is sent before the server has been verified.
pub(super) async fn nothing_reaches_an_untrusted_server(
    under_test: &TransportUnderTest,
) -> Outcome {
    let mut server = under_test
        .serve(async |mut connection: Connection| {
            let bytes = connection.rest().await;
            if !bytes.is_empty() {
                connection.saw(bytes);
            }
            Ok(())
        })
        .await?;
    let origin = (under_test.untrusted)(server.address).await;
    let result =
        under_test.transport().send(put(&origin, Bytes::from_static(b"abc").into())?).await;
    let not_trusted = TransportErrorKind::Tls(TlsFailure::NotTrusted);
    let error = refused("an untrusted server", not_trusted, result)?;
    same!("the endpoint", error.endpoint, origin);
    same!("a retry can help", error.kind.is_retryable(), false);
    same!("bytes of the request", server.sees_more().await, false);
    Ok(())
}

/// The transport's error inside a body's error.
fn failed(result: Result<Bytes, BodyError>) -> Result<TransportError, Wrong> {
    match result {
        Ok(bytes) => Err(format!("a whole body of {} bytes", bytes.len()).into()),
        Err(error) => match error.downcast::<TransportError>() {
            Ok(error) => Ok(*error),
            Err(error) => Err(format!("an error that is none of the transport's: {error}").into()),
        },
    }
}
