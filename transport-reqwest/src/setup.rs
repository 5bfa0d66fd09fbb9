//! Builds the client of a policy.

use std::path::PathBuf;

use glance_core::transport::IdleTimeouts;
use reqwest::{Certificate, ClientBuilder, Proxy, Url, redirect, retry, tls};
use tls_policy::x509::authority::may_sign;
use tls_policy::{TlsPolicy, TlsVersion};

/// Why no transport was built: the policy demands what reqwest cannot honour, or reqwest refuses the
/// settings.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReqwestSetupError {
    /// The policy pins keys.
    #[error("reqwest cannot compare the server's key with a pin")]
    Pins,
    /// The policy has revocation lists.
    #[error("reqwest cannot check revocation lists with every TLS library")]
    RevocationLists,
    /// FIPS mode is required.
    #[error("reqwest does not tell whether its TLS library is in FIPS mode")]
    FipsMode,
    /// The policy trusts this certificate, which is not a CA. rustls would refuse its server, and
    /// accept certificates that its key signed.
    #[error("{0}: reqwest can trust CA certificates only")]
    NotAuthority(String),
    /// The private key of the client certificate, in this file, is encrypted, or its format is not
    /// one that the TLS library reads through reqwest.
    #[error("{}: reqwest cannot read a private key of this format", .0.display())]
    ClientKey(PathBuf),
    /// reqwest or its TLS library refuses the settings.
    #[error("reqwest cannot build a client")]
    Client(#[source] reqwest::Error),
}

/// Builds the client. The caller has chosen the TLS library and the client certificate.
pub(crate) fn client(
    builder: ClientBuilder,
    policy: &TlsPolicy,
    timeouts: IdleTimeouts,
) -> Result<reqwest::Client, ReqwestSetupError> {
    let builder = verifying(builder, policy)?;
    within_contract(builder, timeouts).build().map_err(ReqwestSetupError::Client)
}

/// Turns verification on, and lets it trust what the policy trusts.
fn verifying(
    builder: ClientBuilder,
    policy: &TlsPolicy,
) -> Result<ClientBuilder, ReqwestSetupError> {
    if !policy.pins.is_empty() {
        return Err(ReqwestSetupError::Pins);
    }
    if !policy.revocation.is_empty() {
        return Err(ReqwestSetupError::RevocationLists);
    }
    let bundle = policy.roots.bundle();
    if let Some(other) = bundle.iter().find(|one| !may_sign(&one.der)) {
        return Err(ReqwestSetupError::NotAuthority(other.to_string()));
    }
    let bundle = bundle.iter().map(|one| Certificate::from_der(&one.der));
    let bundle = bundle.collect::<Result<Vec<_>, _>>().map_err(ReqwestSetupError::Client)?;
    let builder = match policy.roots.with_system() {
        true => builder.tls_certs_merge(bundle),
        false => builder.tls_certs_only(bundle),
    };
    // The caller may have turned verification off in the builder: these calls turn it on.
    #[expect(clippy::disallowed_methods, reason = "turns verification on")]
    let builder =
        builder.tls_danger_accept_invalid_certs(false).tls_danger_accept_invalid_hostnames(false);
    Ok(builder.tls_sni(true).tls_version_min(match policy.min_version {
        TlsVersion::V1_2 => tls::Version::TLS_1_2,
        TlsVersion::V1_3 => tls::Version::TLS_1_3,
    }))
}

/// Sets what the contract of [`Transport`](glance_core::Transport) demands.
fn within_contract(builder: ClientBuilder, timeouts: IdleTimeouts) -> ClientBuilder {
    let builder = builder
        .tls_info(true)
        .http1_only()
        .redirect(redirect::Policy::none())
        .referer(false)
        .retry(retry::never())
        .no_gzip()
        .no_brotli()
        .no_zstd()
        .no_deflate()
        .connection_verbose(false)
        // A proxy that is never used: with any proxy of its own, a client ignores the environment.
        .proxy(Proxy::custom(|_| None::<Url>));
    // reqwest would break a connection whose server accepts nothing for half a minute.
    #[cfg(any(target_os = "android", target_os = "fuchsia", target_os = "linux"))]
    let builder = builder.tcp_user_timeout(timeouts.idle);
    builder
}
