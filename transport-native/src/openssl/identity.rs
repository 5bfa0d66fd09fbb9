//! The client certificate.

use std::ffi::{c_int, c_void};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use glance_core::transport::ClientCertificate;
use openssl::error::ErrorStack;
use openssl::ex_data::Index;
use openssl::pkey::{PKey, Private};
use openssl::ssl::{Ssl, SslContextBuilder, SslRef};
use openssl::x509::X509;
use openssl_sys as ffi;
use secrecy::ExposeSecret;
use tls_policy::ClientIdentity;
use tls_policy::client_cert::{KeyForm, PrivateKey};
use transport_hyper::TlsSetupError;

/// Sets the client certificate and its private key, and checks that they match.
pub(crate) fn load(
    identity: &ClientIdentity,
    context: &mut SslContextBuilder,
) -> Result<(), TlsSetupError> {
    let file = identity.key.file.display();
    let cannot = |verb: &str| {
        let what = format!("cannot {verb} the client certificate");
        move |error: ErrorStack| TlsSetupError::new(&what, error)
    };
    let mut chain = identity.chain.iter().map(|one| X509::from_der(&one.der));
    let own = chain.next().transpose().map_err(cannot("read"))?;
    if let Some(own) = own {
        context.set_certificate(&own).map_err(cannot("use"))?;
    }
    for one in chain {
        let one = one.map_err(cannot("read"))?;
        context.add_extra_chain_cert(one).map_err(cannot("use"))?;
    }
    let key = decoded(&identity.key)?;
    let mismatch = format!("the key in {file} does not belong to the client certificate");
    context.set_private_key(&key).map_err(|error| TlsSetupError::new(&mismatch, error))?;
    context.check_private_key().map_err(|error| TlsSetupError::new(&mismatch, error))
}

fn decoded(key: &PrivateKey) -> Result<PKey<Private>, TlsSetupError> {
    let file = key.file.display();
    let der = key.expose_der();
    match &key.form {
        KeyForm::EncryptedPkcs8(passphrase) => {
            let passphrase = passphrase.expose_secret().as_bytes();
            // A zero byte would make the library panic.
            if passphrase.contains(&0) {
                let what = format!("the passphrase for the key in {file} contains a zero byte");
                return Err(TlsSetupError { what, source: None });
            }
            PKey::private_key_from_pkcs8_passphrase(der, passphrase).map_err(|error| {
                let what = format!("the passphrase does not decrypt the key in {file}");
                TlsSetupError::new(&what, error)
            })
        }
        KeyForm::Pkcs8 | KeyForm::Pkcs1 | KeyForm::Sec1 => PKey::private_key_from_der(der)
            .map_err(|error| TlsSetupError::new(&format!("cannot use the key in {file}"), error)),
    }
}

/// Records, for each connection, whether the server requested a client certificate.
pub(crate) struct Asked {
    index: Index<Ssl, AtomicBool>,
    has_identity: bool,
}

impl Asked {
    /// Installs the callback that records the request on each connection of `context`.
    #[expect(unsafe_code, reason = "the crate `openssl` has no safe form of this function")]
    pub(crate) fn watch(
        context: &mut SslContextBuilder,
        has_identity: bool,
    ) -> Result<Self, ErrorStack> {
        let index = index()?;
        let number = std::ptr::without_provenance_mut(usize::try_from(index.as_raw()).unwrap_or(0));
        // SAFETY: the context is valid, the callback has the type that OpenSSL calls, and its
        // argument is a number, which has no lifetime.
        unsafe { SSL_CTX_set_cert_cb(context.as_ptr(), Some(asked), number) };
        Ok(Self { index, has_identity })
    }

    /// Adds the flag to this connection. Must be called before the handshake.
    pub(crate) fn prepare(&self, ssl: &mut Ssl) {
        ssl.set_ex_data(self.index, AtomicBool::new(false));
    }

    /// How the request for a certificate was answered; `None` if there was no request.
    pub(crate) fn answer(&self, ssl: &SslRef) -> Option<ClientCertificate> {
        let asked = ssl.ex_data(self.index)?.load(Ordering::Relaxed);
        asked.then_some(match self.has_identity {
            true => ClientCertificate::Shown,
            false => ClientCertificate::Missing,
        })
    }
}

/// The index of the flag in a connection's data. One for the whole process, because OpenSSL never
/// frees an index.
fn index() -> Result<Index<Ssl, AtomicBool>, ErrorStack> {
    static INDEX: OnceLock<Index<Ssl, AtomicBool>> = OnceLock::new();
    if let Some(index) = INDEX.get() {
        return Ok(*index);
    }
    let index = Ssl::new_ex_index()?;
    Ok(*INDEX.get_or_init(|| index))
}

/// Called by OpenSSL when the server requests a certificate. Returns 1: continue with what is set.
#[expect(unsafe_code, reason = "OpenSSL calls this function through a C pointer")]
unsafe extern "C" fn asked(ssl: *mut ffi::SSL, index: *mut c_void) -> c_int {
    let Ok(index) = c_int::try_from(index.addr()) else { return 1 };
    // SAFETY: OpenSSL passes a live connection; at this index it holds what `prepare` stored, or
    // null.
    let flag = unsafe { ffi::SSL_get_ex_data(ssl, index).cast::<AtomicBool>().as_ref() };
    if let Some(flag) = flag {
        flag.store(true, Ordering::Relaxed);
    }
    1
}

#[expect(unsafe_code, reason = "declares a function of a C library")]
unsafe extern "C" {
    /// Declared in `ssl.h` since OpenSSL 1.0.2; `openssl-sys` does not declare it.
    fn SSL_CTX_set_cert_cb(
        context: *mut ffi::SSL_CTX,
        callback: Option<unsafe extern "C" fn(*mut ffi::SSL, *mut c_void) -> c_int>,
        argument: *mut c_void,
    );
}
