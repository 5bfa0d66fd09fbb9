//! The TLS stacks of this build, with server certificates and clients that trust them.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use glance_core::digest::Hashers;
use glance_core::{Body, Transport, TransportError};
use http::{Method, Request, Response};
use tests::pki::{Authority, Leaf};
use tls_policy::{Roots, TlsPolicy, bundle};
use transport_hyper::{ClientOptions, TlsAcceptor};

/// A TLS library for clients and servers.
pub(crate) struct Stack {
    pub(crate) name: &'static str,
    pub(crate) acceptor: Arc<dyn TlsAcceptor>,
    pub(crate) hashers: Hashers,
    /// A client whose timeouts suffice on a busy machine.
    pub(crate) patient: Arc<dyn Transport>,
    /// A client with short timeouts.
    impatient: Arc<dyn Transport>,
}

impl Stack {
    pub(crate) fn all() -> Vec<Arc<Self>> {
        Self::all_and_ca().0
    }

    /// Returns all stacks, and the PEM certificate of the CA that signed their server certificates.
    pub(crate) fn all_and_ca() -> (Vec<Arc<Self>>, String) {
        let root = Authority::root("the CA of the tests").unwrap();
        let server = root.issue(&Leaf::new("server", &["127.0.0.1"])).unwrap();
        let (chain, key) = (server.chain_pem.as_bytes(), server.key_pem.as_bytes());
        let directory = tempfile::tempdir().unwrap();
        let ca = directory.path().join("ca.pem");
        std::fs::write(&ca, root.pem()).unwrap();
        let policy = TlsPolicy::new(Roots::Bundle(bundle::load(&ca).unwrap()));
        macro_rules! stack {
            ($name:literal, $library:ident) => {
                Arc::new(Self {
                    name: $name,
                    acceptor: $library::acceptor(chain, key).unwrap(),
                    hashers: $library::hashers(),
                    patient: $library::transport(&policy, waiting(PATIENCE)).unwrap(),
                    impatient: $library::transport(&policy, waiting(IMPATIENCE)).unwrap(),
                })
            };
        }
        let stacks = vec![
            #[cfg(feature = "rustls")]
            stack!("rustls", transport_rustls),
            #[cfg(feature = "native-tls")]
            stack!("native", transport_native),
        ];
        (stacks, root.pem().to_owned())
    }
}

impl Stack {
    /// A client with short timeouts for these requests to this server.
    pub(crate) fn impatient_at(
        &self,
        server: &str,
        method: Method,
        path: impl Fn(&str) -> bool + Send + Sync + 'static,
    ) -> Arc<dyn Transport> {
        let (patient, impatient) = (Arc::clone(&self.patient), Arc::clone(&self.impatient));
        let server = server.to_owned();
        Arc::new(ImpatientAt { server, method, path: Box::new(path), patient, impatient })
    }
}

struct ImpatientAt {
    server: String,
    method: Method,
    path: Box<dyn Fn(&str) -> bool + Send + Sync>,
    patient: Arc<dyn Transport>,
    impatient: Arc<dyn Transport>,
}

#[async_trait]
impl Transport for ImpatientAt {
    async fn send(&self, request: Request<Body>) -> Result<Response<Body>, TransportError> {
        let uri = request.uri();
        let is_it = *request.method() == self.method
            && uri.to_string().starts_with(&self.server)
            && (self.path)(uri.path());
        if is_it { self.impatient.send(request).await } else { self.patient.send(request).await }
    }
}

impl fmt::Debug for ImpatientAt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ImpatientAt").field("method", &self.method).finish_non_exhaustive()
    }
}

fn waiting(limit: Duration) -> ClientOptions {
    ClientOptions {
        connect_timeout: PATIENCE,
        idle_timeout: limit,
        commit_timeout: limit,
        ..ClientOptions::default()
    }
}

const PATIENCE: Duration = Duration::from_secs(30);
const IMPATIENCE: Duration = Duration::from_millis(1500);

/// The TLS stacks of this build, as `--tls` names them.
pub(crate) const STACKS: &[&str] = &[
    #[cfg(feature = "rustls")]
    "rustls",
    #[cfg(feature = "native-tls")]
    "native",
];

/// The server side of a TLS stack, with this certificate and key.
pub(crate) fn acceptor(stack: &str, chain: &[u8], key: &[u8]) -> Arc<dyn TlsAcceptor> {
    match stack {
        #[cfg(feature = "rustls")]
        "rustls" => transport_rustls::acceptor(chain, key).unwrap(),
        #[cfg(feature = "native-tls")]
        "native" => transport_native::acceptor(chain, key).unwrap(),
        // A client only.
        #[cfg(feature = "reqwest")]
        "reqwest" => acceptor(STACKS[0], chain, key),
        other => panic!("this build has no {other}"),
    }
}
