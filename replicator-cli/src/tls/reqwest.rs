//! The stack over reqwest. It is a client only, and honours less than the other stacks.

use glance_core::Body;
use glance_core::transport::{IdleTimeouts, ServerCertificate, Transport};
use http::{Request, Uri};
use tls_policy::TlsPolicy;
use transport_hyper::{ClientOptions, Inspection, TlsSetupError};
use transport_reqwest::reqwest::ClientBuilder;

use super::Made;

/// What this stack cannot do, for `--version`.
pub(super) const LACKS: &str = "client only; no pinned keys, no revocation lists, no trusted certificates \
                                other than CAs, no encrypted client keys, no proxies, no FIPS mode";

/// The name of reqwest and of the TLS library inside.
pub(super) fn describe() -> String {
    format!("{} over {}", transport_reqwest::describe(), super::INSIDE_REQWEST.0)
}

pub(super) fn fips() -> Result<(), TlsSetupError> {
    let what = "the reqwest stack has no FIPS mode";
    transport_reqwest::fips().map_err(|error| TlsSetupError::new(what, error))
}

/// A transport over a new client.
pub(super) fn transport(policy: &TlsPolicy, options: ClientOptions) -> Made<dyn Transport> {
    let ClientOptions { connect_timeout, idle_timeout, commit_timeout, proxies } = options;
    if !proxies.is_empty() {
        let what = "the reqwest stack uses no proxy: unset HTTPS_PROXY, HTTP_PROXY and ALL_PROXY";
        return Err(TlsSetupError { what: what.to_owned(), source: None });
    }
    let builder = ClientBuilder::new().connect_timeout(connect_timeout);
    let timeouts = IdleTimeouts { idle: idle_timeout, commit: commit_timeout };
    let what = "the reqwest stack cannot apply the certificate trust";
    let transport = (super::INSIDE_REQWEST.1)(builder, policy, timeouts);
    transport.map_err(|error| TlsSetupError::new(what, error))
}

/// Describes a connection as far as the response to a request does.
pub(super) async fn inspect(
    policy: &TlsPolicy,
    options: ClientOptions,
    url: &Uri,
) -> Result<Inspection, TlsSetupError> {
    let mut request = Request::new(Body::empty());
    *request.uri_mut() = url.clone();
    let answer = transport(policy, options)?.send(request).await;
    let certificate = answer.as_ref().ok().and_then(|answer| answer.extensions().get());
    let chain = certificate.map(|ServerCertificate(der)| der.to_vec());
    let chain = chain.into_iter().collect();
    Ok(Inspection { chain, at_fault: None, verdict: answer.map(|_| None) })
}
