//! The data path between two stores, and the target stores for image data.

use std::collections::BTreeSet;
use std::sync::Arc;

use glance_client::{COPY_IMAGE, GlanceStore};
use glance_core::TERMINAL;
use glance_core::store::ServerSideImport;
use replicator_engine::{DeliveryOptions, Fallback, ImportSource, Placement};

use crate::args::{self, Options, Via};
use crate::error::CliError;
use crate::resolve::endpoint::Opened;

/// Resolves the placement options for these two stores. Reads the stores and the import methods of
/// the target if the options need them. The default is to stream all data through this machine and
/// let the target choose the store.
pub(crate) async fn delivery(
    options: &Options,
    source: &Opened,
    target: &Opened,
) -> Result<Option<DeliveryOptions>, CliError> {
    let said = &options.placement;
    let placement = placement(said);
    if said.web_url.is_some() && said.via != Via::WebDownload {
        return Err(CliError::usage("--web-url has no effect without --via web-download"));
    }
    if said.via == Via::Stream && placement == Placement::default() {
        return Ok(None);
    }
    let Some(glance) = &target.glance else {
        return match said.via {
            Via::Auto if placement == Placement::default() => Ok(None),
            _ => Err(CliError::usage(
                "--via and the options for stores require a Glance as the target",
            )),
        };
    };
    check_stores(glance, &placement).await?;
    let methods = match said.via == Via::Stream && placement.also.is_empty() {
        true => BTreeSet::new(),
        false => import_methods(glance, said).await?,
    };
    if !placement.also.is_empty() {
        require_copy_image(glance, &methods)?;
    }
    Ok(Some(DeliveryOptions {
        target: Arc::clone(glance) as Arc<dyn ServerSideImport>,
        origin: origin(said, source, target, &methods).await?,
        fallback: match said.no_fallback {
            true => Fallback::Fail,
            false => Fallback::Stream,
        },
        placement,
    }))
}

/// Fails if the target cannot copy data to more of its stores.
fn require_copy_image(glance: &GlanceStore, methods: &BTreeSet<String>) -> Result<(), CliError> {
    if methods.contains(COPY_IMAGE) {
        return Ok(());
    }
    let what = format!("--also-store: {glance} does not offer the import method {COPY_IMAGE}");
    Err(CliError::usage(what).hint("ask its administrator to extend enabled_import_methods"))
}

/// The import methods of the target. If they are unknown and the data can be streamed through this
/// machine instead, logs a warning and returns none.
async fn import_methods(
    glance: &GlanceStore,
    said: &args::PlacementArgs,
) -> Result<BTreeSet<String>, CliError> {
    match glance.import_methods().await {
        Err(error) if said.also_store.is_empty() && !said.no_fallback => {
            tracing::warn!("cannot read the import methods of {glance}: {error}");
            Ok(BTreeSet::new())
        }
        methods => Ok(methods?),
    }
}

fn placement(said: &args::PlacementArgs) -> Placement {
    let rules = said.store_map.iter();
    Placement {
        store: said.store.clone(),
        by_source: rules.map(|rule| (rule.source.clone(), rule.target.clone())).collect(),
        also: said.also_store.clone(),
    }
}

/// Fails if the options name stores that the target does not have.
async fn check_stores(glance: &GlanceStore, placement: &Placement) -> Result<(), CliError> {
    let Placement { store, by_source, also } = placement;
    let named: BTreeSet<&String> = store.iter().chain(by_source.values()).chain(also).collect();
    if named.is_empty() {
        return Ok(());
    }
    let stores = glance.stores().await?;
    let Some(unknown) = named.into_iter().find(|name| !stores.contains(*name)) else {
        return Ok(());
    };
    let offered: Vec<&str> = stores.iter().map(String::as_str).collect();
    let hint = match offered[..] {
        [] => "leave the option out; this Glance has one store, without a name".to_owned(),
        _ => format!("choose one of its stores: {}", offered.join(", ")),
    };
    Err(CliError::usage(format!("{glance} has no store {unknown:?}")).hint(hint))
}

/// The origin from which the target downloads data; `None` if data is streamed. Logs the reason if
/// the target cannot download and streaming is allowed.
async fn origin(
    said: &args::PlacementArgs,
    source: &Opened,
    target: &Opened,
    methods: &BTreeSet<String>,
) -> Result<Option<ImportSource>, CliError> {
    let found = match (said.via, &said.web_url) {
        (Via::Stream, _) => return Ok(None),
        (Via::GlanceDownload | Via::Auto, _) => of_glance(said, source, target, methods).await,
        (Via::WebDownload, None) => {
            let what = "--via web-download requires --web-url, the URL of the data on a web server";
            return Err(CliError::usage(what)
                .hint("add a URL such as --web-url https://images.example/{id}.img"));
        }
        (Via::WebDownload, Some(template)) => {
            if template.is_plain() {
                tracing::warn!(
                    target: TERMINAL,
                    "--web-url is plain http: anyone on the network path can read the data; use https"
                );
            }
            offered("web-download", methods).map(|()| ImportSource::Web(template.clone()))
        }
    };
    match found {
        Ok(origin) => Ok(Some(origin)),
        Err(reason) if said.no_fallback => {
            Err(CliError::usage(format!("the target cannot import data: {reason}"))
                .hint("leave out --no-fallback to stream the data through this machine"))
        }
        Err(reason) => {
            tracing::warn!(
                "the data passes through this machine, because the target cannot import it: {reason}"
            );
            Ok(None)
        }
    }
}

/// The source as the target's workers can reach it, or the reason why they cannot.
async fn of_glance(
    said: &args::PlacementArgs,
    source: &Opened,
    target: &Opened,
    methods: &BTreeSet<String>,
) -> Result<ImportSource, String> {
    if source.glance.is_none() {
        return Err("the source is not a Glance".to_owned());
    }
    offered("glance-download", methods)?;
    let (Some(here), Some(there)) = (&source.projects, &target.projects) else {
        return Err("the tool does not know the Keystone of the source or the target".to_owned());
    };
    match here.are_those_of(there).await {
        Ok(true) => {}
        Ok(false) => return Err("the two sides use different Keystones".to_owned()),
        Err(error) => return Err(format!("cannot query a Keystone: {error}")),
    }
    let region = source.region.clone();
    let region = region.ok_or_else(|| "the region of the source is unknown".to_owned())?;
    let interface = said.import_interface.as_str().to_owned();
    Ok(ImportSource::Glance { region, interface })
}

fn offered(method: &str, methods: &BTreeSet<String>) -> Result<(), String> {
    match methods.contains(method) {
        true => Ok(()),
        false => Err(format!("the target does not offer the import method {method}")),
    }
}
