//! Client certificates, for servers that require mutual TLS.

use std::fmt;
use std::path::{Path, PathBuf};

use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};

use super::bundle::{self, Certificate};
use crate::files::forms::Wanted;
use crate::files::pem::{self, TlsFileError};
use crate::judge::usable;
use crate::messages::warn_once;

/// A client certificate and its private key.
#[derive(Debug, Clone)]
pub struct ClientIdentity {
    /// The client's certificate, followed by its intermediate certificates.
    pub chain: Vec<Certificate>,
    /// The private key of the first certificate.
    pub key: PrivateKey,
}

/// A private key in DER. `Debug` does not show the key, and its memory is wiped on drop.
#[derive(Clone)]
pub struct PrivateKey {
    /// The encoding of the key.
    pub form: KeyForm,
    /// The file that contains the key.
    pub file: PathBuf,
    der: Zeroizing<Vec<u8>>,
}

/// How a private key is encoded.
#[derive(Debug, Clone)]
pub enum KeyForm {
    /// `PRIVATE KEY`: PKCS #8 (RFC 5208).
    Pkcs8,
    /// `RSA PRIVATE KEY`: PKCS #1 (RFC 8017).
    Pkcs1,
    /// `EC PRIVATE KEY`: SEC 1 (RFC 5915).
    Sec1,
    /// `ENCRYPTED PRIVATE KEY`: PKCS #8, encrypted with this passphrase.
    EncryptedPkcs8(SecretString),
}

impl PrivateKey {
    /// The key in DER. Must not be shown or logged.
    pub fn expose_der(&self) -> &[u8] {
        &self.der
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PrivateKey").field("file", &self.file).finish_non_exhaustive()
    }
}

impl ClientIdentity {
    /// Reads the certificate and its key, from the same file or from another. Calls `passphrase`
    /// only if the key is encrypted.
    ///
    /// # Errors
    /// When the certificate or the key cannot be used. Only the TLS library checks that they belong
    /// together.
    pub fn load(
        certificate: &Path,
        key: Option<&Path>,
        passphrase: &dyn Fn(&Path) -> Result<SecretString, TlsFileError>,
    ) -> Result<Self, TlsFileError> {
        let chain = bundle::load_as(certificate, Wanted::ClientCertificate)?;
        let key = load_key(key.unwrap_or(certificate), passphrase)?;
        if let Some((place, why)) = chain.iter().find_map(|one| Some((one, usable::expired(one)?)))
        {
            warn_once(format!(
                "{place}: the client certificate {why}; servers will reject it; renew it"
            ));
        }
        Ok(Self { chain, key })
    }
}

fn load_key(
    file: &Path,
    passphrase: &dyn Fn(&Path) -> Result<SecretString, TlsFileError>,
) -> Result<PrivateKey, TlsFileError> {
    let bytes = Zeroizing::new(pem::read(file)?);
    let mut others = Vec::new();
    for block in pem::blocks(&bytes, file)? {
        let wrong = |what: &str| TlsFileError::new(file, Some(block.line), what);
        let form = match block.label.as_str() {
            "PRIVATE KEY" => KeyForm::Pkcs8,
            "RSA PRIVATE KEY" | "EC PRIVATE KEY" if block.has_headers() => {
                return Err(wrong(OLD_ENCRYPTION));
            }
            "RSA PRIVATE KEY" => KeyForm::Pkcs1,
            "EC PRIVATE KEY" => KeyForm::Sec1,
            "ENCRYPTED PRIVATE KEY" => {
                let passphrase = passphrase(file)?;
                if passphrase.expose_secret().is_empty() {
                    return Err(wrong(
                        "the key is encrypted; put its passphrase in a file (--key-passphrase-file)",
                    ));
                }
                KeyForm::EncryptedPkcs8(passphrase)
            }
            "OPENSSH PRIVATE KEY" => return Err(wrong(OPENSSH)),
            "DSA PRIVATE KEY" => {
                return Err(wrong("this is a DSA key, which TLS no longer supports"));
            }
            label => {
                others.push(label.to_owned());
                continue;
            }
        };
        let der = Zeroizing::new(block.decode(file)?);
        return Ok(PrivateKey { form, file: file.to_owned(), der });
    }
    Err(pem::nothing(file, &bytes, Wanted::PrivateKey, &others))
}

const OLD_ENCRYPTION: &str = "the key is encrypted in OpenSSL's legacy format; \
                              convert it with `openssl pkcs8 -topk8 -in FILE -out NEW`";
const OPENSSH: &str = "this is a key in OpenSSH format; \
                       convert it to PEM with `ssh-keygen -p -m PKCS8 -f FILE`";
