//! glance-replicator's [`Transport`] over the platform's TLS library: OpenSSL, by the `openssl`
//! crate, which can express what verification needs and what native-tls can't (partial chains,
//! no fall-back to the common name, the verdict's reason).

mod backend;

mod acceptor;

use std::sync::Arc;

use glance_core::tls::TlsPolicy;
use glance_core::transport::Transport;
use transport_hyper::{HyperTransport, Options, TlsAcceptor};

/// TLS can't be set up as asked.
#[derive(Debug, thiserror::Error)]
#[error("OpenSSL does not take {what}")]
pub struct TlsSetupError {
    what: String,
    #[source]
    source: openssl::error::ErrorStack,
}

/// A transport that verifies as `policy` says.
///
/// # Errors
/// When OpenSSL refuses the policy.
pub fn transport(
    policy: &TlsPolicy,
    options: Options,
) -> Result<Arc<dyn Transport>, TlsSetupError> {
    Ok(Arc::new(HyperTransport::new(backend::OpensslBackend::new(policy)?, options)))
}

/// The server's side, with a certificate chain and its key, PEM.
///
/// # Errors
/// When they are not PEM, or do not belong together.
pub fn acceptor(chain: &[u8], key: &[u8]) -> Result<Arc<dyn TlsAcceptor>, TlsSetupError> {
    Ok(Arc::new(acceptor::OpensslAcceptor::new(chain, key)?))
}

/// The TLS library and its version.
pub fn describe() -> String {
    format!("native ({})", openssl::version::version())
}

/// Says what OpenSSL was given when it fails.
fn given(what: &str) -> impl FnOnce(openssl::error::ErrorStack) -> TlsSetupError {
    let what = what.to_owned();
    move |source| TlsSetupError { what, source }
}
