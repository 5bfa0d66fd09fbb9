//! The metrics of a command: what they are about.

use std::path::Path;

use super::load_order;
use crate::args::{Command, Compare, Options, Sync, Verify};
use crate::error::CliError;
use crate::metrics::{self, MetricsSubject};
use crate::resolve::address::shown;
use crate::tls;

/// Begins the metrics file of a command. The other commands have no option `--metrics`.
pub(super) fn begin(path: &Path, command: &Command, options: &Options) -> Result<(), CliError> {
    let Some((name, selection)) = command.selection() else { return Ok(()) };
    if selection.dump_filters {
        return Ok(());
    }
    // Metrics of a run that did nothing would count as a success.
    if command.is_dry_run() {
        let path = path.display();
        tracing::warn!("a dry run writes no metrics to {path}; leave out -n to write them");
        return Ok(());
    }
    let Some((source, targets)) = stores(command) else { return Ok(()) };
    let states = match command {
        Command::Compare(_) => metrics::comparison_states(),
        Command::Verify(_) => metrics::VERIFY_STATES.to_vec(),
        _ => metrics::RUN_STATES.to_vec(),
    };
    let subject = MetricsSubject {
        job: options.job.clone().unwrap_or_else(|| name.to_owned()),
        source: shown(&source),
        targets: targets.iter().map(|target| shown(target)).collect(),
        states,
        tls: tls::describe(options.tls)?,
    };
    metrics::begin(path, subject)
}

/// The source and the targets of a command, as typed.
fn stores(command: &Command) -> Option<(String, Vec<String>)> {
    Some(match command {
        Command::Dump { server, path, .. } => (server.clone(), vec![path.clone()]),
        Command::Load { from, to, .. } => load_order(from.clone(), to.clone()),
        Command::Livecopy { from, to, .. } | Command::Sync(Sync { from, to, .. }) => {
            (from.clone(), to.clone())
        }
        Command::Compare(Compare { from, to, .. }) => (from.clone(), vec![to.clone()]),
        // The metrics of `verify` for one store are those of the source.
        Command::Verify(Verify { from, to, .. }) => {
            (from.clone(), vec![to.clone().unwrap_or_default()])
        }
        _ => return None,
    })
}
