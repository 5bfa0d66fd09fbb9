//! The [`Transport`] over reqwest, for programs that need a feature of it: its resolvers, its proxies,
//! or layers around its connections. Other programs use `transport-rustls` or `transport-native`,
//! which verify more ([limits](#limits)).
//!
//! The caller prepares a [`ClientBuilder`]. `over_rustls` and `over_native_tls` build the client
//! from it, because a finished client does not tell how it verifies servers. The Cargo features
//! `rustls` (default) and `native-tls` select the TLS libraries.
//!
//! # Example
//! ```no_run
//! # #[cfg(feature = "rustls")]
//! # tokio::runtime::Runtime::new()?.block_on(async {
//! use std::time::Duration;
//!
//! use glance_core::Body;
//! use tls_policy::{Roots, TlsPolicy};
//! use glance_core::transport::IdleTimeouts;
//! use http::Request;
//! use transport_reqwest::reqwest::{ClientBuilder, Proxy};
//!
//! let builder = ClientBuilder::new()
//!     .connect_timeout(Duration::from_secs(10))
//!     .proxy(Proxy::https("http://proxy.example:3128")?);
//! let policy = TlsPolicy::new(Roots::System);
//! let transport = transport_reqwest::over_rustls(builder, &policy, IdleTimeouts::default())?;
//! let request = Request::get("https://glance.example/versions").body(Body::empty())?;
//! println!("{}", transport.send(request).await?.status());
//! # Ok::<_, Box<dyn std::error::Error>>(()) })?;
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! ```
//!
//! # What the builder cannot change
//! Whatever the builder says, the client verifies every server and its name with the TLS library of
//! the function, follows no redirect, decodes no content, repeats no request, has no limit for a
//! whole exchange, takes no proxy from the environment, writes no keys and no bytes to a log, and
//! speaks HTTP/1.1.
//!
//! # What the caller is responsible for
//! A builder does not tell what it contains, so these settings stay as the caller made them:
//! - `default_headers`, `user_agent` and `cookie_store` add headers to each request.
//! - `tls_certs_merge`, `tls_certs_only` and `identity` add trusted certificates to those of the
//!   policy, and a client certificate.
//! - `read_timeout` limits the time from the start of a request to its response, uploads included.
//!   [`IdleTimeouts`] suffice.
//!
//! # Limits
//! A policy with a demand that reqwest cannot honour is refused ([`ReqwestSetupError`]): pinned keys,
//! revocation lists, a trusted certificate that is not a CA, an encrypted client key. [`fips`] always
//! fails. In addition:
//! - The TLS library verifies servers by its own rules. rustls ignores the dates of trusted
//!   certificates, and takes each certificate in the system's trust store for a CA. OpenSSL compares
//!   the host with the common name of a certificate that has no subjectAltName.
//! - Responses do not tell whether the server asked for a client certificate.
//! - Errors name the fault of a certificate, but not the certificate.

// Without a TLS library, reqwest lacks the types that this crate uses, and the crate is empty.
#![cfg_attr(
    not(any(feature = "rustls", feature = "native-tls")),
    allow(rustdoc::broken_intra_doc_links, reason = "the linked items are left out of the crate")
)]
#![cfg(any(feature = "rustls", feature = "native-tls"))]

mod client;
mod failure;
mod identity;
mod library_words;
mod setup;

use std::sync::Arc;

use glance_core::transport::{Guarded, IdleTimeouts, Transport};
use reqwest::ClientBuilder;
use tls_policy::TlsPolicy;

use client::Client;

pub use reqwest;
pub use setup::ReqwestSetupError;

/// Creates a transport over a client of `builder`, which verifies servers with rustls according to
/// `policy`.
///
/// # Errors
/// If the policy demands what reqwest cannot honour, or if the client cannot be built.
#[cfg(feature = "rustls")]
pub fn over_rustls(
    builder: ClientBuilder,
    policy: &TlsPolicy,
    timeouts: IdleTimeouts,
) -> Result<Arc<dyn Transport>, ReqwestSetupError> {
    let builder = match &policy.identity {
        Some(identity) => builder.identity(identity::for_rustls(identity)?),
        None => builder,
    };
    let builder = builder.tls_backend_rustls().tls_sslkeylogfile(false);
    transport(builder, policy, timeouts)
}

/// Creates a transport over a client of `builder`, which verifies servers with native-tls according
/// to `policy`.
///
/// # Errors
/// If the policy demands what reqwest cannot honour, or if the client cannot be built.
#[cfg(feature = "native-tls")]
pub fn over_native_tls(
    builder: ClientBuilder,
    policy: &TlsPolicy,
    timeouts: IdleTimeouts,
) -> Result<Arc<dyn Transport>, ReqwestSetupError> {
    let builder = match &policy.identity {
        Some(identity) => builder.identity(identity::for_native_tls(identity)?),
        None => builder,
    };
    transport(builder.tls_backend_native(), policy, timeouts)
}

fn transport(
    builder: ClientBuilder,
    policy: &TlsPolicy,
    timeouts: IdleTimeouts,
) -> Result<Arc<dyn Transport>, ReqwestSetupError> {
    let client = setup::client(builder, policy, timeouts)?;
    Ok(Arc::new(Guarded::new(Client(client), timeouts)))
}

/// Refuses FIPS mode: reqwest does not tell whether its TLS library is in FIPS mode.
///
/// # Errors
/// Always.
pub fn fips() -> Result<(), ReqwestSetupError> {
    Err(ReqwestSetupError::FipsMode)
}

/// Names reqwest and its version, for `--version`.
pub fn describe() -> String {
    format!("reqwest {}", env!("REQWEST_VERSION"))
}
