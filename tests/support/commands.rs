//! The commands of the tool.

/// Every command that the help shows, and the commands below them.
pub(crate) const COMMANDS: &[&str] = &[
    "ls",
    "show",
    "size",
    "dump",
    "load",
    "livecopy",
    "compare",
    "plan",
    "sync",
    "resume",
    "run",
    "config check",
    "config schema",
    "repair",
    "metadefs",
    "verify",
    "serve",
    "clouds",
    "completion",
    "report merge",
    "doctor",
    "help",
];
