//! The commands: open the stores, let glance-core work, hand what happened to `print`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::StreamExt;
use glance_core::replicate::Level;
use secrecy::ExposeSecret;

use crate::args::{Args, Command, Options, Reports, Serve};
use crate::endpoint::{Access, Endpoint, Side};
use crate::error::CliError;
use crate::exit::Exit;
use crate::select::{Selected, warn_of_no_image};
use crate::sign_in::{read_token, refuse_options_of_one, refuse_token_of_one};
use crate::{print, tls};

mod dump;
mod metadefs;
mod repair;
mod replicate;
mod report;
mod resume;
mod stopping;
mod verify;
mod work;

use dump::{Dump, dump, load};
use metadefs::metadefs;
use repair::repair;
use replicate::{Target, compare, plan, replicate, sync};
use resume::resume;
use stopping::Stopping;
use verify::verify;
use work::How;

/// Runs a command to its end, or to the first signal.
pub(crate) async fn run(args: Args) -> Exit {
    let Args { command, options, logging: _ } = args;
    let stopping = &Stopping::default();
    let work = async {
        match command {
            Command::Resume(typed) => resume(typed, &options, stopping).await,
            command => perform(command, options, stopping).await,
        }
    };
    let exit = tokio::select! {
        result = work => result.unwrap_or_else(|error| print::failure(&error)),
        exit = stopping.at_once() => exit,
    };
    print::end(exit)
}

/// Runs a command to its end.
async fn perform(
    command: Command,
    mut options: Options,
    stopping: &Stopping,
) -> Result<Exit, CliError> {
    if matches!(command, Command::Doctor(_)) {
        // It says what it finds, not what it finds at the eleventh attempt.
        options.limits.low_level_retries.get_or_insert(0);
    }
    if options.require_fips {
        tls::require_fips(options.tls)?;
    }
    if let Some(path) = &options.report.report {
        print::report_to(path, options.output)?;
    }
    let selection = command.selection();
    let selected = match selection {
        Some((command, typed)) => &Selected::by(command, typed)?,
        None => &Selected::default(),
    };
    if selection.is_some_and(|(_, typed)| typed.dump_filters) {
        print::selection(options.output, selected);
        return Ok(Exit::Success);
    }
    match command {
        Command::Size { server, .. } => size(&server, selected, &options).await,
        Command::Dump { server, path, compress, metadefs, course, .. } => {
            let typed = Dump { compress, metadefs: metadefs.which(), course: &course };
            dump(&server, &directory(&path), typed, selected, &options, stopping).await
        }
        Command::Load { from, to, metadefs, course, .. } => {
            let (path, servers) = load_order(from, to);
            let how = How { course: &course, metadefs: metadefs.which(), removing: None };
            load(path, &servers, how, selected, &options, stopping).await
        }
        Command::Livecopy { from, to, metadefs, course, .. } => {
            let (from, to) = one_to_many(&from, &to, &options)?;
            let how = How { course: &course, metadefs: metadefs.which(), removing: None };
            replicate(from, to, how, selected, &options, stopping).await
        }
        Command::Compare(typed) => compare(typed, selected, &options).await,
        Command::Plan(typed) => plan(typed, selected, &options).await,
        Command::Sync(typed) => sync(typed, selected, &options, stopping).await,
        Command::Resume(_) => Err(CliError::usage("`resume` is not resumed")),
        Command::Repair(typed) => repair(typed, &options, stopping).await,
        Command::Metadefs(typed) => metadefs(typed, &options).await,
        Command::Verify(typed) => verify(typed, selected, &options).await,
        Command::Report(Reports::Merge { parts }) => report::merge(&parts, options.output),
        Command::Clouds => crate::clouds::run(&options),
        Command::Doctor(doctor) => crate::doctor::run(doctor, &options).await,
        Command::Serve(serve) => self::serve(serve, &options, stopping).await,
    }
}

