//! What OpenSSL verifies, and what its verdicts mean.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use glance_core::tls::checks::Checks;
use glance_core::tls::verdict::Fault;
use glance_core::tls::{RevocationList, TlsPolicy};
use openssl::error::ErrorStack;
use openssl::ssl::{SslRef, SslVerifyMode};
use openssl::x509::verify::X509CheckFlags;
use openssl::x509::{X509, X509Crl, X509StoreContextRef, X509VerifyResult};
use openssl_sys as ffi;

/// Why a server's certificate was refused, and the path as far as OpenSSL built it.
pub(crate) type Refused = Arc<Mutex<Option<(Fault, Vec<Vec<u8>>)>>>;

/// What is checked beside what OpenSSL checks by itself.
pub(crate) struct Verifier(Checks);

impl Verifier {
    pub(crate) fn new(policy: &TlsPolicy) -> Self {
        Self(Checks::of(policy))
    }

    /// Makes `ssl` verify the server for `host`, and say in the result why not.
    pub(crate) fn watch(
        self: Arc<Self>,
        ssl: &mut SslRef,
        host: &str,
    ) -> Result<Refused, ErrorStack> {
        let param = ssl.param_mut();
        // The host is looked for among the subject's alternative names and nowhere else; a star
        // stands for one whole label.
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
        ssl.set_verify_callback(SslVerifyMode::PEER, move |fine, context| {
            let why = match fine {
                false => Some(fault(context.error())),
                true => self.objection(context),
            };
            let Some(why) = why else { return true };
            if fine {
                context.set_error(X509VerifyResult::APPLICATION_VERIFICATION);
            }
            *record.lock().unwrap_or_else(PoisonError::into_inner) = Some((why, path(context)));
            false
        });
        Ok(refused)
    }

    /// What is wrong though OpenSSL likes it. The server's own certificate comes last, when the
    /// whole path is verified.
    fn objection(&self, context: &X509StoreContextRef) -> Option<Fault> {
        match context.error_depth() {
            0 => self
                .0
                .objection(&path(context), &|list, issuer| signed(list, issuer).unwrap_or(false)),
            _ => None,
        }
    }
}

/// Whether the key of `issuer` signed the list.
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
        ffi::X509_V_ERR_PERMITTED_VIOLATION | ffi::X509_V_ERR_EXCLUDED_VIOLATION => {
            Fault::OutOfBounds
        }
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
        _ => Fault::Other(format!("its certificate can't be verified: {}", result.error_string())),
    }
}

/// `x509_vfy.h` of OpenSSL 1.1 and later; `openssl-sys` does not name them.
const EE_KEY_TOO_SMALL: i32 = 66;
const CA_KEY_TOO_SMALL: i32 = 67;
const CA_MD_TOO_WEAK: i32 = 68;
