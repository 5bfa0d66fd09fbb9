//! Sends requests with reqwest.

use std::time::Duration;

use async_trait::async_trait;
use glance_core::Body;
use glance_core::transport::address::endpoint;
use glance_core::transport::{ServerCertificate, Transport, TransportError, TransportErrorKind};
use http::{Request, Response};
use reqwest::Url;
use reqwest::tls::TlsInfo;

use crate::failure::explain;

/// Sends requests without the guarantees of [`Guarded`](glance_core::transport::Guarded).
#[derive(Debug)]
pub(crate) struct Client(pub(crate) reqwest::Client);

#[async_trait]
impl Transport for Client {
    async fn send(&self, request: Request<Body>) -> Result<Response<Body>, TransportError> {
        let uri = request.uri().clone();
        let endpoint = endpoint(&uri);
        let request = encoded(request).map_err(|reason| {
            TransportError::of_exchange(TransportErrorKind::Protocol, reason, &endpoint)
        })?;
        let answer = self.0.execute(request).await;
        let answer = answer.map_err(|error| explain(error, &uri, &endpoint))?;
        let mut answer = Response::<reqwest::Body>::from(answer).map(Body::from_http);
        let certificate = answer.extensions().get().and_then(TlsInfo::peer_certificate);
        if let Some(der) = certificate.map(|der| ServerCertificate(der.into())) {
            answer.extensions_mut().insert(der);
        }
        Ok(answer)
    }
}

/// The request, as reqwest takes it.
fn encoded(request: Request<Body>) -> Result<reqwest::Request, String> {
    let (head, body) = request.into_parts();
    let url = Url::parse(&head.uri.to_string()).map_err(|error| error.to_string())?;
    // A URL resolves dots in its path, and encodes characters that a URI may contain.
    if (url.path(), url.query()) != (head.uri.path(), head.uri.query()) {
        return Err("reqwest would change the path or the query of the request".to_owned());
    }
    let mut request = reqwest::Request::new(head.method, url);
    *request.headers_mut() = head.headers;
    // Overrides a limit for a whole exchange in the builder.
    *request.timeout_mut() = Some(Duration::MAX);
    if body.size() != Some(0) {
        *request.body_mut() = Some(reqwest::Body::wrap(body));
    }
    Ok(request)
}
