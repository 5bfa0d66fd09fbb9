//! What OpenSSL verifies, and what its verdicts mean.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use glance_core::tls::authority::may_sign;
use glance_core::tls::verdict::Fault;
use openssl::error::ErrorStack;
use openssl::ssl::{SslRef, SslVerifyMode};
use openssl::x509::verify::X509CheckFlags;
use openssl::x509::{X509StoreContextRef, X509VerifyResult};
use openssl_sys as ffi;

/// Why a server's certificate was refused, and the chain as far as OpenSSL built it.
pub(crate) type Refused = Arc<Mutex<Option<(Fault, Vec<Vec<u8>>)>>>;

/// Makes `ssl` verify the server for `host`, and say in the result why not.
pub(crate) fn verify(ssl: &mut SslRef, host: &str) -> Result<Refused, ErrorStack> {
    let param = ssl.param_mut();
    // The host is looked for among the subject's alternative names and nowhere else; a star
    // stands for one whole label.
    param.set_hostflags(X509CheckFlags::NEVER_CHECK_SUBJECT | X509CheckFlags::NO_PARTIAL_WILDCARDS);
    if let Ok(ip) = host.parse::<IpAddr>() {
        param.set_ip(ip)?;
    } else {
        param.set_host(host)?;
        ssl.set_hostname(host)?;
    }
    let refused = Refused::default();
    let record = Arc::clone(&refused);
    ssl.set_verify_callback(SslVerifyMode::PEER, move |fine, context| {
        let why = match fine {
            false => fault(context.error()),
            true if signs_without_right(context) => {
                context.set_error(X509VerifyResult::APPLICATION_VERIFICATION);
                Fault::UnknownIssuer
            }
            true => return true,
        };
        *record.lock().unwrap_or_else(PoisonError::into_inner) = Some((why, chain(context)));
        false
    });
    Ok(refused)
}

/// Whether the certificate under the callback's eyes signs another one without the right to.
/// OpenSSL is laxer: it also takes a key usage without basic constraints for a permission.
fn signs_without_right(context: &X509StoreContextRef) -> bool {
    let one = context.current_cert().filter(|_| context.error_depth() > 0);
    one.is_some_and(|one| !one.to_der().is_ok_and(|der| may_sign(&der)))
}

fn chain(context: &X509StoreContextRef) -> Vec<Vec<u8>> {
    let chain = context.chain().into_iter().flatten();
    chain.map_while(|one| one.to_der().ok()).collect()
}

fn fault(result: X509VerifyResult) -> Fault {
    match result.as_raw() {
        ffi::X509_V_ERR_CERT_HAS_EXPIRED => Fault::Expired,
        ffi::X509_V_ERR_CERT_NOT_YET_VALID => Fault::NotYetValid,
        ffi::X509_V_ERR_HOSTNAME_MISMATCH | ffi::X509_V_ERR_IP_ADDRESS_MISMATCH => Fault::WrongName,
        ffi::X509_V_ERR_INVALID_PURPOSE => Fault::WrongPurpose,
        ffi::X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT
        | ffi::X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY
        | ffi::X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT
        | ffi::X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN
        | ffi::X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE
        | ffi::X509_V_ERR_CERT_SIGNATURE_FAILURE
        | ffi::X509_V_ERR_INVALID_CA => Fault::UnknownIssuer,
        _ => Fault::Other(format!("its certificate can't be verified: {}", result.error_string())),
    }
}
