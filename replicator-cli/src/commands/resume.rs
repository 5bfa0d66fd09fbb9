//! `resume`: runs unfinished runs again.

use std::collections::BTreeSet;
use std::path::Path;

use replicator_engine::Run;

use super::perform;
use crate::args::{Args, Options, RecordedArgs, Resume, SignIn};
use crate::error::CliError;
use crate::exit::Exit;
use crate::output;
use crate::report;
use crate::resolve::address;
use crate::resolve::endpoint::{Endpoint, Side};
use crate::resolve::journals::{self, Kept};
use crate::signals::SignalHandler;

/// Runs `resume`.
pub(super) async fn resume(
    typed: Resume,
    options: &Options,
    stopping: &SignalHandler,
) -> Result<Exit, CliError> {
    let mut journals = journals::journals(&options.state)?;
    if let (Some(from), Some(to)) = (&typed.from, &typed.to) {
        journals.retain_mut(|journal| is_meant(journal, from, to, options));
    }
    let runs = unfinished(&journals);
    report::under_way(&journals);
    if typed.dry_run {
        for run in &runs {
            report::unfinished("unfinished", run, &journals);
        }
    }
    report::all_unfinished(&journals, &runs);
    if typed.dry_run {
        return Ok(if runs.is_empty() { Exit::Success } else { Exit::Differences });
    }
    if typed.dismiss {
        return dismiss(&journals, &runs, options).await;
    }
    let mut exit = Exit::Success;
    for run in runs {
        report::unfinished("resuming", &run, &journals);
        let ended = again(&run, options, stopping).await;
        let ended = ended.unwrap_or_else(|error| output::failure(&error));
        exit = exit.worse(ended);
        if ended.is_by_signal() {
            break;
        }
    }
    report::all_resumed();
    Ok(exit)
}

/// Takes these runs off the list of unfinished runs.
async fn dismiss(journals: &[Kept], runs: &[Run], options: &Options) -> Result<Exit, CliError> {
    for journal in journals.iter().filter(|journal| journal.holder.is_none()) {
        journals::dismiss(journal, runs, options).await?;
    }
    for run in runs {
        report::unfinished("dismissed", run, journals);
    }
    Ok(Exit::Success)
}

/// The unfinished runs in journals that no process holds, oldest first.
fn unfinished(journals: &[Kept]) -> Vec<Run> {
    let free = journals.iter().filter(|journal| journal.holder.is_none());
    let mut runs: Vec<Run> =
        free.flat_map(|journal| journal.recorded.unfinished().cloned()).collect();
    // A run to several targets is recorded in the journal of each target.
    let mut seen = BTreeSet::new();
    runs.retain(|run| seen.insert(run.run.clone()));
    runs.sort_by(|one, other| one.at.cmp(&other.at));
    runs
}

/// Whether a journal contains runs between these two stores. The stores are compared by address or
/// by their arguments on the command line; no server is contacted.
fn is_meant(journal: &mut Kept, from: &str, to: &str, options: &Options) -> bool {
    let recorded = &mut journal.recorded;
    let same = |word, side, address: &str| names(word, side, options).as_deref() == Some(address);
    if same(from, Side::Source, &recorded.source) && same(to, Side::Target, &recorded.target) {
        return true;
    }
    let place = |run: &Run, word: &str| run.command.iter().position(|typed| typed == word);
    recorded.runs.retain(|run| place(run, from).is_some_and(|at| Some(at) < place(run, to)));
    !recorded.runs.is_empty()
}

/// The address of the store that an argument names; `None` if only a cloud could provide it.
fn names(word: &str, side: Side, options: &Options) -> Option<String> {
    match Endpoint::parse(word, side, options).ok()? {
        Endpoint::Url(url) => Some(address::text(&url)),
        Endpoint::Directory(place) => Some(place.address()),
        _ => None,
    }
}

/// Runs a command again, with the secrets from the present command line.
async fn again(run: &Run, options: &Options, stopping: &SignalHandler) -> Result<Exit, CliError> {
    let mut args = understood(run)?;
    give_secrets(&mut args.options.sign_in, &run.left_out, &options.sign_in)?;
    args.options.require_fips |= options.require_fips;
    args.options.yes |= options.yes;
    args.options.typed = RecordedArgs {
        command: run.command.clone(),
        left_out: run.left_out.clone(),
        work: run.work.clone(),
    };
    go_to(Path::new(&run.directory))?;
    let begun = output::begin(&args.command, &args.options);
    let ended = match begun {
        Ok(()) => Box::pin(perform(args.command, args.options, stopping)).await,
        Err(error) => Err(error),
    };
    let (exit, document) =
        report::end_keeping_document(ended.unwrap_or_else(|error| output::failure(&error)));
    report::resumed(document);
    Ok(exit)
}

/// Parses the recorded command line of a run.
pub(super) fn understood(run: &Run) -> Result<Args, CliError> {
    let line = ["glance-replicator"].into_iter().chain(run.command.iter().map(String::as_str));
    crate::parse(line).map_err(|error| {
        CliError::usage("this release cannot parse the command line of that run")
            .caused_by(error.to_string())
            .hint("run the command again by hand")
    })
}

/// Changes to the directory in which the run was started, so that relative paths keep their
/// meaning.
pub(super) fn go_to(directory: &Path) -> Result<(), CliError> {
    std::env::set_current_dir(directory).map_err(|error| {
        let what = format!(
            "cannot change to {}, the directory in which the run was started",
            directory.display()
        );
        CliError::usage(what).caused_by(error)
    })
}

/// Adds the secrets that the journal does not contain.
fn give_secrets(wanted: &mut SignIn, left_out: &[String], given: &SignIn) -> Result<(), CliError> {
    let mut missing = Vec::new();
    for option in left_out {
        let (place, value) = match option.as_str() {
            "--token" => (&mut wanted.token, &given.token),
            "--sourcetoken" => (&mut wanted.sourcetoken, &given.sourcetoken),
            "--targettoken" => (&mut wanted.targettoken, &given.targettoken),
            _ => {
                let what = format!("the journal does not contain {option}");
                return Err(CliError::usage(what).hint("run the command again by hand"));
            }
        };
        match value {
            Some(_) => place.clone_from(value),
            None => missing.push(option.as_str()),
        }
    }
    match missing.as_slice() {
        [] => Ok(()),
        missing => {
            let what =
                format!("the run needs {}, which the journal does not store", missing.join(", "));
            Err(CliError::usage(what).hint("pass the same secrets to `resume`"))
        }
    }
}
