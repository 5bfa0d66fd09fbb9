//! Cases about responses.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use bytes::Bytes;
use futures_util::stream::{self, StreamExt};
use http::Request;
use x509_cert::Certificate;
use x509_cert::der::Decode;

use super::server::Connection;
use super::{TransportUnderTest, get, put, text};
use crate::body::Body;
use crate::conformance::{Outcome, same};
use crate::transport::{ClientCertificate, ServerCertificate};

pub(super) async fn every_status_is_an_answer(under_test: &TransportUnderTest) -> Outcome {
    for status in [200, 201, 206, 300, 400, 401, 403, 404, 409, 413, 416, 429, 500, 503] {
        let server = under_test
            .serve(move |mut connection: Connection| async move {
                connection.head().await?;
                let head = format!("HTTP/1.1 {status} Something\r\nx-of-its-own: yes\r\n");
                connection.write(head + "content-length: 4\r\n\r\nword").await
            })
            .await?;
        let answer = under_test.put(&server, Bytes::from_static(b"abc").into()).await?;
        same!("the status", answer.status().as_u16(), status);
        same!("a header", answer.headers().contains_key("x-of-its-own"), true);
        same!("the size", answer.body().size(), Some(4));
        same!("the body", text(answer).await?, "word");
    }
    Ok(())
}

pub(super) async fn no_redirect_is_followed(under_test: &TransportUnderTest) -> Outcome {
    for status in [301, 302, 303, 307, 308] {
        let mut server = under_test
            .serve(move |mut connection: Connection| async move {
                while let Some(head) = connection.head().await? {
                    connection.saw(head);
                    let head = format!("HTTP/1.1 {status} Elsewhere\r\nlocation: /elsewhere\r\n");
                    connection.write(head + "content-length: 0\r\n\r\n").await?;
                }
                Ok(())
            })
            .await?;
        let (transport, origin) = under_test.way(&server).await;
        let answer = transport.send(get(&origin)?).await?;
        same!("the status", answer.status().as_u16(), status);
        server.seen().await?;
        same!("a second request", server.sees_more().await, false);
    }
    Ok(())
}

pub(super) async fn no_content_is_decoded(under_test: &TransportUnderTest) -> Outcome {
    // An image can be a gzip file; its bytes must arrive unchanged.
    const GZIP: &[u8] = b"\x1f\x8b\x08\0\0\0\0\0\0\x03\x03\0\0\0\0\0\0\0\0\0";
    let server = under_test
        .serve(async |mut connection: Connection| {
            connection.head().await?;
            let head = format!("content-encoding: gzip\r\ncontent-length: {}\r\n\r\n", GZIP.len());
            connection.write(format!("HTTP/1.1 200 OK\r\n{head}")).await?;
            connection.write(GZIP).await
        })
        .await?;
    let answer = under_test.put(&server, Body::empty()).await?;
    same!("the body", text(answer).await?, GZIP);
    Ok(())
}

/// The body arrives in pieces, and the transport reads nothing of it before it is asked to.
pub(super) async fn an_answer_streams(under_test: &TransportUnderTest) -> Outcome {
    let written = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&written);
    let server = under_test
        .serve(move |mut connection: Connection| {
            let counter = Arc::clone(&counter);
            async move {
                connection.head().await?;
                connection
                    .write("HTTP/1.1 200 OK\r\ncontent-length: 1099511627776\r\n\r\n")
                    .await?;
                while connection.write(CHUNK).await.is_ok() {
                    counter.fetch_add(CHUNK.len() as u64, Ordering::SeqCst);
                }
                Ok(())
            }
        })
        .await?;
    let answer = under_test.put(&server, Body::empty()).await?;
    same!("the size", answer.body().size(), Some(1 << 40));
    tokio::time::sleep(under_test.moment()).await;
    let ahead = written.load(Ordering::SeqCst);
    if ahead > BUFFERS {
        return Err(format!("{ahead} bytes were drawn, and none was asked for").into());
    }
    let mut body = answer.into_body();
    let mut read = 0;
    while read < 2 * BUFFERS {
        let chunk = body.next().await.ok_or("the body ended")??;
        same!("the bytes", chunk.iter().all(|&byte| byte == 7), true);
        read += chunk.len() as u64;
    }
    Ok(())
}

pub(super) async fn an_early_answer_ends_the_sending(under_test: &TransportUnderTest) -> Outcome {
    let mut server = under_test
        .serve(async |mut connection: Connection| {
            connection.head().await?;
            connection.write("HTTP/1.1 409 Conflict\r\ncontent-length: 2\r\n\r\nno").await?;
            connection.rest().await;
            connection.saw("the end");
            Ok(())
        })
        .await?;
    let endless = stream::repeat_with(|| Ok(Bytes::from_static(&[0; 16384]))).then(async |chunk| {
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        chunk
    });
    let answer = under_test.put(&server, Body::from_stream(endless, None)).await?;
    same!("the status", answer.status(), 409);
    same!("the body", text(answer).await?, "no");
    server.seen().await.map(drop)
}

