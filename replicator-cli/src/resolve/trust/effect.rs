//! Refuses TLS options that have no effect, because an operator who gives one relies on it.

use glance_core::TERMINAL;
use http::Uri;
use keystone_auth::Cloud;
use keystone_auth::plain_http::{is_exposed, is_plain};
use transport_hyper::Proxies;
use url::Url;

use crate::args::{Options, Trust};
use crate::error::CliError;
use crate::resolve::address;
use crate::resolve::endpoint::{Endpoint, Side, proxies};
use crate::resolve::sign_in::keystone_of_token;

/// Whether a store is reached over TLS, according to the command line and the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reached {
    OverTls,
    /// The service catalog decides.
    Unknown,
    ByPlainHttp,
    /// A store without a server.
    OnDisk,
}

/// Fails if a TLS option is given and no store that it applies to is reached over TLS.
pub(crate) fn refuse_without(
    stores: &[(Side, &Endpoint)],
    options: &Options,
) -> Result<(), CliError> {
    let reached: Vec<(Side, Reached)> = stores
        .iter()
        .map(|(side, endpoint)| Ok((*side, reached(endpoint, *side, options)?)))
        .collect::<Result<_, CliError>>()?;
    let may_count = |one: Reached| matches!(one, Reached::OverTls | Reached::Unknown);
    for side in [Side::Source, Side::Target] {
        let of_side: Vec<Reached> =
            reached.iter().filter(|(its, _)| *its == side).map(|(_, one)| *one).collect();
        if let (Some(option), false) =
            (of_one(side, &options.trust), of_side.iter().any(|one| may_count(*one)))
        {
            let why = match of_side.first() {
                None => format!("there is no {side}"),
                Some(Reached::OnDisk) => format!("the {side} is not a server"),
                Some(_) => format!("the {side} is reached over plain http"),
            };
            return Err(without_effect(option, &why));
        }
    }
    let is_plain = reached.iter().any(|(_, one)| *one == Reached::ByPlainHttp);
    match of_both(&options.trust).filter(|_| is_plain) {
        Some(option) if !reached.iter().any(|(_, one)| may_count(*one)) => {
            Err(without_effect(option, "no server of this command is reached over https"))
        }
        _ => Ok(()),
    }
}

/// The same check for a cloud, after its service catalog named the URL of Glance. An option for
/// both sides causes only a warning, because it may have an effect on the other side.
pub(crate) fn check_found(
    cloud: &Cloud,
    glance: &str,
    side: Side,
    options: &Options,
) -> Result<(), CliError> {
    let glance = address::parse(glance)?;
    refuse_proxied(&glance)?;
    if !is_all_plain(cloud, Some(&glance)) || is_secured_by_proxy(&glance)? {
        return Ok(());
    }
    let why = format!("the {side} is reached over plain http, {}", address::text(&glance));
    match (of_one(side, &options.trust), of_both(&options.trust)) {
        (Some(option), _) => Err(without_effect(option, &why)),
        (None, Some(option)) => {
            tracing::warn!(target: TERMINAL, "{option} has no effect here: {why}; use https");
            Ok(())
        }
        (None, None) => Ok(()),
    }
}

/// Fails if a plain-http server on this machine is reached through a proxy: the proxy would read
/// data that should not leave this machine.
pub(crate) fn refuse_proxied(url: &Url) -> Result<(), CliError> {
    let stays_here = is_plain(url) && !is_exposed(url);
    let proxies = proxies()?;
    match before(&proxies, url).filter(|_| stays_here) {
        None => Ok(()),
        Some(proxy) => {
            let what = format!(
                "the tool would send plain http for {}, a server on this machine, through {proxy}",
                address::text(url)
            );
            let host = url.host_str().unwrap_or_default();
            Err(CliError::usage(what).hint(format!("add {host} to NO_PROXY")))
        }
    }
}

/// Whether a cloud whose Glance is at `glance` is certain to be reached without TLS.
fn is_all_plain(cloud: &Cloud, glance: Option<&Url>) -> bool {
    let keystone = address::keystone(cloud);
    // Only the plugin knows the URL of its identity provider.
    let by_others = ["oidc", "oauth2"].iter().any(|kind| cloud.auth_type.contains(kind));
    !by_others && glance.is_some_and(is_plain) && keystone.is_none_or(|url| is_plain(&url))
}

fn reached(endpoint: &Endpoint, side: Side, options: &Options) -> Result<Reached, CliError> {
    let over_tls = |url: &Url| Ok::<_, CliError>(!is_plain(url) || is_secured_by_proxy(url)?);
    Ok(match endpoint {
        Endpoint::Directory(_) | Endpoint::Stream(..) => Reached::OnDisk,
        Endpoint::Url(url) => {
            let keystone = keystone_of_token(side, &options.sign_in);
            match over_tls(url)? || keystone.is_some_and(|url| !is_plain(&url)) {
                true => Reached::OverTls,
                false => Reached::ByPlainHttp,
            }
        }
        Endpoint::Cloud(cloud) => {
            let said = cloud.image.endpoint_override.as_deref();
            let said = said.and_then(|url| Url::parse(url).ok());
            let known = [address::keystone(cloud), said.clone()];
            match known.iter().flatten().any(|url| !is_plain(url)) {
                true => Reached::OverTls,
                false if is_all_plain(cloud, said.as_ref()) => Reached::ByPlainHttp,
                false => Reached::Unknown,
            }
        }
    })
}

/// Whether a proxy that is reached over TLS stands before a server.
fn is_secured_by_proxy(url: &Url) -> Result<bool, CliError> {
    Ok(before(&proxies()?, url).is_some_and(transport_hyper::Proxy::is_https))
}

fn before<'a>(proxies: &'a Proxies, url: &Url) -> Option<&'a transport_hyper::Proxy> {
    let uri: Uri = url.as_str().parse().ok()?;
    proxies.before(&uri)
}

fn without_effect(option: &str, why: &str) -> CliError {
    CliError::usage(format!("{option} has no effect: {why}"))
        .hint("leave it out, or give the https URL of the server")
}

/// The first option for TLS that is given for this side.
fn of_one(side: Side, trust: &Trust) -> Option<&'static str> {
    let all = match side {
        Side::Source => [
            ("--source-pin", trust.source_pin.is_some()),
            ("--source-cacert", trust.source_cacert.is_some()),
            ("--source-cert", trust.source_cert.is_some()),
            ("--source-key", trust.source_key.is_some()),
        ],
        Side::Target => [
            ("--target-pin", trust.target_pin.is_some()),
            ("--target-cacert", trust.target_cacert.is_some()),
            ("--target-cert", trust.target_cert.is_some()),
            ("--target-key", trust.target_key.is_some()),
        ],
    };
    first(&all)
}

/// The first option for TLS that is given for both sides.
fn of_both(trust: &Trust) -> Option<&'static str> {
    first(&[
        ("--cacert", trust.cacert.is_some()),
        ("--system-roots", trust.system_roots),
        ("--cert", trust.cert.is_some()),
        ("--key", trust.key.is_some()),
        ("--key-passphrase-file", trust.key_passphrase_file.is_some()),
        ("--crl", trust.crl.is_some()),
        ("--tls-min-version", trust.tls_min_version.is_some()),
    ])
}

fn first(options: &[(&'static str, bool)]) -> Option<&'static str> {
    options.iter().find(|(_, is_given)| *is_given).map(|(name, _)| *name)
}
