//! The client's side: OpenSSL's handshake, and what its errors mean.

use std::pin::Pin;
use std::sync::{Arc, PoisonError};

use async_trait::async_trait;
use glance_core::tls::verdict::Fault;
use glance_core::tls::{TlsPolicy, TlsVersion};
use glance_core::transport::ClientCertificate;
use openssl::error::ErrorStack;
use openssl::ssl::{
    self, Ssl, SslContext, SslMethod, SslMode, SslOptions, SslRef, SslVerifyMode, SslVersion,
};
use tokio_openssl::SslStream;
use transport_hyper::{Io, Refusal, Secured, Session, TlsBackend, TlsSetupError};

use crate::identity::{self, Asked};
use crate::roots;
use crate::verify::{Refused, Verifier};

/// The client's side of OpenSSL.
pub(crate) struct Client {
    context: SslContext,
    verifier: Arc<Verifier>,
    asked: Asked,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}

impl Client {
    pub(crate) fn new(policy: &TlsPolicy) -> Result<Self, TlsSetupError> {
        let unusable = |error| TlsSetupError::new("OpenSSL can't be set up", error);
        let store = roots::store(policy)?;
        let mut context = context(policy.min_version).map_err(unusable)?;
        context.set_cert_store(store);
        if let Some(identity) = &policy.identity {
            identity::load(identity, &mut context)?;
        }
        let asked = Asked::watch(&mut context, policy.identity.is_some()).map_err(unusable)?;
        let verifier = Arc::new(Verifier::new(policy)?);
        Ok(Self { context: context.build(), verifier, asked })
    }
}

/// Ciphers are left to the system's policy.
fn context(min_version: TlsVersion) -> Result<ssl::SslContextBuilder, ErrorStack> {
    let mut context = SslContext::builder(SslMethod::tls_client())?;
    context.set_min_proto_version(Some(match min_version {
        TlsVersion::V1_2 => SslVersion::TLS1_2,
        TlsVersion::V1_3 => SslVersion::TLS1_3,
    }))?;
    // Debian's default; upstream's is 1 up to OpenSSL 3.1. It rules out SHA-1 and RSA below 2048.
    context.set_security_level(2);
    context.set_options(SslOptions::NO_COMPRESSION | SslOptions::NO_RENEGOTIATION);
    // A write that has to wait is repeated with the same bytes, but from elsewhere in memory.
    context.set_mode(
        SslMode::AUTO_RETRY | SslMode::ACCEPT_MOVING_WRITE_BUFFER | SslMode::ENABLE_PARTIAL_WRITE,
    );
    context.set_alpn_protos(b"\x08http/1.1")?;
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
    ) -> Result<Secured, Refusal> {
        let prepared = Ssl::new(&self.context).and_then(|mut ssl| {
            self.asked.prepare(&mut ssl);
            let refused = Arc::clone(&self.verifier).watch(&mut ssl, host)?;
            Ok((SslStream::new(ssl, io)?, refused))
        });
        let (mut stream, refused) = prepared.map_err(|error| {
            let what = format!("the TLS handshake can't begin: {error}");
            Refusal::new(Fault::Other(what), host, endpoint, Vec::new())
        })?;
        let outcome = Pin::new(&mut stream).connect().await;
        let asked = self.asked.answer(stream.ssl());
        match outcome {
            Ok(()) => {
                let session = session(stream.ssl(), asked);
                Ok(Secured { io: Box::new(stream), session })
            }
            Err(error) => {
                let (fault, chain) = explain(&error, &refused, asked);
                Err(Refusal::new(fault, host, endpoint, chain))
            }
        }
    }
}

fn session(ssl: &SslRef, asked: Option<ClientCertificate>) -> Session {
    let version = match ssl.version2() {
        Some(SslVersion::TLS1_3) => TlsVersion::V1_3,
        _ => TlsVersion::V1_2,
    };
    let cipher = ssl.current_cipher().and_then(ssl::SslCipherRef::standard_name);
    let chain = ssl.peer_cert_chain().into_iter().flatten();
    Session {
        version,
        cipher: cipher.unwrap_or_default().to_owned(),
        chain: chain.map_while(|one| one.to_der().ok()).collect(),
        client_certificate: asked,
    }
}

fn explain(
    error: &ssl::Error,
    refused: &Refused,
    asked: Option<ClientCertificate>,
) -> (Fault, Vec<Vec<u8>>) {
    if let Some(found) = refused.lock().unwrap_or_else(PoisonError::into_inner).take() {
        return found;
    }
    let reason = error.ssl_error().and_then(|stack| stack.errors().first()?.reason());
    let fault = match reason {
        None => Fault::Closed(error.to_string()),
        Some("unexpected eof while reading") => Fault::Closed("the server hung up".to_owned()),
        Some(reason) if reason.contains(" alert ") && asked.is_some() => {
            Fault::ClientCertificate(asked.unwrap_or(ClientCertificate::Missing), reason.to_owned())
        }
        Some("wrong version number" | "http request" | "packet length too long") => Fault::NotTls,
        Some(
            "unsupported protocol"
            | "no protocols available"
            | "tlsv1 alert protocol version"
            | "tlsv1 alert insufficient security",
        ) => Fault::NothingInCommon,
        Some(reason) if reason.ends_with("alert handshake failure") => Fault::NothingInCommon,
        Some(reason) => Fault::Other(format!("the TLS handshake failed: {reason}")),
    };
    (fault, Vec::new())
}
