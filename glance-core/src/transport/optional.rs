//! Requests for answers that are good to have and not needed.

use std::future::Future;
use std::time::Duration;

/// Said of a request among its extensions: nothing depends on its answer. It is sent once, and what
/// becomes of it says nothing of the server.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Optional;

/// The outcome of such a request, unless it takes too long. Whatever went wrong, the answer is then
/// not known, and the work goes on without it.
pub(crate) async fn briefly<T>(request: impl Future<Output = T>) -> Option<T> {
    tokio::time::timeout(PATIENCE, request).await.ok()
}

/// Enough for a server that is there.
const PATIENCE: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use async_trait::async_trait;
    use bytes::Bytes;
    use futures_util::stream;
    use http::{Request, Response};
    use tokio::time::Instant;

    use super::*;
    use crate::body::Body;
    use crate::glance::GlanceStore;
    use crate::identity::auth::{AuthPlugin, GivenToken, NoAuth};
    use crate::identity::{ImageService, Session};
    use crate::transport::{
        Persistence, Persistent, Transport, TransportError, TransportErrorKind,
    };

    /// The ways in which an answer does not come.
    #[derive(Debug, Clone, Copy)]
    enum Way {
        Unavailable,
        HangsUp,
        Silent,
        SilentInTheMiddle,
        Refused,
        NoJson,
    }

    #[derive(Debug)]
    struct Server {
        way: Way,
        asked: AtomicUsize,
    }

    #[async_trait]
    impl Transport for Server {
        async fn send(&self, _: Request<Body>) -> Result<Response<Body>, TransportError> {
            self.asked.fetch_add(1, Ordering::SeqCst);
            let (status, body) = match self.way {
                Way::Unavailable => (503, Body::empty()),
                Way::Silent => pending().await,
                Way::SilentInTheMiddle => (200, Body::from_stream(stream::pending(), Some(9))),
                Way::Refused => (400, Body::empty()),
                Way::NoJson => (200, Body::from(Bytes::from_static(b"<html>"))),
                Way::HangsUp => {
                    let (endpoint, reason) = ("https://g".to_owned(), "it hung up".to_owned());
                    let kind = TransportErrorKind::Interrupted;
                    return Err(TransportError {
                        kind,
                        endpoint,
                        reason,
                        hint: None,
                        source: None,
                    });
                }
            };
            Ok(Response::builder().status(status).body(body).unwrap())
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_is_not_needed_is_asked_for_once_and_not_for_long() {
        for way in [
            Way::Unavailable,
            Way::HangsUp,
            Way::Silent,
            Way::SilentInTheMiddle,
            Way::Refused,
            Way::NoJson,
        ] {
            let server = Arc::new(Server { way, asked: AtomicUsize::new(0) });
            let wire: Arc<dyn Transport> =
                Arc::new(Persistent::new(Arc::<Server>::clone(&server), Persistence::default()));
            let session = Arc::new(Session::new(Arc::clone(&wire), Arc::new(NoAuth::default())));
            let begin = Instant::now();

            let endpoint_override = Some("https://g/image".to_owned());
            let wanted = ImageService { endpoint_override, ..ImageService::default() };
            let endpoint = session.image_endpoint(&wanted).await.unwrap();
            assert_eq!((&*endpoint.url, endpoint.minor_version), ("https://g/image", None));

            let glance = GlanceStore::new("g", Arc::clone(&wire), "https://g/image", session);
            assert!(glance.schema().await.is_none(), "{way:?}");

            let given = GivenToken { token: "hush".into(), auth_url: "https://ks".into() };
            assert!(given.sign_in(&*wire).await.unwrap().life.is_none(), "{way:?}");

            assert_eq!(server.asked.load(Ordering::SeqCst), 3, "{way:?}");
            assert!(begin.elapsed() <= PATIENCE * 3, "{way:?}: {:?}", begin.elapsed());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_becomes_of_it_says_nothing_of_the_server() {
        let server = Arc::new(Server { way: Way::HangsUp, asked: AtomicUsize::new(0) });
        let wire = Persistent::new(Arc::<Server>::clone(&server), Persistence::default().times(0));
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
