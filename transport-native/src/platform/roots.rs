//! The trusted certificates of a policy, for native-tls.

use native_tls::{Certificate, TlsConnectorBuilder};
use tls_policy::TlsPolicy;
use tls_policy::judge::anchors;
use transport_hyper::TlsSetupError;

/// Makes `connector` trust the certificates of `policy`, and no others.
pub(crate) fn trust(
    policy: &TlsPolicy,
    connector: &mut TlsConnectorBuilder,
) -> Result<(), TlsSetupError> {
    connector.disable_built_in_roots(!policy.roots.with_system());
    for one in anchors::usable(policy.roots.bundle()) {
        let certificate = Certificate::from_der(&one.der).map_err(|error| {
            TlsSetupError::new(&format!("cannot load the certificate in {one}"), error)
        })?;
        connector.add_root_certificate(certificate);
    }
    Ok(())
}
