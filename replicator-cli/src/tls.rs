//! The TLS stacks of this build. Only this file depends on the cargo features of the stacks.

use std::sync::{Arc, OnceLock};

use futures_util::future::BoxFuture;
use glance_core::digest::Hashers;
use glance_core::transport::{RequestIdentity, Transport};
use http::Uri;
use tls_policy::TlsPolicy;
use transport_hyper::{ClientOptions, Inspection, TlsAcceptor, TlsSetupError};

use crate::args::Stack;
use crate::error::CliError;

#[cfg(any(feature = "reqwest", feature = "reqwest-native-tls"))]
mod reqwest;

/// The version of this program and of its TLS libraries, one per line.
pub(crate) fn version() -> String {
    let build = option_env!("GLANCE_REPLICATOR_BUILD_ID");
    let stacks = LIBRARIES.iter().map(|library| {
        let mode = (library.fips)().map_or("", |()| ", in FIPS mode");
        let lacks = if library.lacks.is_empty() { "" } else { ": " };
        format!("\nTLS: {}{mode}{lacks}{}", (library.describe)(), library.lacks)
    });
    program_version(build) + &stacks.collect::<String>()
}

/// The version of this program, with the name that the packager gave to the build.
fn program_version(build: Option<&str>) -> String {
    let version = env!("CARGO_PKG_VERSION");
    match build {
        None | Some("") => version.to_owned(),
        Some(build) => format!("{version} ({build})"),
    }
}

/// Fails if the cryptography of the chosen stack is not in FIPS mode.
pub(crate) fn require_fips(chosen: Option<Stack>) -> Result<(), CliError> {
    let library = library(chosen)?;
    (library.fips)().map_err(|error| {
        CliError::usage("FIPS mode is required").caused_by(error).hint(library.to_get_fips)
    })
}

/// The digest implementation of the chosen TLS library.
pub(crate) fn hashers(chosen: Option<Stack>) -> Result<Hashers, CliError> {
    Ok((library(chosen)?.hashers)())
}

/// A transport that verifies servers according to `policy` and identifies this process to them.
pub(crate) fn transport(
    chosen: Option<Stack>,
    policy: &TlsPolicy,
    options: ClientOptions,
) -> Result<Arc<dyn Transport>, CliError> {
    let library = library(chosen)?;
    let transport = (library.transport)(policy, options).map_err(cannot)?;
    Ok(caller(library).by(transport))
}

/// The identification of this process in requests. It is the same for both sides, so that the logs
/// of two clouds can be correlated.
fn caller(library: &Library) -> &'static RequestIdentity {
    CALLER.get_or_init(|| {
        let version = env!("CARGO_PKG_VERSION");
        let caller = RequestIdentity::new(&format!(
            "glance-replicator/{version} ({})",
            (library.describe)()
        ));
        tracing::info!("the requests of this run have the global id {}", caller.run());
        caller
    })
}

static CALLER: OnceLock<RequestIdentity> = OnceLock::new();

/// The global request id of this run, once requests can be sent.
pub(crate) fn global_request_id() -> Option<&'static str> {
    CALLER.get().map(RequestIdentity::run)
}

/// A TLS library, as reports describe it.
#[derive(Debug)]
pub(crate) struct LibraryInUse {
    pub(crate) stack: &'static str,
    pub(crate) library: String,
    pub(crate) is_in_fips_mode: bool,
}

/// The chosen TLS library; `None` if this build does not contain it.
pub(crate) fn in_use(chosen: Option<Stack>) -> Option<LibraryInUse> {
    let library = library(chosen).ok()?;
    let stack = match library.stack {
        Stack::Rustls => "rustls",
        Stack::Native => "native",
        Stack::Reqwest => "reqwest",
    };
    let (library, is_in_fips_mode) = ((library.describe)(), (library.fips)().is_ok());
    Some(LibraryInUse { stack, library, is_in_fips_mode })
}

/// Connects once to the server of `url` and describes the connection.
pub(crate) async fn inspect(
    chosen: Option<Stack>,
    policy: &TlsPolicy,
    options: ClientOptions,
    url: &Uri,
) -> Result<Inspection, CliError> {
    (library(chosen)?.inspect)(policy, options, url).await.map_err(cannot)
}

/// The name and version of the chosen library, and whether it is in FIPS mode.
pub(crate) fn describe(chosen: Option<Stack>) -> Result<String, CliError> {
    let library = library(chosen)?;
    let not = (library.fips)().map_or("not ", |()| "");
    Ok(format!("{}, {not}in FIPS mode", (library.describe)()))
}

