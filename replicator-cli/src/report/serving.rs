//! What `serve` says at its start.

use std::net::SocketAddr;
use std::path::Path;

/// Who is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Callers {
    /// Those that present the token.
    WithToken,
    /// All programs on this machine.
    OfThisMachine,
    /// All that can reach the address.
    Everyone,
}

/// That `serve` is ready, and what it allows to whom.
pub(crate) fn serving(directory: &Path, address: SocketAddr, writable: bool, callers: Callers) {
    let access = if writable { "read and write" } else { "read, not write" };
    let callers = match callers {
        Callers::WithToken => "callers with the required token",
        Callers::OfThisMachine => "all users of this machine, without a token,",
        Callers::Everyone => "everyone who can reach this address, without a token,",
    };
    out!("serving {} on https://{address}", directory.display());
    out!("{callers} may {access}");
}