/// The two sides that two words name.
fn both(from: &str, to: &str, options: &Options) -> Result<(Endpoint, Endpoint), CliError> {
    let source = Endpoint::parse(from, Side::Source, options)?;
    Ok((source, Endpoint::parse(to, Side::Target, options)?))
}

/// The source that a word names, and the targets that others do.
fn one_to_many(
    from: &str,
    to: &[String],
    options: &Options,
) -> Result<(Endpoint, Vec<Target>), CliError> {
    Ok((Endpoint::parse(from, Side::Source, options)?, targets(to, options)?))
}

/// The targets that words name.
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

async fn size(server: &str, selected: &Selected, options: &Options) -> Result<Exit, CliError> {
    let store =
        Endpoint::parse(server, Side::Source, options)?.open(Side::Source, options).await?.store;
    selected.require_ids(&[&*store]).await?;
    let (mut found, mut images, mut bytes) = (0_u64, 0_u64, 0_u64);
    let selection = selected.at(&*store).await?;
    let mut listing = store.list(&selection).await?;
    while let Some(image) = listing.next().await {
        let image = image?;
        found += 1;
        if image.status.has_data() {
            images += 1;
            bytes += image.size.unwrap_or(0);
        }
    }
    if found == 0 {
        warn_of_no_image(&*store, &selection).await?;
    }
    print::size(options.output, images, bytes);
    Ok(Exit::Success)
}

async fn serve(serve: Serve, options: &Options, stopping: &Stopping) -> Result<Exit, CliError> {
    let read = |path: &Path| {
        std::fs::read(path).map_err(|error| {
            CliError::usage(format!("cannot read {}", path.display())).caused_by(error)
        })
    };
    let acceptor = tls::acceptor(options.tls, &read(&serve.cert)?, &read(&serve.key)?)?;
    let directory = || Endpoint::Directory(serve.path.clone());
    let opened = match directory().open_to(Access::Write, Side::Target, options).await {
        // Where nothing can be written, what is there can be read.
        Err(error) if error.exit == Exit::Usage => {
            directory().open_to(Access::Read, Side::Target, options).await?
        }
        opened => opened?,
    };
    let mut api = glance_server::GlanceApi::new(Arc::clone(&opened.store));
    if let Some(path) = &serve.require_token_file {
        api = api.with_token(read_token(path)?.expose_secret());
    }
    let cannot_listen = |error: std::io::Error| {
        CliError::usage(format!("cannot listen on {}", serve.listen)).caused_by(error)
    };
    let listener = tokio::net::TcpListener::bind(serve.listen).await.map_err(cannot_listen)?;
    print::serving(&serve.path, listener.local_addr().map_err(cannot_listen)?);
    let stop = stopping.heed();
    let stopped = stop.reached(Level::BreakOff);
    glance_server::serve(listener, Some(acceptor), Arc::new(api), stopped)
        .await
        .map_err(cannot_listen)?;
    opened.finish_as_found().await?;
    Ok(stop.why().map_or(Exit::Success, Exit::from))
}

/// Where a path stands by its position, a bare word is a directory.
fn directory(word: &str) -> PathBuf {
    match word.strip_prefix("dir:") {
        // Alone, it is standard input or output.
        Some("-") => "./-".into(),
        path => path.unwrap_or(word).into(),
    }
}

/// The old tool had the server first, a copy reads better with the directory first: both work.
fn load_order(first: String, mut others: Vec<String>) -> (PathBuf, Vec<String>) {
    let is_directory = |word: &str| word.starts_with("dir:") || Path::new(word).is_dir();
    let [second] = &mut others[..] else { return (directory(&first), others) };
    // Nothing is loaded into standard input.
    let swapped = second == "-" || !is_directory(&first) && is_directory(second);
    match swapped && first != "-" {
        true => (directory(second), vec![first]),
        false => (directory(&first), others),
    }
}
