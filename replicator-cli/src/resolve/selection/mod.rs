//! The images that the options of a command select.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::Path;
use std::str::FromStr;

use futures_util::StreamExt;
use glance_core::image::{Image, ImageId};
use glance_core::selection::{Condition, Latest, Rule, Selection, Shard, instant};
use glance_core::store::listed_id;
use glance_core::units::plural;
use glance_core::{ImageStore, StoreError};
use jiff::Timestamp;

use crate::args;
use crate::error::CliError;
use crate::output;
use crate::resolve::endpoint::environment;
use crate::resolve::shard::shard;

mod named;

pub(crate) use named::{Similar, one_image, only_one, refuse_absent};

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
        let unwanted = options.exclude.iter().map(|excluded| excluded.condition.clone());
        let selection = Selection::new(wanted, unwanted, rules).in_shard(shard);
        Ok(Self { selection, latest: options.latest_per.clone(), command, shard, described })
    }

    /// Whether all images are selected.
    pub(crate) fn is_everything(&self) -> bool {
        self.latest.is_none() && self.selection.is_everything()
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
            "{store} has {all} image{s}, but none is selected: check the options with --dump-filters",
            s = plural(all)
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
    // The condition of `updated-within` contains such a time too; the typed text does not.
    let unwanted = options.exclude.iter().map(|excluded| format!("not {}", excluded.typed));
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
        CliError::usage(format!("cannot read {name} ({option})")).caused_by(error)
    })?;
    let numbered = text.lines().map(str::trim).enumerate();
    let meant = numbered.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    let parsed = meant.map(|(index, line)| {
        parse(line).map_err(|error| {
            CliError::usage(format!("cannot read line {} of {name} ({option})", index + 1))
                .caused_by(error)
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

/// Lists the images that `selection` admits in `store`, in any shard, and selects the newest of
/// each group of `latest`. Keeps the ids of the newest images in memory.
async fn newest(
    latest: &Latest,
    selection: &Selection,
    store: &dyn ImageStore,
) -> Result<Selection, StoreError> {
    let mut groups = Groups::default();
    let mut images = store.list(&selection.in_shard(None)).await?;
    let mut unreadable = BTreeSet::new();
    while let Some(item) = images.next().await {
        match item {
            Ok(image) => groups.take(image, latest),
            // The image may be one of the newest. The later listing by the selection reports the
            // error.
            Err(error) => match &error.record {
                Some(read) => drop(unreadable.insert(read.id.clone())),
                None => return Err(error),
            },
        }
    }
    let mut ids = groups.ids();
    ids.extend(unreadable);
    Ok(selection.among(ids))
}

/// The newest images of each group seen so far.
#[derive(Default)]
struct Groups(BTreeMap<String, BTreeSet<(Timestamp, ImageId)>>);

impl Groups {
    fn take(&mut self, image: Image, latest: &Latest) {
        let Some(group) = latest.group_of(&image) else { return };
        let created = image.created_at.as_deref().and_then(instant);
        let newest = self.0.entry(group).or_default();
        newest.insert((created.unwrap_or(Timestamp::MIN), image.id));
        if newest.len() > latest.count() {
            newest.pop_first();
        }
    }

    fn ids(self) -> BTreeSet<ImageId> {
        self.0.into_values().flatten().map(|(_, id)| id).collect()
    }
}

#[cfg(test)]
mod tests {
    use glance_core::image::{Attributes, Status};

    use super::*;

    /// The newest of these images, which are given by name, property `os` and day of creation.
    fn newest(key: &str, images: &[(&str, &str, u8)]) -> Vec<u8> {
        let latest: Latest = key.parse().unwrap();
        let mut groups = Groups::default();
        let mut days = BTreeMap::new();
        for (name, os, day) in images {
            let mut attributes =
                Attributes { name: Some((*name).to_owned()), ..Default::default() };
            if !os.is_empty() {
                attributes.properties.insert("os".to_owned(), (*os).to_owned());
            }
            let mut image = Image::queued(ImageId::random(), attributes);
            image.status = if *day > 20 { Status::Queued } else { Status::Active };
            image.created_at = Some(format!("2026-01-{day:02}T00:00:00Z"));
            days.insert(image.id.clone(), *day);
            groups.take(image, &latest);
        }
        let mut found: Vec<u8> = groups.ids().iter().map(|id| days[id]).collect();
        found.sort_unstable();
        found
    }

    /// The selection that reports record for these options.
    fn described(options: &[&str]) -> Vec<String> {
        let line = [&["glance-replicator", "size", "a"], options].concat();
        let args = crate::parse(line).unwrap();
        let (command, options) = args.command.selection().unwrap();
        Selected::by(command, options).unwrap().described
    }

    #[test]
    fn a_recorded_selection_has_all_values_except_present_times() {
        assert_eq!(
            described(&["--exclude", "updated-within=7d", "--exclude", "updated-after=2026-01-31"]),
            ["not updated-within=7d", "not updated-after=2026-01-31"]
        );
        assert_eq!(described(&["--exclude", "min-size=1k"]), ["not min-size=1k"]);
        assert_eq!(
            described(&["--updated-within", "7d", "--tag", "x"]),
            ["tag=x", "updated-within"]
        );
        assert_eq!(
            described(&["--updated-after", "2026-01-31"]),
            ["updated-after=2026-01-31T00:00:00Z"]
        );
    }

    #[test]
    fn the_newest_of_each_group_stay() {
        let images = [
            ("debian-12-20260101", "debian", 1),
            ("debian-12-20260107", "debian", 7),
            ("debian-13-20260103", "debian", 3),
            ("debian-13-20260103", "", 4),
            ("ubuntu-24-20260102", "ubuntu", 2),
            // An image without data.
            ("ubuntu-24-20260128", "ubuntu", 28),
        ];
        assert_eq!(newest("os", &images), [2, 7]);
        assert_eq!(newest("os=2", &images), [2, 3, 7]);
        assert_eq!(newest("name", &images), [1, 2, 4, 7]);
        assert_eq!(newest(r"/^([a-z]+-\d+)-\d{8}$/", &images), [2, 4, 7]);
        assert_eq!(newest("/^debian/=2", &images), [4, 7]);
        assert!(newest("unknown", &images).is_empty());
    }
}
