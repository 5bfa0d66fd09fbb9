//! The client's side, and its verdict on servers.

use std::collections::HashSet;
use std::fmt;
use std::net::IpAddr;
use std::pin::Pin;

use async_trait::async_trait;
use glance_core::tls::verdict::{self, Refusal};
use glance_core::tls::{Roots, TlsPolicy, TlsVersion};
use glance_core::transport::TransportError;
use openssl::error::ErrorStack;
use openssl::nid::Nid;
use openssl::ssl::{Ssl, SslConnector, SslMethod, SslRef, SslVerifyMode, SslVersion};
use openssl::x509::store::{X509Store, X509StoreBuilder};
use openssl::x509::verify::{X509CheckFlags, X509VerifyFlags};
use openssl::x509::{X509, X509NameRef, X509VerifyResult};
use tokio_openssl::SslStream;
use transport_hyper::{Io, TlsBackend};

use crate::{TlsSetupError, given};

pub(crate) struct OpensslBackend(SslConnector);

impl OpensslBackend {
    pub(crate) fn new(policy: &TlsPolicy) -> Result<Self, TlsSetupError> {
        let mut connector =
            SslConnector::builder(SslMethod::tls_client()).map_err(given("its own defaults"))?;
        // The builder has loaded the system's roots: this replaces them.
        connector.set_cert_store(store(&policy.roots).map_err(given("the trusted certificates"))?);
        connector.set_verify(SslVerifyMode::PEER);
        // 2 is Debian's level; OpenSSL's own was 1 before 3.2. It refuses RSA below 2048 bits
        // and SHA-1 signatures.
        connector.set_security_level(2);
        let oldest = match policy.min_version {
            TlsVersion::V1_2 => SslVersion::TLS1_2,
            TlsVersion::V1_3 => SslVersion::TLS1_3,
        };
        let oldest = connector.set_min_proto_version(Some(oldest));
        oldest.map_err(given("the oldest protocol version"))?;
        Ok(Self(connector.build()))
    }

    fn ssl(&self, host: &str) -> Result<Ssl, ErrorStack> {
        let mut ssl = self.0.configure()?.into_ssl(host)?;
        // Set after `into_ssl`, which sets its own.
        ssl.param_mut().set_hostflags(
            X509CheckFlags::NO_PARTIAL_WILDCARDS | X509CheckFlags::NEVER_CHECK_SUBJECT,
        );
        Ok(ssl)
    }
}

/// The certificates to trust. Of a bundle each is an anchor, also an intermediate or a server's
/// own certificate: a partial chain. OpenSSL accepts a certificate that may not issue for itself
/// only.
fn store(roots: &Roots) -> Result<X509Store, ErrorStack> {
    let mut store = X509StoreBuilder::new()?;
    match roots {
        Roots::System => store.set_default_paths()?,
        Roots::Bundle(certificates) => {
            let mut known = HashSet::new();
            for certificate in certificates.iter().filter(|found| known.insert(&found.der)) {
                store.add_cert(X509::from_der(&certificate.der)?)?;
            }
            store.set_flags(X509VerifyFlags::PARTIAL_CHAIN)?;
        }
    }
    Ok(store.build())
}

#[async_trait]
impl TlsBackend for OpensslBackend {
    async fn handshake(
        &self,
        host: &str,
        endpoint: &str,
        io: Box<dyn Io>,
    ) -> Result<Box<dyn Io>, TransportError> {
        let failure = |error: &ErrorStack| Refusal::other(error.to_string()).at(endpoint);
        let ssl = self.ssl(host).map_err(|error| failure(&error))?;
        let mut stream = SslStream::new(ssl, io).map_err(|error| failure(&error))?;
        match Pin::new(&mut stream).connect().await {
            Ok(()) => Ok(Box::new(stream)),
            Err(error) => Err(refusal(host, stream.ssl(), &error).at(endpoint)),
        }
    }
}

/// Why the handshake failed, in the words that both TLS stacks share.
fn refusal(host: &str, ssl: &SslRef, error: &openssl::ssl::Error) -> Refusal {
    let verdict = ssl.verify_result();
    if verdict == X509VerifyResult::OK {
        return unfinished(error);
    }
    let chain: Vec<X509> = ssl
        .peer_cert_chain()
        .map(|chain| chain.iter().map(ToOwned::to_owned).collect())
        .unwrap_or_default();
    let Some(leaf) = chain.first() else { return Refusal::other(verdict.to_string()) };
    match verdict.as_raw() {
        openssl_sys::X509_V_ERR_CERT_HAS_EXPIRED => {
            Refusal::expired(&name(leaf.subject_name()), &leaf.not_after().to_string())
        }
        openssl_sys::X509_V_ERR_CERT_NOT_YET_VALID => {
            Refusal::not_yet_valid(&name(leaf.subject_name()), &leaf.not_before().to_string())
        }
        openssl_sys::X509_V_ERR_HOSTNAME_MISMATCH | openssl_sys::X509_V_ERR_IP_ADDRESS_MISMATCH => {
            Refusal::wrong_name(host, &names(leaf))
        }
        openssl_sys::X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT
        | openssl_sys::X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY
        | openssl_sys::X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE
        | openssl_sys::X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN
        | openssl_sys::X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT => unknown_issuer(&chain),
        _ => Refusal::other(verdict.to_string()),
    }
}

fn unknown_issuer(chain: &[X509]) -> Refusal {
    let Some(last) = chain.last() else { return Refusal::other("no certificate".to_owned()) };
    let (subject, issuer) = (name(last.subject_name()), name(last.issuer_name()));
    verdict::unknown_issuer(chain.len(), &subject, &issuer)
}

/// A handshake that failed before there was a verdict.
fn unfinished(error: &openssl::ssl::Error) -> Refusal {
    let reasons = error.ssl_error().map(|stack| stack.errors().to_vec()).unwrap_or_default();
    let reason = reasons.first().and_then(openssl::error::Error::reason).unwrap_or_default();
    match reason {
        "wrong version number" | "http request" | "packet length too long" => Refusal::not_tls(),
        "" => Refusal::other(error.to_string()),
        reason => Refusal::other(reason.to_owned()),
    }
}

/// The names that a certificate holds for.
fn names(certificate: &X509) -> Vec<String> {
    let names = certificate.subject_alt_names();
    let text = |name: &openssl::x509::GeneralNameRef| {
        let address = name.ipaddress().and_then(|bytes| match bytes.len() {
            4 => <[u8; 4]>::try_from(bytes).ok().map(IpAddr::from),
            _ => <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from),
        });
        name.dnsname().map(str::to_owned).or(address.map(|address| address.to_string()))
    };
    names.map(|names| names.iter().filter_map(text).collect()).unwrap_or_default()
}

/// A distinguished name's common name, or all of it.
fn name(name: &X509NameRef) -> String {
    let common = name.entries_by_nid(Nid::COMMONNAME).next();
    let text = common.and_then(|entry| String::from_utf8(entry.data().as_slice().to_vec()).ok());
    text.unwrap_or_else(|| format!("{name:?}"))
}

impl fmt::Debug for OpensslBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OpensslBackend")
    }
}
