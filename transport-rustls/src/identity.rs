//! The client certificate.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use glance_core::transport::ClientCertificate;
use pkcs8::{EncryptedPrivateKeyInfo, SecretDocument};
use rustls::SignatureScheme;
use rustls::client::ResolvesClientCert;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs1KeyDer, PrivatePkcs8KeyDer, PrivateSec1KeyDer};
use rustls::sign::CertifiedKey;
use secrecy::ExposeSecret;
use tls_policy::ClientIdentity;
use tls_policy::client_cert::{KeyForm, PrivateKey};
use transport_hyper::TlsSetupError;

/// Loads the client certificate and its private key, and checks that they match.
pub(crate) fn load(
    identity: &ClientIdentity,
    provider: &CryptoProvider,
) -> Result<Arc<CertifiedKey>, TlsSetupError> {
    let file = identity.key.file.display();
    let key = decoded(&identity.key)?;
    let key = provider
        .key_provider
        .load_private_key(key)
        .map_err(|error| TlsSetupError::new(&format!("cannot use the key in {file}"), error))?;
    let chain = identity.chain.iter().map(|one| one.der.clone().into()).collect();
    let certified = CertifiedKey::new(chain, key);
    certified.keys_match().map_err(|error| {
        let what = format!("the key in {file} does not belong to the client certificate");
        TlsSetupError::new(&what, error)
    })?;
    Ok(Arc::new(certified))
}

fn decoded(key: &PrivateKey) -> Result<PrivateKeyDer<'static>, TlsSetupError> {
    let (der, file) = (key.expose_der().to_vec(), key.file.display());
    Ok(match &key.form {
        KeyForm::Pkcs8 => PrivatePkcs8KeyDer::from(der).into(),
        KeyForm::Pkcs1 => PrivatePkcs1KeyDer::from(der).into(),
        KeyForm::Sec1 => PrivateSec1KeyDer::from(der).into(),
        KeyForm::EncryptedPkcs8(passphrase) => {
            let opened = opened(&der, passphrase.expose_secret())
                .map_err(|what| TlsSetupError { what: format!("{what} {file}"), source: None })?;
            PrivatePkcs8KeyDer::from(opened.as_bytes().to_vec()).into()
        }
    })
}

/// Decrypts an encrypted private key. The error is a phrase to put before the file name. Decryption
/// with a wrong passphrase yields bytes that are not a key.
fn opened(der: &[u8], passphrase: &str) -> Result<SecretDocument, &'static str> {
    use pkcs8::Error::EncryptedPrivateKey;
    use pkcs8::pkcs5::Error::{NoPbes1CryptSupport, UnsupportedAlgorithm};
    let sealed = EncryptedPrivateKeyInfo::try_from(der).map_err(|_| OLD)?;
    sealed.decrypt(passphrase).map_err(|error| match error {
        EncryptedPrivateKey(NoPbes1CryptSupport | UnsupportedAlgorithm { .. }) => OLD,
        _ => "the passphrase does not decrypt the key in",
    })
}

const OLD: &str = "rustls does not support the encryption; use `openssl pkcs8 -topk8 -in KEY -out NEW` \
                   to convert the key in";

/// Answers a server's request for a client certificate, and records that there was one. Each
/// connection has its own.
#[derive(Debug)]
pub(crate) struct Asked {
    identity: Option<Arc<CertifiedKey>>,
    asked: AtomicBool,
}

impl Asked {
    pub(crate) fn new(identity: Option<Arc<CertifiedKey>>) -> Self {
        Self { identity, asked: AtomicBool::new(false) }
    }

    /// How the request for a certificate was answered; `None` if there was no request.
    pub(crate) fn answer(&self) -> Option<ClientCertificate> {
        self.asked.load(Ordering::Relaxed).then_some(match self.identity {
            Some(_) => ClientCertificate::Shown,
            None => ClientCertificate::Missing,
        })
    }
}

impl ResolvesClientCert for Asked {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.asked.store(true, Ordering::Relaxed);
        self.identity.clone()
    }

    /// rustls calls `resolve` only if this returns true.
    fn has_certs(&self) -> bool {
        true
    }
}
