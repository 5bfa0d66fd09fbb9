//! Downloads `URL` over a TLS `STACK` that trusts `CA`, and discards the data. `cargo xtask bench`
//! measures with it the cost of a transport alone.

use std::path::PathBuf;
use std::sync::Arc;

use futures_util::StreamExt;
use glance_core::body::Body;
use glance_core::error::BodyError;
use glance_core::transport::Transport;
use http::Request;
use tls_policy::{self, TlsPolicy};

#[tokio::main]
async fn main() -> Result<(), BodyError> {
    // Runs on a worker thread, like the connection; on the main thread each chunk would wake a
    // second thread.
    tokio::spawn(download()).await?
}

async fn download() -> Result<(), BodyError> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, stack, url, ca] = arguments.as_slice() else {
        return Err("usage: transport-download STACK URL CA".into());
    };
    let (policy, _) = tls_policy::resolve(&[("CA", Some(PathBuf::from(ca)))], &|_| None)?;
    let answer = transport(stack, &policy)?.send(Request::get(url).body(Body::empty())?).await?;
    if !answer.status().is_success() {
        return Err(format!("{url}: {}", answer.status()).into());
    }
    let mut body = answer.into_body();
    while let Some(chunk) = body.next().await {
        chunk?;
    }
    Ok(())
}

fn transport(stack: &str, policy: &TlsPolicy) -> Result<Arc<dyn Transport>, BodyError> {
    let options = transport_hyper::ClientOptions::default();
    match stack {
        #[cfg(feature = "rustls")]
        "rustls" => Ok(transport_rustls::transport(policy, options)?),
        #[cfg(feature = "native-tls")]
        "native" => Ok(transport_native::transport(policy, options)?),
        other => Err(format!("{other}: no such TLS stack in this build").into()),
    }
}
