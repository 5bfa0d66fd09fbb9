//! The commands: open the stores, let glance-core work, hand what happened to `print`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::StreamExt;
use secrecy::ExposeSecret;
use tokio::signal::unix::{SignalKind, signal};

use crate::args::{Args, Command, Options, Reports, Serve};
use crate::endpoint::{Endpoint, Side};
use crate::error::CliError;
use crate::exit::Exit;
use crate::select::Selected;
use crate::sign_in::read_token;
use crate::{print, tls};

mod dump;
mod metadefs;
mod replicate;
mod report;
mod verify;

use dump::{Dump, dump, load};
use metadefs::metadefs;
use replicate::{compare, plan, replicate, sync};
use verify::verify;

/// Runs a command to its end, or to the first signal.
pub(crate) async fn run(args: Args) -> Exit {
    let Args { command, mut options, logging: _ } = args;
    if matches!(command, Command::Doctor(_)) {
        // It says what it finds, not what it finds at the eleventh attempt.
        options.limits.low_level_retries.get_or_insert(0);
    }
    let work = async {
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
            Command::Dump { server, path, compress, metadefs, .. } => {
                let typed = Dump { compress, metadefs: metadefs.which() };
                dump(&server, &directory(&path), typed, selected, &options).await
            }
            Command::Load { from, to, metadefs, .. } => {
                let (path, server) = load_order(from, to);
                load(path, &server, metadefs.which(), selected, &options).await
            }
            Command::Livecopy { from, to, metadefs, .. } => {
                let (from, to) = both(&from, &to, &options)?;
                replicate(from, to, metadefs.which(), selected, &options).await
            }
            Command::Compare(typed) => compare(typed, selected, &options).await,
            Command::Plan(typed) => plan(typed, selected, &options).await,
            Command::Sync(typed) => sync(typed, selected, &options).await,
            Command::Metadefs(typed) => metadefs(typed, &options).await,
            Command::Verify(typed) => verify(typed, selected, &options).await,
            Command::Report(Reports::Merge { parts }) => report::merge(&parts, options.output),
            Command::Clouds => crate::clouds::run(&options),
            Command::Doctor(doctor) => crate::doctor::run(doctor, &options).await,
            Command::Serve(serve) => self::serve(serve, &options).await,
        }
    };
    let exit = tokio::select! {
        result = work => result.unwrap_or_else(|error| print::failure(&error)),
        exit = stopped() => {
            print::stopped(exit);
            exit
        }
    };
    print::end_report(exit)
}

/// The first signal that asks this process to stop.
async fn stopped() -> Exit {
    let terminated = async {
        match signal(SignalKind::terminate()) {
            Ok(mut signals) => signals.recv().await,
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => Exit::Interrupted,
        _ = terminated => Exit::Terminated,
    }
}

/// The two sides that two words name.
fn both(from: &str, to: &str, options: &Options) -> Result<(Endpoint, Endpoint), CliError> {
    let source = Endpoint::parse(from, Side::Source, options)?;
    Ok((source, Endpoint::parse(to, Side::Target, options)?))
}

async fn size(server: &str, selected: &Selected, options: &Options) -> Result<Exit, CliError> {
    let store =
        Endpoint::parse(server, Side::Source, options)?.open(Side::Source, options).await?.store;
    let (mut images, mut bytes) = (0_u64, 0_u64);
    let mut listing = store.list(&selected.at(&*store).await?).await?;
    while let Some(image) = listing.next().await {
        let image = image?;
        if image.status.has_data() {
            images += 1;
            bytes += image.size.unwrap_or(0);
        }
    }
    print::size(options.output, images, bytes);
    Ok(Exit::Success)
}

async fn serve(serve: Serve, options: &Options) -> Result<Exit, CliError> {
    let read = |path: &Path| {
        std::fs::read(path).map_err(|error| {
            CliError::usage(format!("cannot read {}", path.display())).caused_by(error)
        })
    };
    let acceptor = tls::acceptor(options.tls, &read(&serve.cert)?, &read(&serve.key)?)?;
    let opened = Endpoint::Directory(serve.path.clone()).open(Side::Target, options).await?;
    let mut api = glance_server::GlanceApi::new(opened.store);
    if let Some(path) = &serve.require_token_file {
        api = api.with_token(read_token(path)?.expose_secret());
    }
    let cannot_listen = |error: std::io::Error| {
        CliError::usage(format!("cannot listen on {}", serve.listen)).caused_by(error)
    };
    let listener = tokio::net::TcpListener::bind(serve.listen).await.map_err(cannot_listen)?;
    print::serving(&serve.path, listener.local_addr().map_err(cannot_listen)?);
    // Signals end the process from outside; there is nothing to wait for here.
    let forever = std::future::pending();
    glance_server::serve(listener, Some(acceptor), Arc::new(api), forever)
        .await
        .map_err(cannot_listen)?;
    Ok(Exit::Success)
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
fn load_order(first: String, second: String) -> (PathBuf, String) {
    let is_directory = |word: &str| word.starts_with("dir:") || Path::new(word).is_dir();
    // Nothing is loaded into standard input.
    let swapped = second == "-" || !is_directory(&first) && is_directory(&second);
    match swapped && first != "-" {
        true => (directory(&second), first),
        false => (directory(&first), second),
    }
}
