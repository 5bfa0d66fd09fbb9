//! The binary `glance-replicator` with the TLS stacks of this package, for the suites to run.

use std::process::ExitCode;

fn main() -> ExitCode {
    replicator_cli::main()
}