pub(super) async fn a_dropped_answer_ends_the_exchange(under_test: &TransportUnderTest) -> Outcome {
    let mut server = under_test
        .serve(async |mut connection: Connection| {
            connection.head().await?;
            connection.write("HTTP/1.1 200 OK\r\ncontent-length: 1099511627776\r\n\r\n").await?;
            while connection.write(CHUNK).await.is_ok() {}
            connection.saw("the end");
            Ok(())
        })
        .await?;
    let answer = under_test.put(&server, Body::empty()).await?;
    let mut body = answer.into_body();
    body.next().await.ok_or("the body ended")??;
    drop(body);
    server.seen().await.map(drop)
}

/// Many concurrent requests, each of which must get its own response.
pub(super) async fn answers_belong_to_their_requests(under_test: &TransportUnderTest) -> Outcome {
    let server = under_test
        .serve(async |mut connection: Connection| {
            while let Some(head) = connection.head().await? {
                let path = head.split(' ').nth(1).unwrap_or_default();
                let size = path.len();
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
                let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {size}\r\n\r\n{path}");
                connection.write(answer).await?;
            }
            Ok(())
        })
        .await?;
    let (transport, origin) = under_test.way(&server).await;
    // With a TLS front end, a request takes four descriptors of this process. The limit of an ordinary
    // user is often 1,024, so tests of one process that run the suite at the same time take turns.
    let _turn = TURN.lock().await;
    let all = (0..128).map(async |number| {
        let path = format!("/v2/images/{number}");
        let request = Request::get(format!("{origin}{path}")).body(Body::empty())?;
        let answer = text(transport.send(request).await?).await?;
        same!("the answer", answer, path);
        Ok(())
    });
    futures_util::future::join_all(all).await.into_iter().collect()
}

/// The turn of a test that needs many descriptors.
static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// TLS handshakes are expensive: a connection that has served a request is reused for the next.
pub(super) async fn one_connection_serves_many_requests(
    under_test: &TransportUnderTest,
) -> Outcome {
    let connections = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&connections);
    let server = under_test
        .serve(move |mut connection: Connection| {
            counter.fetch_add(1, Ordering::SeqCst);
            async move {
                while let Some(head) = connection.head().await? {
                    if head.starts_with("PUT") {
                        tokio::io::AsyncReadExt::read_u8(&mut connection.tcp).await?;
                    }
                    connection.write("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await?;
                }
                Ok(())
            }
        })
        .await?;
    let (transport, origin) = under_test.way(&server).await;
    for number in 0..5 {
        let request = match number % 2 {
            0 => get(&origin)?,
            _ => put(&origin, Bytes::from_static(b"a").into())?,
        };
        let answer = transport.send(request).await?;
        same!("the answer", text(answer).await?, "ok");
        // The client may see the end of the response before its connection is free.
        tokio::time::sleep(under_test.moment()).await;
    }
    same!("connections", connections.load(Ordering::SeqCst), 1);
    Ok(())
}

/// Every response over https has the certificate of the server, also on a connection that has served
/// a request before. A response over plain http has none.
pub(super) async fn the_certificate_of_the_server_is_noted(
    under_test: &TransportUnderTest,
) -> Outcome {
    let server = under_test
        .serve(async |mut connection: Connection| {
            while connection.head().await?.is_some() {
                connection.write("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await?;
            }
            Ok(())
        })
        .await?;
    let (transport, origin) = under_test.way(&server).await;
    for _ in 0..2 {
        let answer = transport.send(get(&origin)?).await?;
        let noted = answer.extensions().get::<ServerCertificate>();
        let is_read = noted.is_some_and(|noted| Certificate::from_der(&noted.0).is_ok());
        same!("the certificate", is_read, origin.starts_with("https:"));
        same!("the body", text(answer).await?, "ok");
    }
    Ok(())
}

/// Every response tells whether the server asked for a client certificate, also on a connection
/// that has served a request before.
pub(super) async fn a_request_for_a_client_certificate_is_noted(
    under_test: &TransportUnderTest,
) -> Outcome {
    let server = under_test
        .serve(async |mut connection: Connection| {
            while connection.head().await?.is_some() {
                connection.write("HTTP/1.1 403 No\r\ncontent-length: 2\r\n\r\nno").await?;
            }
            Ok(())
        })
        .await?;
    let (transport, trusted) = under_test.way(&server).await;
    let mut rows = vec![("an ordinary server", Arc::clone(&transport), trusted, None)];
    if let Some(certificates) = &under_test.client_certificates {
        let asking = (certificates.asking)(server.address).await;
        let missing = Some(ClientCertificate::Missing);
        rows.push(("a client without a certificate", transport, asking.clone(), missing));
        let shown = Some(ClientCertificate::Shown);
        rows.push((
            "a client with a certificate",
            (certificates.make)(under_test.patience()),
            asking,
            shown,
        ));
    }
    for (what, transport, origin, wanted) in rows {
        for _ in 0..2 {
            let answer = transport.send(get(&origin)?).await?;
            same!(what, answer.extensions().get::<ClientCertificate>().copied(), wanted);
            same!("the body", text(answer).await?, "no");
        }
    }
    Ok(())
}

const CHUNK: &[u8] = &[7; 16384];

/// More than the buffers of client, system and front end can hold.
const BUFFERS: u64 = 64 << 20;
