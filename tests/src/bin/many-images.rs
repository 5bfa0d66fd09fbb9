//! Serves a listing of `COUNT` images on https://localhost:PORT for `cargo xtask bench`, with the
//! `cert.pem` and `key.pem` in a DIRECTORY. Every page is generated on request, so that its cost
//! does not depend on where it begins.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use glance_core::body::Body;
use glance_core::error::BodyError;
use glance_core::{Transport, TransportError};
use http::{Request, Response, StatusCode, header};
use serde_json::{Value, json};

#[tokio::main]
async fn main() -> Result<(), BodyError> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, count, port, directory] = arguments.as_slice() else {
        return Err("usage: many-images COUNT PORT DIRECTORY".into());
    };
    let directory = Path::new(directory);
    let read = |name| std::fs::read(directory.join(name));
    let acceptor = transport_rustls::acceptor(&read("cert.pem")?, &read("key.pem")?)?;
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port.parse()?)).await?;
    let images = Arc::new(Images { count: count.parse()? });
    glance_server::serve(listener, Some(acceptor), images, std::future::pending()).await?;
    Ok(())
}

/// A Glance that can only list its images, ordered by id.
#[derive(Debug)]
struct Images {
    count: usize,
}

#[async_trait]
impl Transport for Images {
    async fn send(&self, request: Request<Body>) -> Result<Response<Body>, TransportError> {
        let found = match (request.uri().path(), request.uri().query()) {
            ("/v2/images", Some(query)) => Some(self.page(query)),
            _ => None,
        };
        let page = found.as_ref().map(Value::to_string).unwrap_or_default();
        let mut answer = Response::new(Body::from(Bytes::from(page)));
        match found {
            Some(_) => {
                let json = header::HeaderValue::from_static("application/json");
                answer.headers_mut().insert(header::CONTENT_TYPE, json);
            }
            None => *answer.status_mut() = StatusCode::NOT_FOUND,
        }
        Ok(answer)
    }
}

impl Images {
    /// The page for a query. No image is hidden.
    fn page(&self, query: &str) -> Value {
        let value = |wanted| query.split('&').find_map(|pair| pair.strip_prefix(wanted));
        if value("os_hidden=") == Some("true") {
            return json!({ "images": [] });
        }
        let limit = value("limit=").and_then(|limit| limit.parse().ok()).unwrap_or(25);
        let before = value("marker=").and_then(|id| id.rsplit('-').next()?.parse().ok());
        let before: usize = before.unwrap_or_default();
        let last = self.count.min(before + limit);
        let images: Vec<Value> = (before + 1..=last).map(record).collect();
        if last == self.count {
            return json!({ "images": images });
        }
        let rest = query.split('&').filter(|pair| !pair.starts_with("marker="));
        let rest = rest.collect::<Vec<_>>().join("&");
        json!({ "images": images, "next": format!("/v2/images?marker={}&{rest}", id(last)) })
    }
}

fn id(number: usize) -> String {
    format!("00000000-0000-4000-8000-{number:012}")
}

fn record(number: usize) -> Value {
    json!({
        "id": id(number), "name": format!("image {number}"), "status": "active",
        "visibility": "public", "protected": false, "os_hidden": false, "tags": [],
        "disk_format": "raw", "container_format": "bare", "min_disk": 0, "min_ram": 0,
        "owner": "0123456789abcdef0123456789abcdef", "size": 1 << 20, "virtual_size": null,
        "checksum": format!("{number:032x}"), "os_hash_algo": "sha512",
        "os_hash_value": format!("{number:0128x}"), "created_at": "2026-01-01T00:00:00Z",
        "updated_at": "2026-01-01T00:00:00Z", "property_1": "1", "property_2": "2",
        "property_3": "3", "property_4": "4", "property_5": "5",
    })
}
