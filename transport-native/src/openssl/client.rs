//! The TLS client: the handshake by OpenSSL, and the meaning of its errors.

use std::pin::Pin;
use std::sync::{Arc, PoisonError};

use async_trait::async_trait;
use glance_core::transport::ClientCertificate;
use openssl::error::ErrorStack;
use openssl::ssl::{
    self, Ssl, SslContext, SslMethod, SslMode, SslOptions, SslRef, SslVerifyMode, SslVersion,
};
use tls_policy::fault::{Alert, Fault};
use tls_policy::{TlsPolicy, TlsVersion};
use tokio_openssl::SslStream;
use transport_hyper::{HandshakeError, Io, TlsBackend, TlsSession, TlsSetupError, TlsStream};

use super::identity::{self, Asked};
use super::roots;
use super::verify::Verifier;

/// The [`TlsBackend`] over OpenSSL.
pub(crate) struct Client {
    context: SslContext,
    verifier: Arc<Verifier>,
    min_version: TlsVersion,
    asked: Asked,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}

impl Client {
    pub(crate) fn new(policy: &TlsPolicy) -> Result<Self, TlsSetupError> {
        let unusable = |error| TlsSetupError::new("cannot set up OpenSSL", error);
        let store = roots::store(policy)?;
        let mut context = context(policy.min_version).map_err(unusable)?;
        context.set_cert_store(store);
        if let Some(identity) = &policy.identity {
            identity::load(identity, &mut context)?;
        }
        let asked = Asked::watch(&mut context, policy.identity.is_some()).map_err(unusable)?;
        let verifier = Arc::new(Verifier::new(policy));
        let (context, min_version) = (context.build(), policy.min_version);
        Ok(Self { context, verifier, min_version, asked })
    }
}

/// Creates the context of a client. The cipher suites are those of the system's policy.
fn context(min_version: TlsVersion) -> Result<ssl::SslContextBuilder, ErrorStack> {
    let mut context = SslContext::builder(SslMethod::tls_client())?;
    context.set_min_proto_version(Some(match min_version {
        TlsVersion::V1_2 => SslVersion::TLS1_2,
        TlsVersion::V1_3 => SslVersion::TLS1_3,
    }))?;
    // Debian's default; upstream's is 1 up to OpenSSL 3.1. Rules out SHA-1 and RSA below 2048 bits.
    #[expect(clippy::disallowed_methods, reason = "raises upstream's level 1 to 2")]
    context.set_security_level(2);
    context.set_options(SslOptions::NO_COMPRESSION | SslOptions::NO_RENEGOTIATION);
    // A blocked write is retried with the same bytes, but possibly from another buffer.
    context.set_mode(
        SslMode::AUTO_RETRY | SslMode::ACCEPT_MOVING_WRITE_BUFFER | SslMode::ENABLE_PARTIAL_WRITE,
    );
    context.set_alpn_protos(b"\x08http/1.1")?;
    #[expect(clippy::disallowed_methods, reason = "turns verification on")]
    context.set_verify(SslVerifyMode::PEER);
    Ok(context)
}

#[async_trait]
impl TlsBackend for Client {
    async fn handshake(
        &self,
        host: &str,
        endpoint: &str,
        io: Box<dyn Io>,
    ) -> Result<TlsStream, HandshakeError> {
        let prepared = Ssl::new(&self.context).and_then(|mut ssl| {
            self.asked.prepare(&mut ssl);
            let refused = Arc::clone(&self.verifier).watch(&mut ssl, host)?;
            Ok((SslStream::new(ssl, io)?, refused))
        });
        let (mut stream, refused) = prepared.map_err(|error| {
            let what = format!("cannot start the TLS handshake: {error}");
            HandshakeError::new(Fault::Other(what).into(), host, endpoint)
        })?;
        // tokio's cooperative scheduling makes a busy stream return `Pending`, which OpenSSL would
        // take for an error.
        let outcome = tokio::task::unconstrained(Pin::new(&mut stream).connect()).await;
        let asked = self.asked.answer(stream.ssl());
        match outcome {
            Ok(()) => {
                let session = session(stream.ssl(), asked);
                Ok(TlsStream { io: Box::new(stream), session })
            }
            Err(error) => {
                let refused = refused.lock().unwrap_or_else(PoisonError::into_inner).take();
                let finding = match refused {
                    Some(reason) => self.verifier.finding(reason, sent(stream.ssl())),
                    None => explain(&error, asked, self.min_version).into(),
                };
                Err(HandshakeError::new(finding, host, endpoint))
            }
        }
    }
}

fn session(ssl: &SslRef, asked: Option<ClientCertificate>) -> TlsSession {
    let version = match ssl.version2() {
        Some(SslVersion::TLS1_3) => TlsVersion::V1_3,
        _ => TlsVersion::V1_2,
    };
    let cipher = ssl.current_cipher().and_then(ssl::SslCipherRef::standard_name);
    TlsSession {
        version: Some(version),
        cipher: cipher.map(ToOwned::to_owned),
        chain: sent(ssl),
        client_certificate: asked,
    }
}

fn sent(ssl: &SslRef) -> Vec<Vec<u8>> {
    let chain = ssl.peer_cert_chain().into_iter().flatten();
    chain.map_while(|one| one.to_der().ok()).collect()
}

/// Translates a handshake error that does not concern a certificate.
fn explain(error: &ssl::Error, asked: Option<ClientCertificate>, min_version: TlsVersion) -> Fault {
    let Some(inner) = error.ssl_error().and_then(|stack| stack.errors().first()) else {
        return Fault::Closed(error.to_string());
    };
    if let Ok(alert) = u8::try_from(inner.reason_code() - ALERTS) {
        return Alert(alert).fault(asked, min_version);
    }
    match inner.reason().unwrap_or_default() {
        "unexpected eof while reading" => {
            Fault::Closed("the server closed the connection".to_owned())
        }
        "wrong version number" | "http request" | "packet length too long" => Fault::NotTls,
        "unsupported protocol" | "no protocols available" => Fault::NothingInCommon(min_version),
        reason => Fault::Other(format!("the TLS handshake failed: {reason}")),
    }
}

/// `SSL_AD_REASON_OFFSET` in OpenSSL's `ssl.h`: reason codes from here on are TLS alerts.
const ALERTS: i32 = 1000;
