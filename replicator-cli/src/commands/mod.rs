//! The commands: each one opens its stores, runs `replicator-engine` and passes the results to
//! `report`.

use std::collections::BTreeMap;
use std::path::Path;

use futures_util::StreamExt;

use crate::args::{Args, Command, Options, Reports, shell_word};
use crate::certificates;
use crate::error::CliError;
use crate::exit::Exit;
use crate::output;
use crate::progress;
use crate::report;
use crate::resolve::address;
use crate::resolve::directories::DirectoryPlace;
use crate::resolve::endpoint::{Endpoint, Side, refuse_odd_variables};
use crate::resolve::selection::{Selected, warn_of_no_image};
use crate::resolve::sign_in::{refuse_options_of_one, refuse_token_of_one};
use crate::resolve::store_names::{directory, no_store, same_store};
use crate::resolve::trust::effect;
use crate::signals::SignalHandler;
use crate::tls;

mod clouds;
mod completion;
mod doctor;
mod dry_run;
mod dump;
mod help;
mod images;
mod jobs;
mod merge_reports;
mod metadefs;
mod metered;
mod repair;
mod replicate;
mod resume;
mod serve;
mod verify;
mod work;

use dump::{Dump, dump, load};
pub(crate) use help::first_screen;
use images::{ls, show};
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
            Command::Run(typed) => jobs::run(typed, &options, stopping).await,
            command => Box::pin(perform(command, options, stopping)).await,
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

/// Runs a command other than `resume` and `run`.
async fn perform(
    command: Command,
    mut options: Options,
    stopping: &SignalHandler,
) -> Result<Exit, CliError> {
    certificates::forget();
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

/// Adjusts the options to the command, checks the environment and begins the metrics.
fn prepare(command: &Command, options: &mut Options) -> Result<(), CliError> {
    if matches!(command, Command::Help { .. } | Command::Complete { .. }) {
        return Ok(());
    }
    if matches!(command, Command::Doctor(_)) {
        // `doctor` reports the result of the first attempt, so requests are not retried by default.
        options.limits.low_level_retries.get_or_insert(0);
    }
    if let Some(path) = &options.report.metrics {
        metered::begin(path, command, options)?;
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
        Command::Ls(typed) => ls(typed, context).await,
        Command::Show(typed) => show(typed, options).await,
        Command::Size { server, .. } => size(&server, context).await,
        Command::Dump { server, path, dry_run, compress, metadefs, course, .. } => {
            let typed = Dump { dry_run, compress, metadefs: metadefs.which(), course: &course };
            dump(&server, &directory(&path)?, typed, context).await
        }
        Command::Load { from, to, dry_run, metadefs, course, .. } => {
            let (path, servers) = load_order(from, to);
            let targets: Vec<&str> = servers.iter().map(String::as_str).collect();
            output::name_stores(Some(&path), &targets);
            let how = RunContext::without_removal(&course, metadefs, dry_run);
            load(&path, &servers, how, context).await
        }
        Command::Livecopy { from, to, dry_run, metadefs, course, .. } => {
            let (from, to) = one_to_many(&from, &to, context)?;
            let how = RunContext::without_removal(&course, metadefs, dry_run);
            replicate(from, to, how, context).await
        }
        Command::Compare(typed) => compare(typed, context).await,
        Command::Plan(typed) => plan(typed, context).await,
        Command::Sync(typed) => sync(typed, context).await,
        Command::Resume(_) => Err(CliError::usage("a `resume` command cannot be resumed")),
        Command::Run(_) => Err(CliError::usage("a job cannot run a job file")),
        Command::Config(typed) => jobs::config(&typed),
        Command::Repair(typed) => repair(typed, context).await,
        Command::Metadefs(typed) => metadefs(typed, options).await,
        Command::Verify(typed) => verify(typed, context).await,
        Command::Report(Reports::Merge { parts }) => merge_reports::merge(&parts),
        Command::Clouds { cloud } => clouds::run(cloud.as_deref(), options),
        Command::Completion { shell } => Ok(completion::script(shell)),
        Command::Complete { words } => Ok(completion::candidates(words).await),
        Command::Man { directory } => help::write_manual(directory.as_deref()),
        Command::Doctor(doctor) => doctor::run(doctor, options).await,
        Command::Serve(typed) => serve(typed, options, context.stopping).await,
        Command::Help { topic } => help::run(&topic),
    }
}

/// The source and the target that two arguments name.
fn both(from: &str, to: &str, options: &Options) -> Result<(Endpoint, Endpoint), CliError> {
    let source = Endpoint::parse(from, Side::Source, options)?;
    let target = Endpoint::parse(to, Side::Target, options)?;
    effect::refuse_without(&[(Side::Source, &source), (Side::Target, &target)], options)?;
    refuse_same(&source, &target, to)?;
    Ok((source, target))
}

/// Fails if the target, which the argument `word` names, is the source.
fn refuse_same(source: &Endpoint, target: &Endpoint, word: &str) -> Result<(), CliError> {
    if source.is_same(target) { Err(same_store(&address::shown(word))) } else { Ok(()) }
}

/// The source and the targets that the arguments name.
fn one_to_many(
    from: &str,
    to: &[String],
    context: Context<'_>,
) -> Result<(Endpoint, Vec<Target>), CliError> {
    let source = Endpoint::parse(from, Side::Source, context.options)?;
    let targets = targets(from, to, context)?;
    refuse_useless(&source, &targets, context.options)?;
    Ok((source, targets))
}

/// The store of a command with a single store.
fn one(word: &str, options: &Options) -> Result<Endpoint, CliError> {
    let store = Endpoint::parse(word, Side::Source, options)?;
    effect::refuse_without(&[(Side::Source, &store)], options)?;
    Ok(store)
}

/// Fails if a TLS option has no effect on these stores, or if a target is the source.
fn refuse_useless(
    source: &Endpoint,
    targets: &[Target],
    options: &Options,
) -> Result<(), CliError> {
    let stores = targets.iter().map(|target| (Side::Target, &target.endpoint));
    let stores: Vec<_> = [(Side::Source, source)].into_iter().chain(stores).collect();
    effect::refuse_without(&stores, options)?;
    targets.iter().try_for_each(|target| refuse_same(source, &target.endpoint, &target.word))
}

/// The targets that the arguments name. `from` is the argument that names the source.
fn targets(from: &str, words: &[String], context: Context<'_>) -> Result<Vec<Target>, CliError> {
    let options = context.options;
    if words.len() > 1 {
        refuse_options_of_one(&options.sign_in)?;
    }
    let mut targets = Vec::new();
    for word in words {
        let Some(endpoint) = Endpoint::find(word, Side::Target, options)? else {
            let stores = std::iter::once(from).chain(targets.iter().map(|it: &Target| &*it.word));
            return Err(match targets.is_empty() {
                true => no_store(word),
                false => or_an_image(word, context.selected.command, stores),
            });
        };
        targets.push(Target { word: word.clone(), endpoint });
    }
    let is_url = |target: &Target| matches!(target.endpoint, Endpoint::Url(_));
    if targets.len() > 1 && targets.iter().any(is_url) {
        refuse_token_of_one(&options.sign_in)?;
    }
    Ok(targets)
}

/// The error for a further target that is not a store, but may be meant as an image of the first of
/// these `stores`.
fn or_an_image<'a>(word: &str, command: &str, stores: impl Iterator<Item = &'a str>) -> CliError {
    let stores: Vec<String> = stores.map(|store| shell_word(&address::shown(store))).collect();
    let (stores, image) = (stores.join(" "), shell_word(&address::shown(word)));
    let image = format!("to copy one image: glance-replicator {command} {stores} --image {image}");
    let error = no_store(word);
    let hint = error.hint.iter().fold(image, |image, hint| format!("{image}; {hint}"));
    error.hint(hint)
}

