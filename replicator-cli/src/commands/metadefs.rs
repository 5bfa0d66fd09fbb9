//! Synchronization of metadata definitions: `metadefs`, and `--metadefs` of other commands.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use format_dump::DumpStore;
use glance_core::StoreError;
use glance_core::metadefs::{MetadefStore, Namespace, NamespaceDifference};
use glance_core::store::StoreErrorKind;
use glance_core::units::plural;
use replicator_engine::mapping::Mapping;
use replicator_engine::metadefs::{Mode, NamespaceOutcome, Rules, Surplus, Which, bring_in_step};

use super::both;
use crate::args::{self, Options};
use crate::error::CliError;
use crate::exit::Exit;
use crate::output;
use crate::report;
use crate::resolve::directories::{DirectoryFormat, DirectoryStore};
use crate::resolve::endpoint::{Access, Endpoint, Opened, Side};
use crate::resolve::mapping::mapping;

/// Runs `metadefs`.
pub(super) async fn metadefs(typed: args::Metadefs, options: &Options) -> Result<Exit, CliError> {
    let (from, to) = both(&typed.from, &typed.to, options)?;
    let mode = if typed.dry_run { Mode::DryRun } else { Mode::Write };
    let surplus = if typed.prune { Surplus::Prune } else { Surplus::Keep };
    let access = match (&to, mode) {
        (_, Mode::DryRun) => Access::DryRun,
        (Endpoint::Directory(_), Mode::Write) => Access::Write,
        (_, Mode::Write) => Access::Read,
    };
    let source = from.open(Side::Source, options).await?;
    output::opened_source(&source.address);
    let target = to.open_to(access, Side::Target, options).await?;
    source.refuse_same(&target)?;
    output::opened_target(0, &target.address);
    let mapping = mapping(options, &source, &target).await?;
    let which = typed.namespaces;
    let metadefs = Metadefs::new(&source, &target, which.clone(), surplus, mode).await?;
    if mode == Mode::Write && surplus == Surplus::Prune && output::is_asking(options.yes) {
        metadefs.confirm(&mapping).await?;
    }
    let mut report = report::Metadefs::new(mode);
    report.at(&output::only_target());
    let mut seen = BTreeSet::new();
    let ended = metadefs.run(&mapping, &mut report, |name| seen.extend([name])).await;
    let mut exit = report.finish();
    ended?;
    for name in which {
        if let Which::Named(name) = name {
            if !seen.contains(&name) {
                let error = CliError::usage(format!("neither side has a namespace {name}"));
                exit = exit.worse(output::failure(&error));
            }
        }
    }
    target.finish_as_found().await?;
    Ok(exit)
}

/// A synchronization of the metadata definitions of two stores.
pub(super) struct Metadefs {
    source: Arc<dyn MetadefStore>,
    target: Arc<dyn MetadefStore>,
    which: Vec<Which>,
    surplus: Surplus,
    mode: Mode,
}

impl Metadefs {
    pub(super) async fn new(
        source: &Opened,
        target: &Opened,
        which: Vec<Which>,
        surplus: Surplus,
        mode: Mode,
    ) -> Result<Self, CliError> {
        let (source, target) = (store(source).await?, store(target).await?);
        Ok(Self { source, target, which, surplus, mode })
    }

    /// Synchronizes the namespaces. Calls `seen` with the name of each namespace.
    pub(super) async fn run(
        &self,
        mapping: &Mapping,
        report: &mut report::Metadefs,
        mut seen: impl FnMut(String),
    ) -> Result<(), CliError> {
        let Self { source, target, which, surplus, mode } = self;
        let rules = Rules { which, mapping, surplus: *surplus, mode: *mode };
        let observe = |outcome| {
            report.outcome(&outcome);
            seen(outcome.name);
        };
        Ok(bring_in_step(&**source, &**target, &rules, observe).await?)
    }

    /// Asks the operator about the definitions that would be removed, if there are any.
    ///
    /// # Errors
    /// When the answer is no.
    async fn confirm(&self, mapping: &Mapping) -> Result<(), CliError> {
        let Self { source, target, which, .. } = self;
        let rules = Rules { which, mapping, surplus: Surplus::Keep, mode: Mode::DryRun };
        let (mut found, mut namespaces) = (0, 0);
        let observe = |outcome: NamespaceOutcome| {
            found += outcome.surplus.len();
            namespaces += usize::from(!outcome.surplus.is_empty());
        };
        bring_in_step(&**source, &**target, &rules, observe).await?;
        let question = format!(
            "Remove {found} definition{} in {namespaces} namespace{} from {target}?",
            plural(found),
            plural(namespaces)
        );
        match found == 0 || output::confirmed(&question).await {
            true => Ok(()),
            false => Err(CliError::differences("the answer was no; nothing was changed")
                .hint("leave out --prune to copy namespaces without removing definitions")),
        }
    }
}

