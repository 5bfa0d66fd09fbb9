//! The client certificate, as PEM, which is what reqwest reads.

use reqwest::Identity;
use secrecy::zeroize::Zeroizing;
use tls_policy::ClientIdentity;
use tls_policy::client_cert::KeyForm;
use x509_cert::der::pem::{LineEnding, encode_string};

use crate::setup::ReqwestSetupError;

/// The client certificate for rustls, which reads all formats of keys that are not encrypted.
#[cfg(feature = "rustls")]
pub(crate) fn for_rustls(identity: &ClientIdentity) -> Result<Identity, ReqwestSetupError> {
    let label = match identity.key.form {
        KeyForm::Pkcs8 => "PRIVATE KEY",
        KeyForm::Pkcs1 => "RSA PRIVATE KEY",
        KeyForm::Sec1 => "EC PRIVATE KEY",
        KeyForm::EncryptedPkcs8(_) => return Err(unreadable(identity)),
    };
    let both = Zeroizing::new(format!("{}{}", chain(identity)?, *key(identity, label)?));
    Identity::from_pem(both.as_bytes()).map_err(ReqwestSetupError::Client)
}

/// The client certificate for native-tls, which reads PKCS #8 only.
#[cfg(feature = "native-tls")]
pub(crate) fn for_native_tls(identity: &ClientIdentity) -> Result<Identity, ReqwestSetupError> {
    let KeyForm::Pkcs8 = identity.key.form else { return Err(unreadable(identity)) };
    let (chain, key) = (chain(identity)?, key(identity, "PRIVATE KEY")?);
    Identity::from_pkcs8_pem(chain.as_bytes(), key.as_bytes()).map_err(ReqwestSetupError::Client)
}

fn chain(identity: &ClientIdentity) -> Result<String, ReqwestSetupError> {
    let chain = identity.chain.iter();
    let chain = chain.map(|one| encode_string("CERTIFICATE", LineEnding::LF, &one.der));
    chain.collect::<Result<_, _>>().map_err(|_| unreadable(identity))
}

fn key(identity: &ClientIdentity, label: &str) -> Result<Zeroizing<String>, ReqwestSetupError> {
    let pem = encode_string(label, LineEnding::LF, identity.key.expose_der());
    pem.map(Zeroizing::new).map_err(|_| unreadable(identity))
}

fn unreadable(identity: &ClientIdentity) -> ReqwestSetupError {
    ReqwestSetupError::ClientKey(identity.key.file.clone())
}
