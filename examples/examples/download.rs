//! From an entry of clouds.yaml to a verified download.
//!
//! `cargo run -p examples --example download [CLOUD IMAGE-ID FILE]`. Without arguments, the cloud is
//! an embedded Glance over HTTPS, whose private CA is the `cacert` of the entry.

use std::fs::{self, File};
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::TryStreamExt;
use glance_client::GlanceStore;
use glance_core::image::{Attributes, Image};
use glance_core::store::ImageStoreExt;
use glance_core::store::memory::MemoryStore;
use glance_core::{Body, ImageId, ImageStore, Selection};
use glance_server::GlanceApi;
use keystone_auth::Cloud;
use transport_hyper::ClientOptions;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// The three lines that open the store of a cloud.
async fn open(cloud: &str) -> Result<GlanceStore, Failure> {
    let cloud = Cloud::load(cloud)?;
    let transport = |trust: &_| transport_rustls::transport(trust, ClientOptions::default());
    Ok(GlanceStore::connect(&cloud, transport).await?)
}

async fn download(store: &GlanceStore, id: &ImageId, path: &Path) -> Result<Image, Failure> {
    let part = path.with_extension("part");
    let file = File::create(&part)?;
    let (image, file) = store.download_verified(id, transport_rustls::hashers(), file).await?;
    file.sync_all()?;
    // Only verified data gets the name.
    fs::rename(part, path)?;
    Ok(image)
}

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let folder = tempfile::tempdir()?;
    let runtime = tokio::runtime::Runtime::new()?;
    let Ok([cloud, id, path]) = <[String; 3]>::try_from(arguments) else {
        return runtime.block_on(demonstrate(folder.path()));
    };
    runtime.block_on(async {
        let image = download(&open(&cloud).await?, &id.parse()?, path.as_ref()).await?;
        println!("{}: {} bytes", image.label(), image.size.unwrap_or_default());
        Ok(())
    })
}

/// Serves an image, describes the server in clouds.yaml, lists its images and downloads one.
async fn demonstrate(folder: &Path) -> Result<(), Failure> {
    let images = MemoryStore::new("images");
    let record = Attributes { name: Some("debian-12".to_owned()), ..Attributes::default() };
    let image = images.create(&Image::queued(ImageId::random(), record)).await?;
    images.upload(&image.id, Body::from(Bytes::from(vec![7; 3_000_000]))).await?;

    let site = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()])?;
    let (certificate, key) = (site.cert.pem(), site.signing_key.serialize_pem());
    let tls = transport_rustls::acceptor(certificate.as_bytes(), key.as_bytes())?;
    let listener = tokio::net::TcpListener::bind("localhost:0").await?;
    let url = format!("https://localhost:{}", listener.local_addr()?.port());
    let api = Arc::new(GlanceApi::new(Arc::new(images)));
    tokio::spawn(glance_server::serve(listener, Some(tls), api, std::future::pending()));

    let ca = folder.join("ca.pem");
    fs::write(&ca, certificate)?;
    let entry =
        format!("auth_type: none, image_endpoint_override: '{url}', cacert: '{}'", ca.display());
    fs::write(folder.join("clouds.yaml"), format!("clouds: {{demo: {{{entry}}}}}"))?;
    std::env::set_current_dir(folder)?;

    let store = open("demo").await?;
    let listed: Vec<Image> = store.list(&Selection::everything()).await?.try_collect().await?;
    for image in listed {
        println!("{} {}", image.id, image.label());
        let path = folder.join("debian-12.img");
        download(&store, &image.id, &path).await?;
        println!("{} bytes verified", fs::metadata(path)?.len());
    }
    Ok(())
}
