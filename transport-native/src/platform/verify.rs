//! Checks what native-tls shows of a server after the platform's library has verified it.

use tls_policy::TlsPolicy;
use tls_policy::judge::checks::Checks;
use transport_hyper::HandshakeFault;

/// The checks that the platform's library does not make on its own.
pub(crate) struct Verifier {
    checks: Checks,
}

impl Verifier {
    pub(crate) fn new(policy: &TlsPolicy) -> Self {
        Self { checks: Checks::of(policy) }
    }

    /// Returns why a server with this certificate (DER) is rejected for `host`, if it is.
    pub(crate) fn objection(&self, own: &[u8], host: &str) -> Option<HandshakeFault> {
        let fault = self.checks.objection_to_server(own, host)?;
        let sent = vec![own.to_vec()];
        let above = self.checks.listed_above(&sent);
        Some(HandshakeFault { fault, sent, above })
    }
}
