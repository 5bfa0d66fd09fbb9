//! The TLS stacks of this build. `cfg(feature` stands in this file and no other.

use std::sync::Arc;

use glance_core::tls::TlsPolicy;
use glance_core::transport::Transport;
use transport_hyper::{Options, TlsAcceptor};

use crate::args::Stack;
use crate::error::CliError;

/// The version of this program, and of the TLS libraries it is built with.
pub(crate) fn version() -> String {
    let stacks = STACKS.iter().map(|stack| format!("\nTLS: {}", describe(*stack)));
    env!("CARGO_PKG_VERSION").to_owned() + &stacks.collect::<String>()
}

/// A transport that verifies as `policy` says.
pub(crate) fn transport(
    chosen: Option<Stack>,
    policy: &TlsPolicy,
    options: Options,
) -> Result<Arc<dyn Transport>, CliError> {
    match stack(chosen)? {
        #[cfg(feature = "rustls")]
        Stack::Rustls => transport_rustls::transport(policy, options).map_err(cannot),
        #[cfg(feature = "native-tls")]
        Stack::Native => transport_native::transport(policy, options).map_err(cannot),
        #[cfg(not(all(feature = "rustls", feature = "native-tls")))]
        other => Err(absent(other)),
    }
}

/// The server's side, with a certificate chain and its key, PEM.
pub(crate) fn acceptor(
    chosen: Option<Stack>,
    chain: &[u8],
    key: &[u8],
) -> Result<Arc<dyn TlsAcceptor>, CliError> {
    match stack(chosen)? {
        #[cfg(feature = "rustls")]
        Stack::Rustls => transport_rustls::acceptor(chain, key).map_err(cannot),
        #[cfg(feature = "native-tls")]
        Stack::Native => transport_native::acceptor(chain, key).map_err(cannot),
        #[cfg(not(all(feature = "rustls", feature = "native-tls")))]
        other => Err(absent(other)),
    }
}

fn stack(chosen: Option<Stack>) -> Result<Stack, CliError> {
    let stack = chosen.or(STACKS.first().copied());
    stack.ok_or_else(|| CliError::usage("this build has no TLS stack"))
}

fn describe(stack: Stack) -> String {
    match stack {
        #[cfg(feature = "rustls")]
        Stack::Rustls => transport_rustls::describe(),
        #[cfg(feature = "native-tls")]
        Stack::Native => transport_native::describe(),
        #[cfg(not(all(feature = "rustls", feature = "native-tls")))]
        _ => String::new(),
    }
}

fn cannot(error: impl std::error::Error + Send + Sync + 'static) -> CliError {
    CliError::usage("cannot set up TLS").caused_by(error)
}

#[cfg(not(all(feature = "rustls", feature = "native-tls")))]
fn absent(stack: Stack) -> CliError {
    let have: Vec<String> = STACKS.iter().map(|stack| describe(*stack)).collect();
    CliError::usage(format!("this build has no {stack:?} TLS stack, only {}", have.join(", ")))
}

/// What this build has, the default first.
const STACKS: &[Stack] = &[
    #[cfg(feature = "rustls")]
    Stack::Rustls,
    #[cfg(feature = "native-tls")]
    Stack::Native,
];
