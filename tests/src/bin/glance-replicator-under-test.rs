//! The binary `glance-replicator` with the TLS stacks of this package, which the suites run.

use std::process::ExitCode;

fn main() -> ExitCode {
    replicator_cli::main()
}
