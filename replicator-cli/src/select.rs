//! What the options of a command select.

use std::collections::BTreeSet;
use std::io::Read;
use std::path::Path;
use std::str::FromStr;

use glance_core::image::ImageId;
use glance_core::select::{Condition, Latest, Rule, Selection};
use glance_core::{ImageStore, StoreError};

use crate::args;
use crate::error::CliError;

/// What is selected, as far as can be told before the source is asked.
#[derive(Debug, Clone, Default)]
pub(crate) struct Selected {
    pub(crate) selection: Selection,
    pub(crate) latest: Option<Latest>,
}

impl Selected {
    /// Reads the files that the options name.
    pub(crate) fn by(options: &args::Selection) -> Result<Self, CliError> {
        let mut wanted: Vec<Condition> = options.wanted().cloned().collect();
        if let Some(path) = &options.ids_from {
            wanted.push(Condition::Ids(ids(path)?));
        }
        let rules = match &options.filter_from {
            Some(path) => lines("--filter-from", path, Rule::from_str)?,
            None => Vec::new(),
        };
        let selection = Selection::new(wanted, options.unwanted().cloned(), rules);
        Ok(Self { selection, latest: options.latest_per.clone() })
    }

    /// Whether nothing is left out.
    pub(crate) fn is_everything(&self) -> bool {
        self.latest.is_none() && self.selection.is_everything()
    }

    /// The same, of what the source holds now.
    pub(crate) async fn at(&self, source: &dyn ImageStore) -> Result<Selection, StoreError> {
        match &self.latest {
            Some(latest) => latest.of(&self.selection, source).await,
            None => Ok(self.selection.clone()),
        }
    }
}

fn ids(path: &Path) -> Result<BTreeSet<ImageId>, CliError> {
    let first_word = |line: &str| line.split_whitespace().next().unwrap_or_default().parse();
    Ok(lines("--ids-from", path, first_word)?.into_iter().collect())
}

/// The lines of the file that an option names, without those that are empty or begin with `#`.
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
