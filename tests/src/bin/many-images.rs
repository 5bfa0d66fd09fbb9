//! Serves `COUNT` images of a few bytes on https://localhost:PORT, with the `cert.pem` and
//! `key.pem` of a DIRECTORY, for `cargo xtask bench`.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use glance_core::body::{Body, BodyError};
use glance_core::image::{Attributes, Image, Visibility};
use glance_core::store::ImageStore;
use glance_core::store::memory::MemoryStore;
use glance_server::GlanceApi;

#[tokio::main]
async fn main() -> Result<(), BodyError> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, count, port, directory] = arguments.as_slice() else {
        return Err("usage: many-images COUNT PORT DIRECTORY".into());
    };
    let store = MemoryStore::new("many");
    for number in 1..=count.parse::<u32>()? {
        let image = Image::queued(
            format!("00000000-0000-4000-8000-{number:012}").parse()?,
            Attributes {
                name: Some(format!("image {number}")),
                visibility: Visibility::Public,
                disk_format: Some("raw".to_owned()),
                container_format: Some("bare".to_owned()),
                properties: (1..=5).map(|n| (format!("property_{n}"), n.to_string())).collect(),
                ..Attributes::default()
            },
        );
        store.create(&image).await?;
        store.upload(&image.id, Body::from(Bytes::from(number.to_string()))).await?;
    }
    let directory = Path::new(directory);
    let read = |name| std::fs::read(directory.join(name));
    let acceptor = transport_rustls::acceptor(&read("cert.pem")?, &read("key.pem")?)?;
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port.parse()?)).await?;
    let api = Arc::new(GlanceApi::new(Arc::new(store)));
    glance_server::serve(listener, Some(acceptor), api, std::future::pending()).await?;
    Ok(())
}
