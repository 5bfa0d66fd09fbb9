//! Identification of the caller to servers, and of requests by servers.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, header};

use super::{Transport, TransportError};
use crate::body::Body;

/// Identifies the program that sends requests, and its run, in the logs of servers.
///
/// All requests of a run, to any server, carry the same
/// [global request id](https://specs.openstack.org/openstack/oslo-specs/specs/pike/global-req-id.html),
/// so that the log entries of both clouds can be correlated.
#[derive(Debug, Clone)]
pub struct RequestIdentity {
    agent: HeaderValue,
    run: HeaderValue,
}

impl RequestIdentity {
    /// A new run of the program `agent`, in the format of `User-Agent` (RFC 9110, section 10.1.5):
    /// products with versions, comments in parentheses. Characters that are not allowed in a header
    /// become `?`.
    pub fn new(agent: &str) -> Self {
        let printable = |c: char| if c.is_ascii_graphic() || c == ' ' { c } else { '?' };
        let agent: String = agent.chars().map(printable).collect();
        // Servers ignore an id that is not `req-` followed by a UUID.
        let run = format!("req-{}", uuid::Uuid::new_v4());
        let value = |text: &str| {
            HeaderValue::from_str(text).unwrap_or_else(|_| HeaderValue::from_static("?"))
        };
        Self { agent: value(&agent), run: value(&run) }
    }

    /// The global request id of this run.
    pub fn run(&self) -> &str {
        self.run.to_str().unwrap_or_default()
    }

    /// Wraps a transport so that every request carries this caller's headers.
    pub fn by(&self, transport: Arc<dyn Transport>) -> Arc<dyn Transport> {
        Arc::new(WithRequestId { caller: self.clone(), transport })
    }
}

/// The header of both ids: in a request the global request id of the run, in a response the
/// server's id of the request.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-openstack-request-id");

/// The server's id of a request, to be found in the server's logs. `None` if the id is missing or
/// contains unusual characters.
pub fn request_id(answer: &HeaderMap) -> Option<String> {
    let id = answer.get(REQUEST_ID)?.to_str().ok()?;
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    (id.len() <= 128 && !id.is_empty() && id.chars().all(plain)).then(|| id.to_owned())
}

/// A transport whose requests identify the caller.
struct WithRequestId {
    caller: RequestIdentity,
    transport: Arc<dyn Transport>,
}

#[async_trait]
impl Transport for WithRequestId {
    async fn send(&self, mut request: Request<Body>) -> Result<Response<Body>, TransportError> {
        let headers = request.headers_mut();
        headers.insert(header::USER_AGENT, self.caller.agent.clone());
        headers.insert(REQUEST_ID, self.caller.run.clone());
        self.transport.send(request).await
    }
}

impl fmt::Debug for WithRequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.transport.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[derive(Debug, Default)]
    struct Server(Mutex<Vec<HeaderMap>>);

    #[async_trait]
    impl Transport for Server {
        async fn send(&self, request: Request<Body>) -> Result<Response<Body>, TransportError> {
            self.0.lock().unwrap().push(request.headers().clone());
            Ok(Response::new(Body::empty()))
        }
    }

    #[tokio::test]
    async fn every_request_says_who_sends_it() {
        let server = Arc::new(Server::default());
        let caller = RequestIdentity::new("tool/1 (Tls\u{e9} 2)");
        for _ in 0..2 {
            let transport = caller.by(server.clone());
            transport.send(Request::new(Body::empty())).await.unwrap();
        }
        for headers in server.0.lock().unwrap().iter() {
            assert_eq!(headers["user-agent"], "tool/1 (Tls? 2)");
            assert_eq!(headers["x-openstack-request-id"], caller.run());
        }
        let (start, id) = caller.run().split_at(4);
        assert_eq!(start, "req-");
        assert!(uuid::Uuid::try_parse(id).is_ok());
        assert_ne!(RequestIdentity::new("x").run(), caller.run());
    }

    #[test]
    fn an_id_is_shown_only_when_it_is_a_word() {
        let shown = |id: &str| {
            let id = HeaderValue::from_str(id).unwrap();
            request_id(&HeaderMap::from_iter([(REQUEST_ID, id)]))
        };
        assert_eq!(shown("req-0a_1").as_deref(), Some("req-0a_1"));
        for id in ["", "a b", "\u{e9}", &"x".repeat(129)] {
            assert_eq!(shown(id), None, "{id}");
        }
    }
}
