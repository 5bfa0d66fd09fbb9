//! Verifies servers with OpenSSL, and translates its verdicts.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use openssl::error::ErrorStack;
use openssl::ssl::{SslRef, SslVerifyMode};
use openssl::x509::verify::X509CheckFlags;
use openssl::x509::{X509, X509Crl, X509StoreContextRef, X509VerifyResult};
use openssl_sys as ffi;
use tls_policy::fault::Fault;
use tls_policy::judge::checks::Checks;
use tls_policy::{RevocationList, TlsPolicy};
use transport_hyper::HandshakeFault;

/// The reason for which the server's certificate was rejected, once there is one.
pub(crate) type Refused = Arc<Mutex<Option<Reason>>>;

/// A fault, and the certificate path with it.
pub(crate) struct Reason {
    fault: Fault,
    /// The path as far as OpenSSL built it, the server's certificate first.
    path: Vec<Vec<u8>>,
    is_listed: bool,
}

/// The checks that OpenSSL does not make on its own.
pub(crate) struct Verifier {
    checks: Checks,
    listed: Vec<Vec<u8>>,
}

impl Verifier {
    pub(crate) fn new(policy: &TlsPolicy) -> Self {
        let listed = policy.roots.bundle().iter().map(|one| one.der.clone()).collect();
        Self { checks: Checks::of(policy), listed }
    }

    /// Makes `ssl` verify the server for `host`. The result receives the reason for a rejection.
    pub(crate) fn watch(
        self: Arc<Self>,
        ssl: &mut SslRef,
        host: &str,
    ) -> Result<Refused, ErrorStack> {
        let param = ssl.param_mut();
        // Match the host against the subject alternative names only; a wildcard must be a whole
        // label.
        #[expect(clippy::disallowed_methods, reason = "fewer names match than by default")]
        param.set_hostflags(
            X509CheckFlags::NEVER_CHECK_SUBJECT | X509CheckFlags::NO_PARTIAL_WILDCARDS,
        );
        if let Ok(ip) = host.parse::<IpAddr>() {
            param.set_ip(ip)?;
        } else {
            param.set_host(host)?;
            ssl.set_hostname(host)?;
        }
        let refused = Refused::default();
        let record = Arc::clone(&refused);
        #[expect(
            clippy::disallowed_methods,
            reason = "adds checks; ignores faults only above a certificate that is itself listed"
        )]
        ssl.set_verify_callback(SslVerifyMode::PEER, move |fine, context| {
            let is_listed = self.is_listed(context);
            let why = match (fine, context.error_depth()) {
                (_, 1..) if is_listed => None,
                (false, _) => Some(fault(context.error())),
                // The server's own certificate comes last, after the whole path has been verified.
                (true, 0) => self.objection(context),
                (true, _) => None,
            };
            let Some(fault) = why else {
                context.set_error(X509VerifyResult::OK);
                return true;
            };
            if fine {
                context.set_error(X509VerifyResult::APPLICATION_VERIFICATION);
            }
            let reason = Reason { fault, path: path(context), is_listed };
            *record.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason);
            false
        });
        Ok(refused)
    }

    /// Whether the server's certificate is itself a listed one. OpenSSL still checks the
    /// certificates above it; their faults do not matter.
    fn is_listed(&self, context: &X509StoreContextRef) -> bool {
        path(context).first().is_some_and(|own| self.listed.contains(own))
    }

    /// Describes why a server that sent these certificates was rejected.
    pub(crate) fn finding(&self, reason: Reason, sent: Vec<Vec<u8>>) -> HandshakeFault {
        let Reason { fault, path, is_listed } = reason;
        // A path of length one ends at the server's own certificate, which is therefore trusted
        // itself.
        let is_listed = is_listed || (path.len() == 1 && fault != Fault::UnknownIssuer);
        let mut above = path;
        above.extend(self.checks.listed_above(&sent));
        above.retain(|one| !sent.contains(one));
        HandshakeFault {
            fault: self.checks.explained(fault, &sent, &above, is_listed),
            sent,
            above,
        }
    }

    /// Checks a path that OpenSSL accepts for faults that OpenSSL does not look for.
    fn objection(&self, context: &X509StoreContextRef) -> Option<Fault> {
        let mut path = path(context);
        if self.is_listed(context) {
            path.truncate(1);
        }
        self.checks.objection(&path, &|list, issuer| signed(list, issuer).unwrap_or(false))
    }
}

/// Whether the key of `issuer` signed the revocation list.
fn signed(list: &RevocationList, issuer: &[u8]) -> Result<bool, ErrorStack> {
    let key = X509::from_der(issuer)?.public_key()?;
    X509Crl::from_der(&list.der)?.verify(&key)
}

fn path(context: &X509StoreContextRef) -> Vec<Vec<u8>> {
    let chain = context.chain().into_iter().flatten();
    chain.map_while(|one| one.to_der().ok()).collect()
}

fn fault(result: X509VerifyResult) -> Fault {
    match result.as_raw() {
        ffi::X509_V_ERR_CERT_HAS_EXPIRED => Fault::Expired,
        ffi::X509_V_ERR_CERT_NOT_YET_VALID => Fault::NotYetValid,
        ffi::X509_V_ERR_HOSTNAME_MISMATCH | ffi::X509_V_ERR_IP_ADDRESS_MISMATCH => Fault::WrongName,
        ffi::X509_V_ERR_INVALID_PURPOSE => Fault::WrongPurpose,
        ffi::X509_V_ERR_PERMITTED_VIOLATION
        | ffi::X509_V_ERR_EXCLUDED_VIOLATION
        | ffi::X509_V_ERR_SUBTREE_MINMAX
        | ffi::X509_V_ERR_UNSUPPORTED_CONSTRAINT_TYPE
        | ffi::X509_V_ERR_UNSUPPORTED_CONSTRAINT_SYNTAX
        | ffi::X509_V_ERR_UNSUPPORTED_NAME_SYNTAX => Fault::OutOfBounds,
        ffi::X509_V_ERR_UNHANDLED_CRITICAL_EXTENSION => Fault::UnknownExtension,
        EE_KEY_TOO_SMALL | CA_KEY_TOO_SMALL | CA_MD_TOO_WEAK => Fault::Weak,
        ffi::X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT
        | ffi::X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY
        | ffi::X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT
        | ffi::X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN
        | ffi::X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE
        | ffi::X509_V_ERR_CERT_SIGNATURE_FAILURE
        | ffi::X509_V_ERR_INVALID_CA
        | ffi::X509_V_ERR_KEYUSAGE_NO_CERTSIGN => Fault::UnknownIssuer,
        ffi::X509_V_ERR_PATH_LENGTH_EXCEEDED => Fault::TooLong,
        // OpenSSL reports the first of these for more name constraints than it is willing to check.
        ffi::X509_V_ERR_UNSPECIFIED | ffi::X509_V_ERR_CERT_CHAIN_TOO_LONG => Fault::TooMuch,
        _ => Fault::Other(format!(
            "cannot verify the server's certificate: {}",
            result.error_string()
        )),
    }
}

/// Values from `x509_vfy.h` of OpenSSL 1.1 and later; `openssl-sys` does not define them.
const EE_KEY_TOO_SMALL: i32 = 66;
const CA_KEY_TOO_SMALL: i32 = 67;
const CA_MD_TOO_WEAK: i32 = 68;
