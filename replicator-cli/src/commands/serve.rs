//! `serve`: a directory as a Glance.

use std::path::Path;
use std::sync::Arc;

use secrecy::ExposeSecret;

use crate::args::{Options, Serve};
use crate::endpoint::{Endpoint, Side};
use crate::error::CliError;
use crate::exit::Exit;
use crate::sign_in::read_token;
use crate::{print, tls};

/// Serves a directory until a signal ends the process.
pub(super) async fn serve(serve: Serve, options: &Options) -> Result<Exit, CliError> {
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
