//! Requests whose responses are useful but not required.

use std::future::Future;
use std::time::Duration;

/// A request extension: nothing depends on the response. Such a request is sent only once, and its
/// outcome does not affect the server's circuit breaker.
#[derive(Debug, Clone, Copy)]
pub struct Optional;

/// Waits for an optional request for a limited time; `None` if the time runs out. After an error or
/// a timeout the caller continues without the response.
pub async fn briefly<T>(request: impl Future<Output = T>) -> Option<T> {
    tokio::time::timeout(PATIENCE, request).await.ok()
}

/// Long enough for a server that responds at all.
const PATIENCE: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use async_trait::async_trait;
    use http::{Request, Response};
    use tokio::time::Instant;

    use super::*;
    use crate::body::Body;
    use crate::transport::{RetryPolicy, Retrying, Transport, TransportError, TransportErrorKind};

    /// A server that closes every connection.
    #[derive(Debug)]
    struct HangsUp;

    #[async_trait]
    impl Transport for HangsUp {
        async fn send(&self, _: Request<Body>) -> Result<Response<Body>, TransportError> {
            Err(TransportError::new(TransportErrorKind::Interrupted, "https://g", "it hung up"))
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_becomes_of_it_says_nothing_of_the_server() {
        let wire = Retrying::new(Arc::new(HangsUp), RetryPolicy::default().times(0));
        let begin = Instant::now();
        for _ in 0..100 {
            let mut request = Request::get("https://g/").body(Body::empty()).unwrap();
            request.extensions_mut().insert(Optional);
            wire.send(request).await.unwrap_err();
        }
        let error = wire.send(Request::get("https://g/").body(Body::empty()).unwrap()).await;
        assert_eq!(error.unwrap_err().reason, "it hung up");
        assert_eq!(begin.elapsed(), Duration::ZERO);
    }
}
