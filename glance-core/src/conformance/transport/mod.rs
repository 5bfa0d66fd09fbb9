//! The conformance suite of [`Transport`].

use std::fmt;
use std::future::Future;
use std::mem::discriminant;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{Request, Response};

use super::{Case, Outcome, Report, Wrong};
use crate::Transport;
use crate::body::Body;
use crate::transport::{TransportError, TransportErrorKind};

mod answers;
mod failures;
mod requests;
mod server;

use server::{Connection, Server};

/// A transport to test, and TLS front ends for the suite's servers. The servers listen on the
/// loopback interface and speak HTTP/1.1 without TLS.
pub struct TransportUnderTest {
    /// Creates a transport with this timeout on silence.
    pub make: Make,
    /// Starts a TLS server that the transport trusts and that forwards all bytes to and from the
    /// address. Returns the server's origin, such as `https://localhost:12345`.
    pub trusted: Front,
    /// Like `trusted`, with a server that the transport must not trust.
    pub untrusted: Front,
    /// How to test client certificates; `None` for a transport that cannot tell whether a server
    /// asked for one.
    pub client_certificates: Option<ClientCertificates>,
    /// The timeout on silence in the cases about silence. All other times of the suite are multiples
    /// of it. One second suffices on a machine that is not overloaded.
    pub silence: Duration,
}

/// A transport with a client certificate, and a server that asks for one.
pub struct ClientCertificates {
    /// Like `make` of [`TransportUnderTest`], with a client certificate that the server accepts.
    /// The transport of `make` has no client certificate.
    pub make: Make,
    /// Like `trusted` of [`TransportUnderTest`], with a server that asks for a client certificate
    /// and accepts clients without one.
    pub asking: Front,
}

/// Creates a transport with a timeout on silence.
pub type Make = Box<dyn Fn(Duration) -> Arc<dyn Transport> + Send + Sync>;

/// Starts a server in front of an address and returns its origin.
pub type Front = Box<dyn Fn(SocketAddr) -> BoxFuture<'static, String> + Send + Sync>;

impl fmt::Debug for ClientCertificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientCertificates").finish_non_exhaustive()
    }
}

impl fmt::Debug for TransportUnderTest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TransportUnderTest").finish_non_exhaustive()
    }
}

/// Runs every case, each with a new transport and a new server. Needs a multi-threaded tokio
/// runtime and takes about fifteen times the limit on silence, mostly for waiting.
pub async fn transport(under_test: &TransportUnderTest) -> Report {
    let mut report = Report::default();
    for case in cases() {
        report.run(&case, under_test).await;
    }
    report
}

macro_rules! cases {
    ($($module:ident: $($name:ident)*;)*) => {
        vec![$($(Case {
            name: stringify!($name),
            run: |under_test| Box::pin(under_test.in_time($module::$name(under_test))),
        },)*)*]
    };
}

/// The single cases, for a test harness that runs or skips them individually.
pub fn cases() -> Vec<Case<TransportUnderTest>> {
    cases! {
        requests:
            a_request_arrives_as_it_is
            a_body_of_known_size_is_announced
            a_body_of_unknown_size_is_chunked
            a_body_is_drawn_no_faster_than_it_goes
            a_failing_body_is_not_ended
            a_body_that_breaks_its_promise_is_not_ended
            a_dropped_request_is_not_ended
            a_body_is_sent_once;
        answers:
            every_status_is_an_answer
            no_redirect_is_followed
            no_content_is_decoded
            an_answer_streams
            an_early_answer_ends_the_sending
            a_dropped_answer_ends_the_exchange
            answers_belong_to_their_requests
            one_connection_serves_many_requests
            the_certificate_of_the_server_is_noted
            a_request_for_a_client_certificate_is_noted;
        failures:
            an_answer_cut_short_is_an_error
            silence_is_an_error
            slowness_is_no_error
            other_failures_have_their_kinds
            nothing_reaches_an_untrusted_server;
    }
}

impl TransportUnderTest {
    /// Starts a server that handles each connection with `behave`.
    async fn serve<F>(
        &self,
        behave: impl Fn(Connection) -> F + Send + 'static,
    ) -> Result<Server, Wrong>
    where
        F: Future<Output = Outcome> + Send + 'static,
    {
        Server::start(self.patience(), self.moment(), behave).await
    }

    /// Creates a transport whose timeout on silence is too long to matter.
    fn transport(&self) -> Arc<dyn Transport> {
        (self.make)(self.patience())
    }

    /// Creates a transport and a trusted front end of `server`; returns the transport and the
    /// origin.
    async fn way(&self, server: &Server) -> (Arc<dyn Transport>, String) {
        (self.transport(), (self.trusted)(server.address).await)
    }

    /// Like [`way`](Self::way), with the timeout on silence that is tested.
    async fn impatient_way(&self, server: &Server) -> (Arc<dyn Transport>, String) {
        ((self.make)(self.silence), (self.trusted)(server.address).await)
    }

    /// Runs a case, and fails it if it hangs.
    async fn in_time(&self, case: impl Future<Output = Outcome>) -> Outcome {
        let limit = 6 * self.patience();
        let late = |_elapsed| Err(format!("no end after {} s", limit.as_secs()).into());
        tokio::time::timeout(limit, case).await.unwrap_or_else(late)
    }

    /// How long a case waits for something that must happen.
    fn patience(&self) -> Duration {
        self.silence * 10
    }

    /// How long a case waits for something that must not happen.
    fn moment(&self) -> Duration {
        self.silence * 3 / 10
    }

    /// Sends `body` to `/` of `server` and waits for the head of the response.
    async fn put(&self, server: &Server, body: Body) -> Result<Response<Body>, Wrong> {
        let (transport, origin) = self.way(server).await;
        Ok(transport.send(put(&origin, body)?).await?)
    }
}

fn put(origin: &str, body: Body) -> Result<Request<Body>, Wrong> {
    Ok(Request::put(format!("{origin}/")).body(body)?)
}

fn get(origin: &str) -> Result<Request<Body>, Wrong> {
    Ok(Request::get(format!("{origin}/")).body(Body::empty())?)
}

async fn text(answer: Response<Body>) -> Result<Bytes, Wrong> {
    answer.into_body().collect(LIMIT).await
}

/// Fails the case unless `result` is an error of `kind`.
fn refused(
    what: &str,
    kind: TransportErrorKind,
    result: Result<Response<Body>, TransportError>,
) -> Result<TransportError, Wrong> {
    match result {
        // The details of a kind are the transport's own.
        Err(error) if discriminant(&error.kind) == discriminant(&kind) => Ok(error),
        Err(error) => Err(format!("{what}: {:?} ({error}), not {kind:?}", error.kind).into()),
        Ok(answer) => {
            Err(format!("{what}: the answer {}, not the error {kind:?}", answer.status()).into())
        }
    }
}

/// The size limit for responses that a case reads completely.
const LIMIT: usize = 1 << 20;
