//! `serve`: serves a directory with the Glance API.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use glance_server::GlanceApi;
use replicator_engine::CancelMode;
use secrecy::ExposeSecret;

use super::metadefs::namespaces;
use crate::args::{Options, Serve};
use crate::error::CliError;
use crate::exit::Exit;
use crate::input_file;
use crate::report;
use crate::report::Callers;
use crate::resolve::directories::DirectoryPlace;
use crate::resolve::endpoint::{Access, Endpoint, Opened, Side};
use crate::resolve::sign_in::read_token;
use crate::signals::SignalHandler;
use crate::tls;

/// Serves a directory until a signal arrives. Then finishes the directory, if clients have written
/// to it.
pub(super) async fn serve(
    typed: Serve,
    options: &Options,
    stopping: &SignalHandler,
) -> Result<Exit, CliError> {
    let callers = callers(&typed)?;
    let cert = input_file::read("--cert", &typed.cert)?;
    let key = input_file::read("--key", &typed.key)?;
    let acceptor = tls::acceptor(options.tls, &cert, &key)?;
    let opened = open(&typed, options).await?;
    let api = api(&typed, &opened).await?;
    let cannot_listen = |error: io::Error| {
        let hint = listen_hint(error.kind());
        CliError::usage(format!("cannot listen on {}", typed.listen)).caused_by(error).hint(hint)
    };
    let listener = tokio::net::TcpListener::bind(typed.listen).await.map_err(cannot_listen)?;
    let address = listener.local_addr().map_err(cannot_listen)?;
    report::serving(&typed.path, address, typed.writable, callers);
    let stop = stopping.take_over();
    let stopped = stop.reached(CancelMode::Abort);
    glance_server::serve(listener, Some(acceptor), Arc::new(api), stopped)
        .await
        .map_err(cannot_listen)?;
    opened.finish_as_found().await?;
    Ok(stop.why().map_or(Exit::Success, Exit::from))
}

/// What the operator can do if the server cannot listen.
fn listen_hint(kind: io::ErrorKind) -> &'static str {
    match kind {
        io::ErrorKind::AddrInUse => {
            "choose another port with --listen, or stop the program that listens on this one"
        }
        io::ErrorKind::AddrNotAvailable => "choose an address of this machine with --listen",
        io::ErrorKind::PermissionDenied => "choose a port above 1023 with --listen",
        _ => "choose another address with --listen",
    }
}

/// The accepted callers. Fails if other machines can reach the address and neither a token nor
/// `--open-to-everyone` is given.
fn callers(typed: &Serve) -> Result<Callers, CliError> {
    match (&typed.require_token_file, typed.open_to_everyone) {
        (Some(_), _) => Ok(Callers::WithToken),
        (None, _) if is_local(typed.listen) => Ok(Callers::OfThisMachine),
        (None, true) => Ok(Callers::Everyone),
        (None, false) => {
            let what =
                format!("other machines can reach {}, and no token is required", typed.listen);
            Err(CliError::usage(what).hint(
                "require a token with --require-token-file, or accept every caller with --open-to-everyone",
            ))
        }
    }
}

fn is_local(address: SocketAddr) -> bool {
    address.ip().to_canonical().is_loopback()
}

/// Opens the directory. A directory that is only read is not created, locked or changed.
async fn open(typed: &Serve, options: &Options) -> Result<Opened, CliError> {
    let directory = Endpoint::Directory(DirectoryPlace::of_operand(&typed.path));
    match typed.writable {
        true => directory.open_to(Access::Write, Side::Target, options).await,
        false => directory.open_to(Access::Read, Side::Source, options).await,
    }
}

async fn api(typed: &Serve, opened: &Opened) -> Result<GlanceApi, CliError> {
    let access = match typed.writable {
        true => glance_server::Access::ReadWrite,
        false => glance_server::Access::ReadOnly,
    };
    let metadefs = match &opened.in_directory {
        Some(store) => namespaces(store).await?,
        None => Vec::new(),
    };
    let api = GlanceApi::new(Arc::clone(&opened.store)).with_access(access).with_metadefs(metadefs);
    Ok(match &typed.require_token_file {
        Some(path) => api.with_token(read_token("--require-token-file", path)?.expose_secret()),
        None => api,
    })
}
