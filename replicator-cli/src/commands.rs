//! The commands: open the stores, let glance-core work, hand what happened to `print`.

use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use format_dump::DumpStore;
use futures_util::StreamExt;
use glance_core::Selection;
use glance_core::identity::Session;
use glance_core::replicate::{ContentCheck, Entry, Pace, Policy, Prune, Replication, State};
use secrecy::ExposeSecret;
use tokio::signal::unix::{SignalKind, signal};

use crate::args::{self, Args, Command, Compare, Match, Options, Plan, Removing, Serve, Sync};
use crate::endpoint::{Access, Endpoint, Side};
use crate::error::CliError;
use crate::exit::Exit;
use crate::mapping::mapping;
use crate::print::{Combined, Subject};
use crate::sign_in::read_token;
use crate::{endurance, print, saved_plan, tls};

/// Runs a command to its end, or to the first signal.
pub(crate) async fn run(args: Args) -> Exit {
    let Args { command, options, logging: _ } = args;
    let work = async {
        if options.require_fips {
            tls::require_fips(options.tls)?;
        }
        match command {
            Command::Size { server } => size(&server, &options).await,
            Command::Dump { server, path } => dump(&server, &directory(&path), &options).await,
            Command::Load { from, to } => {
                let (path, server) = load_order(from, to);
                let target = Endpoint::parse(&server, Side::Target, &options)?;
                replicate(Endpoint::Directory(path), target, &options).await
            }
            Command::Livecopy { from, to } => {
                let (from, to) = both(&from, &to, &options)?;
                replicate(from, to, &options).await
            }
            Command::Compare(typed) => compare(typed, &options).await,
            Command::Plan(typed) => plan(typed, &options).await,
            Command::Sync(typed) => sync(typed, &options).await,
            Command::Clouds => crate::clouds::run(&options),
            Command::Doctor(doctor) => crate::doctor::run(doctor, &options).await,
            Command::Serve(serve) => self::serve(serve, &options).await,
        }
    };
    tokio::select! {
        result = work => result.unwrap_or_else(|error| print::failure(&error)),
        exit = stopped() => {
            print::stopped(exit);
            exit
        }
    }
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

async fn size(server: &str, options: &Options) -> Result<Exit, CliError> {
    let store =
        Endpoint::parse(server, Side::Source, options)?.open(Side::Source, options).await?.store;
    let (mut images, mut bytes) = (0_u64, 0_u64);
    let mut listing = store.list(&Selection::everything()).await?;
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

async fn dump(server: &str, path: &Path, options: &Options) -> Result<Exit, CliError> {
    let from = Endpoint::parse(server, Side::Source, options)?;
    let to = Endpoint::Directory(path.to_owned());
    let exit = replicate(from, to, options).await?;
    if exit == Exit::Success {
        DumpStore::open(path)?.finish().await?;
    }
    Ok(exit)
}

async fn replicate(from: Endpoint, to: Endpoint, options: &Options) -> Result<Exit, CliError> {
    let work = Work::open(from, to, Access::Write, options).await?;
    work.run(options).await
}

/// What two opened stores are to do with each other.
struct Work {
    sessions: [(Side, Option<Arc<Session>>); 2],
    /// The source, as replicas are marked with it.
    origin: String,
    replication: Replication,
}

impl Work {
    async fn open(
        from: Endpoint,
        to: Endpoint,
        access: Access,
        options: &Options,
    ) -> Result<Self, CliError> {
        // A directory holds whatever the source holds.
        let content = match (options.content_check, &to) {
            (args::ContentCheck::Auto, Endpoint::Cloud(_) | Endpoint::Url(_)) => {
                ContentCheck::Glance
            }
            _ => ContentCheck::Off,
        };
        let source = from.open(Side::Source, options).await?;
        let target = to.open_to(access, Side::Target, options).await?;
        let mapping = mapping(options, &source, &target).await?;
        let policy = Policy { content, mapping, ..policy(options)? };
        Ok(Self {
            sessions: [(Side::Source, source.session), (Side::Target, target.session)],
            origin: source.address,
            replication: Replication { source: source.store, target: target.store, policy },
        })
    }

    /// The same, with what `sync` and `plan` remove.
    fn removing(mut self, typed: &Removing, selected: Match) -> Result<Self, CliError> {
        let how = typed.delete.removal();
        if how.is_some() && selected != Match::Id {
            let what = "--delete needs replicas that are found by their ids";
            return Err(CliError::usage(what).hint("leave out --match"));
        }
        let policy = &mut self.replication.policy;
        policy.stamp = (!typed.no_stamp).then_some(self.origin.clone());
        policy.prune =
            how.map(|how| Prune { how, most: typed.max_delete, unprotect: typed.unprotect });
        Ok(self)
    }

    async fn run(self, options: &Options) -> Result<Exit, CliError> {
        for (side, session) in &self.sessions {
            let session = session.as_deref();
            endurance::check(*side, session, &self.replication, options.bwlimit).await?;
        }
        let mut report = print::Report::new(options.output);
        let ended = self.replication.run(|outcome| report.outcome(&outcome)).await;
        let exit = report.finish();
        match ended {
            Ok(()) => Ok(exit),
            Err(error) => Ok(exit.worse(print::failure(&error.into()))),
        }
    }
}

async fn compare(typed: Compare, options: &Options) -> Result<Exit, CliError> {
    let (from, to) = both(&typed.from, &typed.to, options)?;
    let work = Work::open(from, to, Access::Read, options).await?;
    let combined = match typed.combined.as_deref() {
        None => Combined::Off,
        Some(path) if path == Path::new("-") => Combined::Output,
        Some(path) => Combined::File(BufWriter::new(
            File::create(path).map_err(|error| cannot_write(path, error))?,
        )),
    };
    let mut report = print::Comparison::new(options.output, Subject::States, combined);
    let observe = |entry: Entry| {
        if !(typed.one_way && entry.state == State::Extra) {
            report.entry(&entry);
        }
    };
    work.replication.plan(observe).await?;
    let path = typed.combined.unwrap_or_default();
    report.finish().map_err(|error| cannot_write(&path, error))
}

async fn plan(typed: Plan, options: &Options) -> Result<Exit, CliError> {
    let (from, to) = both(&typed.sides.from, &typed.sides.to, options)?;
    let work = Work::open(from, to, Access::Read, options).await?;
    let work = work.removing(&typed.removal, options.identity.match_by)?;
    let mut saved = typed.out.as_deref().map(saved_plan::Writer::create).transpose()?;
    let mut report = print::Comparison::new(options.output, Subject::Actions, Combined::Off);
    let observe = |entry: Entry| {
        report.entry(&entry);
        if let Some(saved) = &mut saved {
            saved.entry(&entry);
        }
    };
    work.replication.plan(observe).await?;
    if let Some(saved) = saved {
        saved.finish()?;
    }
    report.finish().map_err(|error| cannot_write(Path::new(""), error))
}

async fn sync(typed: Sync, options: &Options) -> Result<Exit, CliError> {
    let (from, to) = both(&typed.sides.from, &typed.sides.to, options)?;
    let work = Work::open(from, to, Access::Write, options).await?;
    let work = work.removing(&typed.removal, options.identity.match_by)?;
    if let Some(path) = &typed.plan {
        let mut planned = saved_plan::Checker::open(path)?;
        work.replication.plan(|entry| planned.entry(&entry)).await?;
        planned.finish()?;
    }
    work.run(options).await
}

fn cannot_write(path: &Path, error: std::io::Error) -> CliError {
    CliError::usage(format!("cannot write {}", path.display())).caused_by(error)
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

fn policy(options: &Options) -> Result<Policy, CliError> {
    Ok(Policy {
        queued: options.identity.queued,
        match_by: options.identity.match_by.into(),
        on_burned_id: options.identity.on_burned_id.into(),
        metadata_only: options.metaonly,
        transfers: options.transfers.get(),
        hashers: tls::hashers(options.tls)?,
        pace: options.bwlimit.map(Pace::new),
        ..Policy::default()
    })
}

/// Where a path stands by its position, a bare word is a directory.
fn directory(word: &str) -> PathBuf {
    PathBuf::from(word.strip_prefix("dir:").unwrap_or(word))
}

/// The old tool had the server first, a copy reads better with the directory first: both work.
fn load_order(first: String, second: String) -> (PathBuf, String) {
    let is_directory = |word: &str| word.starts_with("dir:") || Path::new(word).is_dir();
    match !is_directory(&first) && is_directory(&second) {
        true => (directory(&second), first),
        false => (directory(&first), second),
    }
}