async fn size(server: &str, context: Context<'_>) -> Result<Exit, CliError> {
    let Context { selected, options, .. } = context;
    let opened = one(server, options)?.open(Side::Source, options).await?;
    output::opened_source(&opened.address);
    let store = opened.store;
    let (mut found, mut images, mut bytes) = (0_u64, 0_u64, 0_u64);
    let mut without_data = BTreeMap::new();
    let mut exit = Exit::Success;
    let selection = selected.at(&*store).await?;
    let selection = selected.require_named(selection, &[&*store]).await?;
    let mut listing = store.list(&selection).await?;
    while let Some(item) = listing.next().await {
        found += 1;
        match item {
            Ok(image) if image.status.has_data() => {
                images += 1;
                bytes = bytes.saturating_add(image.size.unwrap_or(0));
            }
            Ok(image) => *without_data.entry(image.status.as_str()).or_default() += 1,
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
    report::size(images, bytes, &without_data);
    Ok(exit)
}

/// Orders the arguments of `load` as directory and servers. The old tool expected the server first,
/// so both orders are accepted.
fn load_order(first: String, mut others: Vec<String>) -> (String, Vec<String>) {
    let is_directory =
        |word: &str| DirectoryPlace::by_scheme(word).is_some() || Path::new(word).is_dir();
    let [second] = &mut others[..] else { return (first, others) };
    // Standard input cannot be a target.
    let swapped = second == "-" || !is_directory(&first) && is_directory(second);
    match swapped && first != "-" {
        true => (std::mem::take(second), vec![first]),
        false => (first, others),
    }
}
