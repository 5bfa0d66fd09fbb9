//! The commands: each one opens its stores, runs `replicator-engine` and passes the results to
//! `report`.

use std::path::{Path, PathBuf};

use futures_util::StreamExt;

use crate::args::{Args, Command, Options, Reports};
use crate::error::CliError;
use crate::exit::Exit;
use crate::output;
use crate::progress;
use crate::report;
use crate::resolve::endpoint::{Endpoint, Side, refuse_odd_variables};
use crate::resolve::selection::{Selected, warn_of_no_image};
use crate::resolve::sign_in::{refuse_options_of_one, refuse_token_of_one};
use crate::resolve::trust::effect;
use crate::signals::SignalHandler;
use crate::tls;

mod clouds;
mod doctor;
mod dump;
mod merge_reports;
mod metadefs;
mod repair;
mod replicate;
mod resume;
mod serve;
mod verify;
mod work;

use dump::{Dump, dump, load};
use metadefs::metadefs;
use repair::repair;
use replicate::{Target, compare, plan, replicate, sync};
use resume::resume;
use serve::serve;
use verify::verify;
use work::RunContext;

/// Runs a command until it ends or a signal ends the process.
pub(crate) async fn run(args: Args) -> Exit {
    let Args { command, options, display: _ } = args;
    let stopping = &SignalHandler::default();
    let work = async {
        match command {
            Command::Resume(typed) => resume(typed, &options, stopping).await,
            command => perform(command, options, stopping).await,
        }
    };
    tokio::select! {
        result = work => result.unwrap_or_else(|error| output::failure(&error)),
        exit = stopping.at_once() => exit,
    }
}

/// The options of every command, and the means to stop it.
#[derive(Clone, Copy)]
struct Context<'a> {
    selected: &'a Selected,
    options: &'a Options,
    stopping: &'a SignalHandler,
}

/// Runs a command other than `resume`.
async fn perform(
    command: Command,
    mut options: Options,
    stopping: &SignalHandler,
) -> Result<Exit, CliError> {
    prepare(&command, &mut options)?;
    progress::begin(&command);
    let selection = command.selection();
    let selected = match selection {
        Some((command, typed)) => &Selected::by(command, typed)?,
        None => &Selected::default(),
    };
    output::selecting(&selected.described, selected.shard);
    if selection.is_some_and(|(_, typed)| typed.dump_filters) {
        report::selection(selected);
        return Ok(Exit::Success);
    }
    dispatch(command, Context { selected, options: &options, stopping }).await
}

/// Adjusts the options to the command, and checks the environment.
fn prepare(command: &Command, options: &mut Options) -> Result<(), CliError> {
    if matches!(command, Command::Doctor(_)) {
        // `doctor` reports the result of the first attempt, so requests are not retried by default.
        options.limits.low_level_retries.get_or_insert(0);
    }
    refuse_odd_variables()?;
    if options.require_fips {
        tls::require_fips(options.tls)?;
    }
    Ok(())
}

async fn dispatch(command: Command, context: Context<'_>) -> Result<Exit, CliError> {
    let options = context.options;
    match command {
        Command::Size { server, .. } => size(&server, context).await,
        Command::Dump { server, path, compress, metadefs, course, .. } => {
            let typed = Dump { compress, metadefs: metadefs.which(), course: &course };
            dump(&server, &directory(&path), typed, context).await
        }
        Command::Load { from, to, metadefs, course, .. } => {
            let (path, servers) = load_order(from, to);
            let targets: Vec<&str> = servers.iter().map(String::as_str).collect();
            output::name_stores(Some(&path.to_string_lossy()), &targets);
            let how = RunContext { course: &course, metadefs: metadefs.which(), removing: None };
            load(path, &servers, how, context).await
        }
        Command::Livecopy { from, to, metadefs, course, .. } => {
            let (from, to) = one_to_many(&from, &to, options)?;
            let how = RunContext { course: &course, metadefs: metadefs.which(), removing: None };
            replicate(from, to, how, context).await
        }
        Command::Compare(typed) => compare(typed, context).await,
        Command::Plan(typed) => plan(typed, context).await,
        Command::Sync(typed) => sync(typed, context).await,
        Command::Resume(_) => Err(CliError::usage("a `resume` command cannot be resumed")),
        Command::Repair(typed) => repair(typed, context).await,
        Command::Metadefs(typed) => metadefs(typed, options).await,
        Command::Verify(typed) => verify(typed, context).await,
        Command::Report(Reports::Merge { parts }) => merge_reports::merge(&parts),
        Command::Clouds => clouds::run(options),
        Command::Doctor(doctor) => doctor::run(doctor, options).await,
        Command::Serve(typed) => serve(typed, options, context.stopping).await,
    }
}