async fn store(opened: &Opened) -> Result<Arc<dyn MetadefStore>, CliError> {
    if opened.directory.as_ref().is_some_and(|place| place.format == DirectoryFormat::Layout) {
        let what = "an OCI image layout holds no metadata definitions";
        return Err(CliError::usage(what).hint(
            "copy them with `metadefs` to or from a dump directory, or from cloud to cloud",
        ));
    }
    match (&opened.glance, &opened.in_directory) {
        (Some(glance), _) => Ok(Arc::<glance_client::GlanceStore>::clone(glance)),
        (None, Some(DirectoryStore::Dump(dump))) => Ok(Arc::new(Directory::read(dump).await?)),
        (None, _) if opened.directory.is_some() => {
            Ok(Arc::new(AbsentDirectory(opened.address.clone())))
        }
        (None, _) => Err(CliError::usage("metadata definitions cannot be copied through a stream")),
    }
}

/// The namespaces of a directory. An OCI image layout has none.
pub(super) async fn namespaces(store: &DirectoryStore) -> Result<Vec<Namespace>, StoreError> {
    match store {
        DirectoryStore::Dump(dump) => {
            Ok(Directory::read(dump).await?.namespaces.into_values().collect())
        }
        DirectoryStore::Layout(_) => Ok(Vec::new()),
    }
}

/// The namespaces of a dump, as they were when they were read.
#[derive(Debug)]
struct Directory {
    dump: Arc<DumpStore>,
    namespaces: BTreeMap<String, Namespace>,
}

impl Directory {
    async fn read(dump: &Arc<DumpStore>) -> Result<Self, StoreError> {
        let unreadable = || {
            let reason = "a file in metadefs is not a namespace";
            StoreError::new(StoreErrorKind::Unreadable, dump, "read the namespaces", reason)
        };
        let mut namespaces = BTreeMap::new();
        for written in dump.metadefs().await? {
            let namespace = Namespace::of(&written).ok_or_else(unreadable)?;
            namespaces.insert(namespace.name().to_owned(), namespace);
        }
        Ok(Self { dump: Arc::clone(dump), namespaces })
    }

    async fn write(&self, namespace: &Namespace) -> Result<(), StoreError> {
        self.dump.write_metadef(&namespace.to_json()).await
    }
}

impl fmt::Display for Directory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.dump, f)
    }
}

#[async_trait]
impl MetadefStore for Directory {
    async fn names(&self) -> Result<BTreeSet<String>, StoreError> {
        Ok(self.namespaces.keys().cloned().collect())
    }

    async fn namespace(&self, name: &str) -> Result<Option<Namespace>, StoreError> {
        Ok(self.namespaces.get(name).cloned())
    }

    async fn make(&self, wanted: &Namespace) -> Result<(), StoreError> {
        self.write(wanted).await
    }

    async fn change(
        &self,
        _found: &Namespace,
        wanted: &Namespace,
        _differences: &[NamespaceDifference],
    ) -> Result<(), StoreError> {
        self.write(wanted).await
    }
}

/// A directory that does not exist yet, as a dry run sees it: without namespaces.
#[derive(Debug)]
struct AbsentDirectory(String);

impl AbsentDirectory {
    fn refuse(&self) -> StoreError {
        let reason = "there is no such directory";
        StoreError::new(StoreErrorKind::NotFound, self, "write a namespace", reason)
    }
}

impl fmt::Display for AbsentDirectory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[async_trait]
impl MetadefStore for AbsentDirectory {
    async fn names(&self) -> Result<BTreeSet<String>, StoreError> {
        Ok(BTreeSet::new())
    }

    async fn namespace(&self, _name: &str) -> Result<Option<Namespace>, StoreError> {
        Ok(None)
    }

    async fn make(&self, _wanted: &Namespace) -> Result<(), StoreError> {
        Err(self.refuse())
    }

    async fn change(
        &self,
        _found: &Namespace,
        _wanted: &Namespace,
        _differences: &[NamespaceDifference],
    ) -> Result<(), StoreError> {
        Err(self.refuse())
    }
}
