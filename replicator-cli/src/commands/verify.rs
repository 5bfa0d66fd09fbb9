//! `verify`: checks image data against records or replicas.

use std::path::Path;

use format_dump::DumpStore;
use glance_core::sampling::Sample;
use glance_core::selection::Selection;
use glance_core::{Body, Image, ImageStore, StoreError};
use replicator_engine::{Depth, Policy, State, Verification, events, verify_store};

use super::work::{TRANSFERS, Work, policy};
use super::{Context, both, one};
use crate::args::{Options, Verify};
use crate::error::CliError;
use crate::exit::Exit;
use crate::output;
use crate::progress;
use crate::report::VerifyReport;
use crate::resolve::directories::{DirectoryFormat, DirectoryPlace};
use crate::resolve::endpoint::{Endpoint, Side};
use crate::resolve::selection::{Selected, warn_of_no_image};
use crate::resolve::state;
use crate::tls;

/// Runs `verify`.
pub(super) async fn verify(typed: Verify, context: Context<'_>) -> Result<Exit, CliError> {
    let Context { selected, options, .. } = context;
    if let Some(to) = &typed.to {
        let (from, to) = both(&typed.from, to, options)?;
        return against(from, to, &typed, selected, options).await;
    }
    match one(&typed.from, options)? {
        Endpoint::Directory(DirectoryPlace { path, format: DirectoryFormat::Dump(_) })
            if selected.is_everything() =>
        {
            dump(&path, &typed, options).await
        }
        store => alone(store, &typed, selected, options).await,
    }
}

/// Verifies a dump as a whole, with all its files.
async fn dump(path: &Path, typed: &Verify, options: &Options) -> Result<Exit, CliError> {
    let dump = DumpStore::open(path)?.hashing_with(tls::hashers(options.tls)?);
    output::opened_source(&DirectoryPlace::dump(path).address());
    let mut report = VerifyReport::new();
    let (limiter, events) = (policy(options)?.bandwidth.source, progress::events());
    let through = |image: &Image, data: Body| {
        let data = match &limiter {
            Some(limiter) => limiter.keep(data),
            None => data,
        };
        events.reading(image, events::Side::Source, data)
    };
    let observe = |finding| report.of_dump(&finding);
    let found = dump.verify(typed.subset, options.transfers.or(TRANSFERS), &through, observe).await;
    progress::end();
    report.complete(found?.complete);
    Ok(report.finish())
}

/// Verifies the images of one store against their own records.
async fn alone(
    store: Endpoint,
    typed: &Verify,
    selected: &Selected,
    options: &Options,
) -> Result<Exit, CliError> {
    let opened = store.open(Side::Source, options).await?;
    output::opened_source(&opened.address);
    let store = &*opened.store;
    let selection = selected.at(store).await?;
    let selection = selected.require_named(selection, &[store]).await?;
    let chosen = Sample::among(typed.subset, store, &selection).await?;
    let known_source =
        state::digests(&options.state).map(|file| file.of(opened.address)).unwrap_or_default();
    let events = progress::events();
    let policy = Policy { selection, known_source, events, ..policy(options)? };
    let mut report = VerifyReport::new();
    let ended = verify_store(store, &policy, &chosen, |found| report.image(&found)).await;
    finish(report, ended, store, &policy.selection).await
}

/// Verifies the images of one store against their replicas in another.
async fn against(
    from: Endpoint,
    to: Endpoint,
    typed: &Verify,
    selected: &Selected,
    options: &Options,
) -> Result<Exit, CliError> {
    let replication = Work::open_to_read(from, to, selected, options).await?;
    let selection = &replication.policy.selection;
    let chosen = Sample::among(typed.subset, &*replication.source, selection).await?;
    let depth = if typed.deep { Depth::Deep } else { Depth::Records };
    let mut report = VerifyReport::new();
    let observe = |found: Verification| {
        if !(typed.one_way && found.state == Some(State::Extra)) {
            report.image(&found);
        }
    };
    let ended = replication.verify(depth, &chosen, observe).await;
    finish(report, ended, &*replication.source, selection).await
}

/// Completes the report of the images of this store.
async fn finish(
    report: VerifyReport,
    ended: Result<(), StoreError>,
    store: &dyn ImageStore,
    selection: &Selection,
) -> Result<Exit, CliError> {
    progress::end();
    let is_empty = report.is_empty();
    let exit = report.finish();
    match ended {
        Ok(()) if is_empty => warn_of_no_image(store, selection).await?,
        Ok(()) => {}
        Err(error) => return Ok(exit.worse(output::failure(&error.into()))),
    }
    Ok(exit)
}
