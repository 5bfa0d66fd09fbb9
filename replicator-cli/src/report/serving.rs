//! The message that `serve` prints when it starts.

use std::net::SocketAddr;
use std::path::Path;

use serde_json::json;

use crate::output::{self, JsonWriter};

/// The callers that `serve` accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Callers {
    /// Callers that present the token.
    WithToken,
    /// All callers on this machine.
    OfThisMachine,
    /// All callers that can reach the address.
    Everyone,
}

/// Reports that `serve` is ready, and who may read and write.
pub(crate) fn serving(directory: &Path, address: SocketAddr, writable: bool, callers: Callers) {
    let words = match callers {
        Callers::WithToken => "with_token",
        Callers::OfThisMachine => "this_machine",
        Callers::Everyone => "everyone",
    };
    let mut json = JsonWriter::to_results();
    let serving = json!({
        "directory": directory.display().to_string(), "url": format!("https://{address}"),
        "access": if writable { "read_write" } else { "read_only" }, "callers": words,
    });
    json.field("serving", &serving);
    let access = if writable { "read and write" } else { "read but not write" };
    let callers = match callers {
        Callers::WithToken => "callers with the required token",
        Callers::OfThisMachine => "all users of this machine, without a token,",
        Callers::Everyone => "everyone who can reach this address, without a token,",
    };
    out!("serving {} on https://{address}", directory.display());
    out!("{callers} may {access}");
    // The command goes on for as long as nothing stops it.
    output::flush();
}
