//! Requests for answers that are good to have and not needed.

use std::future::Future;
use std::time::Duration;

/// Said of a request among its extensions: nothing depends on its answer. It is sent once, and what
/// becomes of it says nothing of the server.
#[derive(Debug, Clone, Copy)]
pub struct Optional;

/// The outcome of such a request, unless it takes too long. Whatever went wrong, the answer is then
/// not known, and the work goes on without it.
pub async fn briefly<T>(request: impl Future<Output = T>) -> Option<T> {
    tokio::time::timeout(PATIENCE, request).await.ok()
}

/// Enough for a server that is there.
const PATIENCE: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use async_trait::async_trait;
    use http::{Request, Response};
    use tokio::time::Instant;

    use super::*;
    use crate::body::Body;
    use crate::transport::{
        Persistence, Persistent, Transport, TransportError, TransportErrorKind,
    };

    /// A server that hangs up.
    #[derive(Debug)]
    struct HangsUp;

    #[async_trait]
    impl Transport for HangsUp {
        async fn send(&self, _: Request<Body>) -> Result<Response<Body>, TransportError> {
            let (endpoint, reason) = ("https://g".to_owned(), "it hung up".to_owned());
            let kind = TransportErrorKind::Interrupted;
            Err(TransportError { kind, endpoint, reason, hint: None, source: None })
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_becomes_of_it_says_nothing_of_the_server() {
        let wire = Persistent::new(Arc::new(HangsUp), Persistence::default().times(0));
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
