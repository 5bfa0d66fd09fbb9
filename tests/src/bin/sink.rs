//! Accepts uploads on https://localhost:PORT as a Glance does and discards the data, for `cargo
//! xtask bench`: an image store that costs no time.
//!
//! Every record shows the SHA-512 of the command line, whatever data was uploaded. A RATE limits
//! the bytes per second of all uploads together.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt;
use glance_core::body::Body;
use glance_core::error::BodyError;
use glance_core::store::memory::MemoryStore;
use glance_core::{Transport, TransportError};
use glance_server::GlanceApi;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use serde_json::Value;
use tokio::time::{Instant, sleep_until};

#[tokio::main]
async fn main() -> Result<(), BodyError> {
    let arguments: Vec<String> = std::env::args().collect();
    let (port, directory, sha512, rate) = match arguments.as_slice() {
        [_, port, directory, sha512] => (port, directory, sha512, None),
        [_, port, directory, sha512, rate] => (port, directory, sha512, Some(rate.parse()?)),
        _ => return Err("usage: sink PORT DIRECTORY SHA512 [RATE]".into()),
    };
    let directory = Path::new(directory);
    let read = |name| std::fs::read(directory.join(name));
    let acceptor = transport_rustls::acceptor(&read("cert.pem")?, &read("key.pem")?)?;
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port.parse()?)).await?;
    let sink = Sink {
        records: GlanceApi::new(Arc::new(MemoryStore::new("sink"))),
        sha512: sha512.clone(),
        rate,
        next: Mutex::new(Instant::now()),
        sizes: Mutex::default(),
    };
    glance_server::serve(listener, Some(acceptor), Arc::new(sink), std::future::pending()).await?;
    Ok(())
}

/// A Glance that keeps records and no data.
#[derive(Debug)]
struct Sink {
    records: GlanceApi,
    sha512: String,
    rate: Option<u64>,
    /// The time from which on the next byte may be read.
    next: Mutex<Instant>,
    /// Number of uploaded bytes, by image path.
    sizes: Mutex<BTreeMap<String, u64>>,
}

#[async_trait]
impl Transport for Sink {
    async fn send(&self, request: Request<Body>) -> Result<Response<Body>, TransportError> {
        let path = request.uri().path().to_owned();
        if request.method() != Method::PUT || !path.ends_with("/file") {
            return self.describe(&path, self.records.send(request).await?).await;
        }
        let (mut head, mut data) = request.into_parts();
        let mut size = 0_u64;
        while let Some(chunk) = data.next().await {
            let Ok(chunk) = chunk else {
                let mut refusal = Response::new(Body::empty());
                *refusal.status_mut() = StatusCode::BAD_REQUEST;
                return Ok(refusal);
            };
            size += chunk.len() as u64;
            if let Some(rate) = self.rate {
                sleep_until(self.turn(chunk.len(), rate)).await;
            }
        }
        let image = path.trim_end_matches("/file").to_owned();
        self.sizes.lock().unwrap_or_else(PoisonError::into_inner).insert(image, size);
        head.headers.remove("x-openstack-image-size");
        head.headers.remove(header::CONTENT_LENGTH);
        self.records.send(Request::from_parts(head, Body::empty())).await
    }
}

impl Sink {
    /// The answer; in an image record, size and digest are those of the uploaded data.
    async fn describe(
        &self,
        path: &str,
        answer: Response<Body>,
    ) -> Result<Response<Body>, TransportError> {
        let size = self.sizes.lock().unwrap_or_else(PoisonError::into_inner).get(path).copied();
        let Some(size) = size else { return Ok(answer) };
        let (mut head, body) = answer.into_parts();
        let bytes = body.collect(usize::MAX).await.unwrap_or_default();
        let Ok(mut record) = serde_json::from_slice::<Value>(&bytes) else {
            return Ok(Response::from_parts(head, bytes.into()));
        };
        record["size"] = size.into();
        record["os_hash_algo"] = "sha512".into();
        record["os_hash_value"] = self.sha512.clone().into();
        record["checksum"] = Value::Null;
        let bytes = Bytes::from(record.to_string());
        head.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(bytes.len()));
        Ok(Response::from_parts(head, bytes.into()))
    }

    /// Reserves the time for `length` bytes at this rate. Returns the time at which it begins.
    fn turn(&self, length: usize, rate: u64) -> Instant {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let turn = (*next).max(Instant::now());
        *next = turn + Duration::from_nanos(length as u64 * 1_000_000_000 / rate.max(1));
        turn
    }
}
