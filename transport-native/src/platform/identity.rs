//! The client certificate, and the forms of private keys. native-tls reads PKCS #8 in PEM only.

use glance_core::error::BodyError;
use native_tls::Identity;
use pkcs8::der::asn1::{AnyRef, ObjectIdentifier, OctetStringRef};
use pkcs8::der::{Decode, Document, Reader, SliceReader, TagMode, TagNumber};
use pkcs8::spki::AlgorithmIdentifierRef;
use pkcs8::{EncryptedPrivateKeyInfo, LineEnding, PrivateKeyInfo, SecretDocument};
use secrecy::ExposeSecret;
use tls_policy::ClientIdentity;
use tls_policy::client_cert::{KeyForm, PrivateKey};
use transport_hyper::TlsSetupError;

/// Loads the client certificate and its private key.
pub(crate) fn load(identity: &ClientIdentity) -> Result<Identity, TlsSetupError> {
    let key = decoded(&identity.key)?;
    let own = identity.chain.first();
    if !own.is_none_or(|own| is_of_one_kind(&own.der, &key)) {
        return Err(TlsSetupError { what: mismatch(identity), source: None });
    }
    let chain = identity.chain.iter().map(|one| pem(&one.der)).collect::<Result<String, _>>();
    let chain =
        chain.map_err(|error| TlsSetupError::new("cannot use the client certificate", error))?;
    identity_of(chain.as_bytes(), &key).map_err(|error| {
        TlsSetupError::new(&format!("cannot use the key in {}", identity.key.file.display()), error)
    })
}

fn pem(certificate: &[u8]) -> pkcs8::der::Result<String> {
    Document::try_from(certificate)?.to_pem("CERTIFICATE", LineEnding::LF)
}

/// Joins a certificate chain in PEM, the own certificate first, with its private key.
fn identity_of(chain: &[u8], key: &SecretDocument) -> Result<Identity, BodyError> {
    if cfg!(windows) {
        return Err(KEPT.into());
    }
    let key = key.to_pem("PRIVATE KEY", LineEnding::LF)?;
    Ok(Identity::from_pkcs8(chain, key.as_bytes())?)
}

/// On Windows, native-tls 0.2.18 stores the key in a container on disk, under a name that other
/// processes use, too, and shows the last certificate of the chain instead of the first.
const KEPT: &str = "native-tls would store the key in the profile of the user; use --tls rustls";

/// Whether the certificate (DER) is for a key of the same algorithm. Only keys of the same algorithm
/// are compared by OpenSSL.
fn is_of_one_kind(certificate: &[u8], key: &SecretDocument) -> bool {
    let certificate = x509_cert::Certificate::from_der(certificate);
    let key = PrivateKeyInfo::try_from(key.as_bytes());
    match (certificate, key) {
        (Ok(certificate), Ok(key)) => {
            let info = certificate.tbs_certificate.subject_public_key_info;
            info.algorithm.oid == key.algorithm.oid
        }
        // The library says what is wrong with them.
        _ => true,
    }
}

/// Joins a server's certificate chain and key, both in PEM.
pub(crate) fn of_server(chain: &[u8], key: &[u8]) -> Result<Identity, TlsSetupError> {
    let key =
        key_in(key).map_err(|error| TlsSetupError::new("cannot read the server's key", error))?;
    if !first_certificate(chain).is_none_or(|own| is_of_one_kind(own.as_bytes(), &key)) {
        return Err(TlsSetupError::new(CANNOT_SERVE, "the key does not belong to the certificate"));
    }
    let identity =
        identity_of(chain, &key).map_err(|error| TlsSetupError::new(CANNOT_SERVE, error))?;
    // Over OpenSSL, native-tls 0.2.18 compares a certificate with its key only in a client.
    let client = native_tls::TlsConnector::builder().identity(identity.clone()).build();
    client.map_err(|error| TlsSetupError::new(CANNOT_SERVE, error))?;
    Ok(identity)
}

/// What an error says about a server's certificate and key.
pub(crate) const CANNOT_SERVE: &str = "cannot use the server's certificate and key";

/// Says that the client certificate and its key do not match.
pub(crate) fn mismatch(identity: &ClientIdentity) -> String {
    let file = identity.key.file.display();
    format!("the key in {file} does not belong to the client certificate")
}