/// The server side of TLS, with a certificate chain and its private key, both PEM.
pub(crate) fn acceptor(
    chosen: Option<Stack>,
    chain: &[u8],
    key: &[u8],
) -> Result<Arc<dyn TlsAcceptor>, CliError> {
    let library = library(chosen)?;
    let Some(acceptor) = library.acceptor else {
        let what = format!("{} is a client only", (library.describe)());
        return Err(CliError::usage(what).hint("use --tls rustls or --tls native"));
    };
    let hint = "give a PEM certificate with --cert, and its key with --key";
    acceptor(chain, key).map_err(|error| cannot(error).hint(hint))
}

/// The functions of the crate of a TLS stack.
struct Library {
    stack: Stack,
    describe: fn() -> String,
    /// What the stack cannot do, for `--version`.
    lacks: &'static str,
    fips: fn() -> Result<(), TlsSetupError>,
    to_get_fips: &'static str,
    hashers: fn() -> Hashers,
    transport: fn(&TlsPolicy, ClientOptions) -> Made<dyn Transport>,
    inspect: for<'a> fn(&'a TlsPolicy, ClientOptions, &'a Uri) -> Inspecting<'a>,
    /// `None` for a client only.
    acceptor: Option<Accepting>,
}

type Inspecting<'a> = BoxFuture<'a, Result<Inspection, TlsSetupError>>;

type Accepting = fn(&[u8], &[u8]) -> Made<dyn TlsAcceptor>;

type Made<T> = Result<Arc<T>, TlsSetupError>;

fn library(chosen: Option<Stack>) -> Result<&'static Library, CliError> {
    let found = match chosen {
        None => LIBRARIES.first(),
        Some(stack) => LIBRARIES.iter().find(|library| library.stack == stack),
    };
    found.ok_or_else(|| {
        let have: Vec<String> = LIBRARIES.iter().map(|library| (library.describe)()).collect();
        CliError::usage(format!(
            "this build does not contain that TLS stack, only {}",
            have.join(", ")
        ))
    })
}

fn cannot(error: TlsSetupError) -> CliError {
    CliError::usage("cannot set up TLS").caused_by(error)
}

/// The TLS stacks of this build; the first is the default.
const LIBRARIES: &[Library] = &[
    #[cfg(feature = "rustls")]
    Library {
        stack: Stack::Rustls,
        describe: transport_rustls::describe,
        lacks: "",
        fips: transport_rustls::fips,
        to_get_fips: transport_rustls::TO_GET_FIPS,
        hashers: transport_rustls::hashers,
        transport: transport_rustls::transport,
        inspect: |policy, options, url| Box::pin(transport_rustls::inspect(policy, options, url)),
        acceptor: Some(transport_rustls::acceptor),
    },
    #[cfg(feature = "native-tls")]
    Library {
        stack: Stack::Native,
        describe: transport_native::describe,
        lacks: "",
        fips: transport_native::fips,
        to_get_fips: transport_native::TO_GET_FIPS,
        hashers: transport_native::hashers,
        transport: transport_native::transport,
        inspect: |policy, options, url| Box::pin(transport_native::inspect(policy, options, url)),
        acceptor: Some(transport_native::acceptor),
    },
    #[cfg(any(feature = "reqwest", feature = "reqwest-native-tls"))]
    Library {
        stack: Stack::Reqwest,
        describe: reqwest::describe,
        lacks: reqwest::LACKS,
        fips: reqwest::fips,
        to_get_fips: "use --tls rustls or --tls native",
        hashers: Hashers::default,
        transport: reqwest::transport,
        inspect: |policy, options, url| Box::pin(reqwest::inspect(policy, options, url)),
        acceptor: None,
    },
];

/// The TLS library inside reqwest; rustls if both are in this build.
#[cfg(feature = "reqwest")]
const INSIDE_REQWEST: (&str, Over) = ("rustls", transport_reqwest::over_rustls);
#[cfg(all(feature = "reqwest-native-tls", not(feature = "reqwest")))]
const INSIDE_REQWEST: (&str, Over) = ("native-tls", transport_reqwest::over_native_tls);

/// The function of `transport-reqwest` for a TLS library.
#[cfg(any(feature = "reqwest", feature = "reqwest-native-tls"))]
type Over = fn(
    transport_reqwest::reqwest::ClientBuilder,
    &TlsPolicy,
    glance_core::transport::IdleTimeouts,
) -> Result<Arc<dyn Transport>, transport_reqwest::ReqwestSetupError>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_names_the_build_of_a_packager() {
        let version = env!("CARGO_PKG_VERSION");
        assert_eq!(program_version(Some("Debian 0.9.0-1")), format!("{version} (Debian 0.9.0-1)"));
        assert_eq!(program_version(Some("")), version);
        assert_eq!(program_version(None), version);
    }
}
