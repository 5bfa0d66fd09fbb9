//! The images that the options of a command select.

use std::collections::BTreeSet;
use std::io::Read;
use std::path::Path;
use std::str::FromStr;

use futures_util::StreamExt;
use glance_core::image::ImageId;
use glance_core::sampling::newest;
use glance_core::selection::{Condition, Latest, Rule, Selection, Shard};
use glance_core::store::listed_id;
use glance_core::{ImageStore, StoreError};

use crate::args;
use crate::error::CliError;
use crate::output;
use crate::resolve::endpoint::environment;
use crate::resolve::shard::shard;

/// The selection, before the source is listed.
#[derive(Debug, Clone, Default)]
pub(crate) struct Selected {
    pub(crate) selection: Selection,
    pub(crate) latest: Option<Latest>,
    /// The name of the command.
    pub(crate) command: &'static str,
    /// The shard of the images that this process handles.
    pub(crate) shard: Option<Shard>,
    /// The selection options without the shard. They are equal in all shards of a run.
    pub(crate) described: Vec<String>,
}

impl Selected {
    /// Resolves the options and reads the files that they name.
    pub(crate) fn by(
        command: &'static str,
        options: &args::SelectionArgs,
    ) -> Result<Self, CliError> {
        let mut wanted: Vec<Condition> = options.wanted().cloned().collect();
        if let Some(path) = &options.ids_from {
            wanted.push(Condition::Ids(ids(path)?));
        }
        let shard = options.shard.map(|typed| shard(typed, environment)).transpose()?;
        let rules = match &options.filter_from {
            Some(path) => lines("--filter-from", path, Rule::from_str)?,
            None => Vec::new(),
        };
        let described = described(options, &wanted, &rules);
        let selection =
            Selection::new(wanted, options.exclude.iter().cloned(), rules).in_shard(shard);
        Ok(Self { selection, latest: options.latest_per.clone(), command, shard, described })
    }

    /// Whether all images are selected.
    pub(crate) fn is_everything(&self) -> bool {
        self.latest.is_none() && self.selection.is_everything()
    }

    /// Fails unless each selected id is the id of an image in at least one of these stores. Lists
    /// each store at most once.
    ///
    /// # Errors
    /// Names every missing id.
    pub(crate) async fn require_ids(&self, stores: &[&dyn ImageStore]) -> Result<(), CliError> {
        let ids = self.selection.ids().into_iter().flatten();
        let mut absent: BTreeSet<ImageId> =
            ids.filter(|id| self.selection.admits_id(id)).cloned().collect();
        for store in stores {
            if absent.is_empty() {
                break;
            }
            let mut listing = store.list(&Selection::of_ids(absent.clone())).await?;
            while let Some(item) = listing.next().await {
                match listed_id(&item) {
                    Some(id) => absent.remove(id),
                    None => item.map(|_| false)?,
                };
            }
        }
        let names: Vec<String> = stores.iter().map(ToString::to_string).collect();
        refuse_absent(&absent, &names.join(" nor in "))
    }

    /// Whether the command also selects images of the target.
    pub(crate) fn is_of_both_sides(&self) -> bool {
        ["compare", "plan", "sync", "verify"].contains(&self.command)
    }

    /// The selection for the present images of the source, with `--latest-per` applied.
    pub(crate) async fn at(&self, source: &dyn ImageStore) -> Result<Selection, StoreError> {
        match &self.latest {
            Some(latest) => newest(latest, &self.selection, source).await,
            None => Ok(self.selection.clone()),
        }
    }
}

/// Fails if a store lacks images with these ids.
pub(crate) fn refuse_absent(absent: &BTreeSet<ImageId>, store: &str) -> Result<(), CliError> {
    let ids: Vec<&str> = absent.iter().map(ImageId::as_str).collect();
    let what = match ids.as_slice() {
        [] => return Ok(()),
        [id] => format!("no image has the id {id} in {store}"),
        [first, ..] => format!("{} ids have no image in {store}, the first is {first}", ids.len()),
    };
    Err(CliError::usage(what)
        .hint("check --id and --ids-from, and whether the sign-in sees the image"))
}

/// Warns that a command selects no image: a name may be misspelled, or the sign-in may be for
/// another project.
///
/// # Errors
/// When the store cannot be listed.
pub(crate) async fn warn_of_no_image(
    store: &dyn ImageStore,
    selection: &Selection,
) -> Result<(), StoreError> {
    // All selected images may be in other shards.
    let others = selection.shard().is_some() && count(store, &selection.in_shard(None)).await? > 0;
    if others {
        return Ok(());
    }
    let all = count(store, &Selection::everything()).await?;
    warn_of_none_among(all, &store.to_string());
    Ok(())
}

/// Warns that none of the `all` images of a store is selected.
pub(crate) fn warn_of_none_among(all: u64, store: &str) {
    output::warning(&match all {
        0 => format!("{store} shows no images: check the project and region of the sign-in"),
        all => format!(
            "none of the {all} images of {store} is selected: check the options with --dump-filters"
        ),
    });
}

async fn count(store: &dyn ImageStore, selection: &Selection) -> Result<u64, StoreError> {
    let (mut listing, mut count) = (store.list(selection).await?, 0);
    while let Some(item) = listing.next().await {
        match listed_id(&item) {
            Some(_) => count += 1,
            None => drop(item?),
        }
    }
    Ok(count)
}

/// The selection options in the form that is equal in every process of a run: without the time that
/// `--updated-within` resolves to.
fn described(options: &args::SelectionArgs, wanted: &[Condition], rules: &[Rule]) -> Vec<String> {
    let is_moment = |condition: &&Condition| {
        options.updated_within.is_some() && matches!(condition, Condition::UpdatedAfter(_))
    };
    let fixed = wanted.iter().filter(|it| !is_moment(it)).map(ToString::to_string);
    let within = options.updated_within.iter().map(|_| "updated-within".to_owned());
    // An exclusion by age is such a time too.
    let unwanted = options.exclude.iter().map(|condition| match condition {
        Condition::UpdatedAfter(_) => "not updated-after".to_owned(),
        condition => format!("not {condition}"),
    });
    let rules = (!rules.is_empty()).then(|| format!("{} rules", rules.len()));
    let latest = options.latest_per.iter().map(|latest| format!("latest-per {latest}"));
    fixed.chain(within).chain(unwanted).chain(rules).chain(latest).collect()
}

fn ids(path: &Path) -> Result<BTreeSet<ImageId>, CliError> {
    let first_word = |line: &str| line.split_whitespace().next().unwrap_or_default().parse();
    Ok(lines("--ids-from", path, first_word)?.into_iter().collect())
}

/// Parses the lines of the file that an option names. Empty lines and lines that begin with `#` are
/// ignored.
fn lines<T, E: Into<Box<dyn std::error::Error + Send + Sync>>>(
    option: &str,
    path: &Path,
    parse: impl Fn(&str) -> Result<T, E>,
) -> Result<Vec<T>, CliError> {
    let name = path.display();
    let text = read(path).map_err(|error| {
        CliError::usage(format!("cannot read {name}, which {option} names")).caused_by(error)
    })?;
    let numbered = text.lines().map(str::trim).enumerate();
    let meant = numbered.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    let parsed = meant.map(|(index, line)| {
        parse(line).map_err(|error| {
            CliError::usage(format!("{option}: line {} of {name}", index + 1)).caused_by(error)
        })
    });
    parsed.collect()
}

fn read(path: &Path) -> std::io::Result<String> {
    if path != Path::new("-") {
        return std::fs::read_to_string(path);
    }
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text)?;
    Ok(text)
}