/// Decodes a private key to PKCS #8.
fn decoded(key: &PrivateKey) -> Result<SecretDocument, TlsSetupError> {
    let (der, file) = (key.expose_der(), key.file.display());
    let decoded = match &key.form {
        KeyForm::Pkcs8 => SecretDocument::try_from(der).map_err(Into::into),
        KeyForm::Pkcs1 => from_pkcs1(der),
        KeyForm::Sec1 => from_sec1(der),
        KeyForm::EncryptedPkcs8(passphrase) => {
            return opened(der, passphrase.expose_secret()).map_err(|error| {
                let what = format!("the passphrase does not decrypt the key in {file}");
                TlsSetupError::new(&what, error)
            });
        }
    };
    decoded.map_err(|error| TlsSetupError::new(&format!("cannot use the key in {file}"), error))
}

fn opened(der: &[u8], passphrase: &str) -> Result<SecretDocument, pkcs8::Error> {
    EncryptedPrivateKeyInfo::try_from(der)?.decrypt(passphrase)
}

/// Decodes the first private key of a PEM text to PKCS #8.
fn key_in(text: &[u8]) -> Result<SecretDocument, pkcs8::Error> {
    let text = String::from_utf8_lossy(text);
    let (label, key) = SecretDocument::from_pem(first(KEY, &text).unwrap_or(&text))?;
    match label {
        "RSA PRIVATE KEY" => from_pkcs1(key.as_bytes()),
        "EC PRIVATE KEY" => from_sec1(key.as_bytes()),
        _ => Ok(key),
    }
}

/// The first certificate of a PEM text, as DER; `None` if no certificate can be read.
fn first_certificate(text: &[u8]) -> Option<Document> {
    let text = String::from_utf8_lossy(text);
    Some(Document::from_pem(first(CERTIFICATE, &text)?).ok()?.1)
}

/// The first block of a PEM text whose lines end like this; other blocks may surround it.
fn first<'a>(end_of_line: &str, text: &'a str) -> Option<&'a str> {
    let (before, rest) = text.split_once(end_of_line)?;
    let begin = before.rfind("-----BEGIN")?;
    let end = text.len() - rest.len() + rest.find(end_of_line)? + end_of_line.len();
    text.get(begin..end)
}

/// How the first and last lines of blocks with keys and certificates end.
const KEY: &str = "PRIVATE KEY-----";
const CERTIFICATE: &str = "CERTIFICATE-----";

/// Wraps an RSA key in PKCS #1 (RFC 8017, A.1.2).
fn from_pkcs1(key: &[u8]) -> Result<SecretDocument, pkcs8::Error> {
    wrapped(RSA, AnyRef::NULL, key)
}

/// Wraps an elliptic curve key (RFC 5915) that names its curve.
fn from_sec1(key: &[u8]) -> Result<SecretDocument, pkcs8::Error> {
    // ECPrivateKey ::= SEQUENCE { version INTEGER, privateKey OCTET STRING, parameters [0] OID
    // OPTIONAL, publicKey [1] BIT STRING OPTIONAL }
    let curve = SliceReader::new(key)?.sequence(|content| {
        let _version = content.decode::<u8>()?;
        let _private_key = content.decode::<OctetStringRef<'_>>()?;
        let curve = content.context_specific(TagNumber::N0, TagMode::Explicit)?;
        let _public_key = content.read_slice(content.remaining_len())?;
        Ok(curve)
    })?;
    let curve: ObjectIdentifier = curve.ok_or(pkcs8::Error::ParametersMalformed)?;
    wrapped(EC, AnyRef::from(&curve), key)
}

fn wrapped(
    algorithm: ObjectIdentifier,
    parameters: AnyRef<'_>,
    key: &[u8],
) -> Result<SecretDocument, pkcs8::Error> {
    let algorithm = AlgorithmIdentifierRef { oid: algorithm, parameters: Some(parameters) };
    SecretDocument::try_from(PrivateKeyInfo::new(algorithm, key))
}

/// `rsaEncryption` (RFC 8017, A.1) and `id-ecPublicKey` (RFC 5480, 2.1.1).
const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
