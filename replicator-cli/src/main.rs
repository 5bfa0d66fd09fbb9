//! The binary `glance-replicator`.

use std::process::ExitCode;

fn main() -> ExitCode {
    replicator_cli::main()
}
