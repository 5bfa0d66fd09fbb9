//! The client's side: OpenSSL's handshake, and what its errors mean.

use std::pin::Pin;
use std::sync::PoisonError;

use async_trait::async_trait;
use glance_core::TransportError;
use glance_core::tls::verdict::{Fault, refusal};
use glance_core::tls::{TlsPolicy, TlsVersion};
use openssl::error::ErrorStack;
use openssl::ssl::{
    self, Ssl, SslContext, SslMethod, SslMode, SslOptions, SslVerifyMode, SslVersion,
};
use tokio_openssl::SslStream;
use transport_hyper::{Io, TlsBackend, TlsSetupError};

use crate::roots;
use crate::verify::{Refused, verify};

/// The client's side of OpenSSL.
pub(crate) struct Client(SslContext);

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}

impl Client {
    pub(crate) fn new(policy: &TlsPolicy) -> Result<Self, TlsSetupError> {
        let store = roots::store(policy)?;
        let context = context(policy.min_version)
            .map_err(|error| TlsSetupError::new("OpenSSL can't be set up", error));
        let mut context = context?;
        context.set_cert_store(store);
        Ok(Self(context.build()))
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
    ) -> Result<Box<dyn Io>, TransportError> {
        let prepared = Ssl::new(&self.0).and_then(|mut ssl| {
            let refused = verify(&mut ssl, host)?;
            Ok((SslStream::new(ssl, io)?, refused))
        });
        let (mut stream, refused) = prepared.map_err(|error| {
            let what = format!("the TLS handshake can't begin: {error}");
            refusal(Fault::Other(what), host, endpoint, &[])
        })?;
        match Pin::new(&mut stream).connect().await {
            Ok(()) => Ok(Box::new(stream)),
            Err(error) => Err(explain(&error, &refused, host, endpoint)),
        }
    }
}

fn explain(error: &ssl::Error, refused: &Refused, host: &str, endpoint: &str) -> TransportError {
    if let Some((fault, chain)) = refused.lock().unwrap_or_else(PoisonError::into_inner).take() {
        return refusal(fault, host, endpoint, &chain);
    }
    let reason = error.ssl_error().and_then(|stack| stack.errors().first()?.reason());
    let fault = match reason {
        None => Fault::Closed(error.to_string()),
        Some("unexpected eof while reading") => Fault::Closed("the server hung up".to_owned()),
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
    refusal(fault, host, endpoint, &[])
}