/// The source and the target that two arguments name.
fn both(from: &str, to: &str, options: &Options) -> Result<(Endpoint, Endpoint), CliError> {
    let source = Endpoint::parse(from, Side::Source, options)?;
    let target = Endpoint::parse(to, Side::Target, options)?;
    effect::refuse_without(&[(Side::Source, &source), (Side::Target, &target)], options)?;
    Ok((source, target))
}

/// The source and the targets that the arguments name.
fn one_to_many(
    from: &str,
    to: &[String],
    options: &Options,
) -> Result<(Endpoint, Vec<Target>), CliError> {
    let source = Endpoint::parse(from, Side::Source, options)?;
    let targets = targets(to, options)?;
    refuse_without_effect(&source, &targets, options)?;
    Ok((source, targets))
}

/// The store of a command with a single store.
fn one(word: &str, options: &Options) -> Result<Endpoint, CliError> {
    let store = Endpoint::parse(word, Side::Source, options)?;
    effect::refuse_without(&[(Side::Source, &store)], options)?;
    Ok(store)
}

/// Fails if a TLS option has no effect on these stores.
fn refuse_without_effect(
    source: &Endpoint,
    targets: &[Target],
    options: &Options,
) -> Result<(), CliError> {
    let targets = targets.iter().map(|target| (Side::Target, &target.endpoint));
    let stores: Vec<_> = [(Side::Source, source)].into_iter().chain(targets).collect();
    effect::refuse_without(&stores, options)
}

/// The targets that the arguments name.
fn targets(words: &[String], options: &Options) -> Result<Vec<Target>, CliError> {
    if words.len() > 1 {
        refuse_options_of_one(&options.sign_in)?;
    }
    let target = |word: &String| {
        let endpoint = Endpoint::parse(word, Side::Target, options)?;
        Ok(Target { word: word.clone(), endpoint })
    };
    let targets: Vec<Target> = words.iter().map(target).collect::<Result<_, CliError>>()?;
    let is_url = |target: &Target| matches!(target.endpoint, Endpoint::Url(_));
    if targets.len() > 1 && targets.iter().any(is_url) {
        refuse_token_of_one(&options.sign_in)?;
    }
    Ok(targets)
}

async fn size(server: &str, context: Context<'_>) -> Result<Exit, CliError> {
    let Context { selected, options, .. } = context;
    let opened = one(server, options)?.open(Side::Source, options).await?;
    output::opened_source(&opened.address);
    let store = opened.store;
    selected.require_ids(&[&*store]).await?;
    let (mut found, mut images, mut bytes) = (0_u64, 0_u64, 0_u64);
    let mut exit = Exit::Success;
    let selection = selected.at(&*store).await?;
    let mut listing = store.list(&selection).await?;
    while let Some(item) = listing.next().await {
        found += 1;
        match item {
            Ok(image) if image.status.has_data() => {
                images += 1;
                bytes = bytes.saturating_add(image.size.unwrap_or(0));
            }
            Ok(_) => {}
            // An unreadable record is reported and not counted.
            Err(error) if error.record.is_some() => {
                exit = exit.worse(Exit::SomeFailed);
                output::failure(&error.into());
            }
            Err(error) => return Err(error.into()),
        }
    }
    if found == 0 {
        warn_of_no_image(&*store, &selection).await?;
    }
    report::size(images, bytes);
    Ok(exit)
}

/// The path of an argument whose position requires a directory, so that a bare word is a path too.
fn directory(word: &str) -> PathBuf {
    match word.strip_prefix("dir:") {
        // A bare `-` means standard input or output.
        Some("-") => "./-".into(),
        path => path.unwrap_or(word).into(),
    }
}

/// Orders the arguments of `load` as directory and servers. The old tool expected the server first,
/// so both orders are accepted.
fn load_order(first: String, mut others: Vec<String>) -> (PathBuf, Vec<String>) {
    let is_directory = |word: &str| word.starts_with("dir:") || Path::new(word).is_dir();
    let [second] = &mut others[..] else { return (directory(&first), others) };
    // Standard input cannot be a target.
    let swapped = second == "-" || !is_directory(&first) && is_directory(second);
    match swapped && first != "-" {
        true => (directory(second), vec![first]),
        false => (directory(&first), others),
    }
}
