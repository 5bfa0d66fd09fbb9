//! What OpenSSL verifies, and what its verdicts mean.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use glance_core::tls::authority::{may_sign, may_sign_lists};
use glance_core::tls::verdict::Fault;
use glance_core::tls::{Pin, RevocationList, TlsPolicy, crl};
use openssl::asn1::Asn1Time;
use openssl::error::ErrorStack;
use openssl::ssl::{SslRef, SslVerifyMode};
use openssl::x509::verify::X509CheckFlags;
use openssl::x509::{CrlStatus, X509, X509Crl, X509Ref, X509StoreContextRef, X509VerifyResult};
use openssl_sys as ffi;
use transport_hyper::TlsSetupError;

/// Why a server's certificate was refused, and the chain as far as OpenSSL built it.
pub(crate) type Refused = Arc<Mutex<Option<(Fault, Vec<Vec<u8>>)>>>;

/// What is checked beside what OpenSSL checks by itself.
pub(crate) struct Verifier {
    lists: Vec<RevocationList>,
    parsed_lists: Vec<X509Crl>,
    pins: Vec<Pin>,
}

impl Verifier {
    pub(crate) fn new(policy: &TlsPolicy) -> Result<Self, TlsSetupError> {
        let parse = |list: &RevocationList| {
            X509Crl::from_der(&list.der).map_err(|error| {
                let what = format!("the revocation list in {}", list.file.display());
                TlsSetupError::new(&what, error)
            })
        };
        Ok(Self {
            lists: policy.revocation.clone(),
            parsed_lists: policy.revocation.iter().map(parse).collect::<Result<_, _>>()?,
            pins: policy.pins.clone(),
        })
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
            *record.lock().unwrap_or_else(PoisonError::into_inner) = Some((why, chain(context)));
            false
        });
        Ok(refused)
    }

    /// What is wrong with the certificate under the callback's eyes, though OpenSSL likes it. The
    /// server's own comes last, when the whole chain is verified.
    fn objection(&self, context: &X509StoreContextRef) -> Option<Fault> {
        let one = context.current_cert()?;
        let der = one.to_der().unwrap_or_default();
        if context.error_depth() > 0 {
            // OpenSSL is laxer: it also takes a key usage without basic constraints for a
            // permission.
            return (!may_sign(&der)).then_some(Fault::UnknownIssuer);
        }
        let pinned = || Pin::of(&der).is_some_and(|pin| self.pins.contains(&pin));
        match self.revocation(context, &der) {
            None if !self.pins.is_empty() && !pinned() => Some(Fault::NotPinned),
            found => found,
        }
    }

    /// Looks for every certificate below the root on the lists of those who issued them.
    fn revocation(&self, context: &X509StoreContextRef, leaf: &[u8]) -> Option<Fault> {
        if self.lists.is_empty() {
            return None;
        }
        let chain: Vec<&X509Ref> = context.chain()?.iter().collect();
        if chain.len() == 1 {
            // It is trusted for itself.
            return crl::revoked(&self.lists, leaf).then_some(Fault::Revoked);
        }
        chain.windows(2).find_map(|pair| self.status(pair[0], pair[1]))
    }

    fn status(&self, one: &X509Ref, issuer: &X509Ref) -> Option<Fault> {
        let now = Asn1Time::days_from_now(0).ok()?;
        let key = issuer.public_key().ok();
        let signed =
            |list: &&X509Crl| key.as_ref().is_some_and(|key| list.verify(key).unwrap_or(false));
        let covers = |list: &&X509Crl| {
            let name = list.issuer_name().try_cmp(one.issuer_name());
            name.is_ok_and(std::cmp::Ordering::is_eq)
        };
        let may_sign = issuer.to_der().is_ok_and(|der| may_sign_lists(&der));
        let Some(list) = self.parsed_lists.iter().filter(covers).find(signed).filter(|_| may_sign)
        else {
            return Some(Fault::NotCovered);
        };
        if !list.next_update().is_some_and(|until| until > now) {
            return Some(Fault::NotCovered);
        }
        let one: X509 = one.to_owned();
        match list.get_by_cert(&one) {
            CrlStatus::NotRevoked | CrlStatus::RemoveFromCrl(_) => None,
            CrlStatus::Revoked(_) => Some(Fault::Revoked),
        }
    }
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
        | ffi::X509_V_ERR_INVALID_CA => Fault::UnknownIssuer,
        _ => Fault::Other(format!("its certificate can't be verified: {}", result.error_string())),
    }
}

/// `x509_vfy.h` of OpenSSL 1.1 and later; `openssl-sys` does not name them.
const EE_KEY_TOO_SMALL: i32 = 66;
const CA_KEY_TOO_SMALL: i32 = 67;
const CA_MD_TOO_WEAK: i32 = 68;
