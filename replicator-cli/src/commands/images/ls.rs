//! `ls`: lists the images of a store.

use std::collections::BTreeSet;

use futures_util::StreamExt;

use crate::args::{Column, FIELDS, Ls};
use crate::commands::{Context, one};
use crate::error::CliError;
use crate::exit::Exit;
use crate::output;
use crate::report::ImageList;
use crate::resolve::endpoint::Side;
use crate::resolve::selection::{Similar, warn_of_no_image};

/// Runs `ls`. Memory holds the shown fields of all images, because the list is sorted.
pub(in crate::commands) async fn ls(typed: Ls, context: Context<'_>) -> Result<Exit, CliError> {
    let Context { selected, options, .. } = context;
    if typed.columns.iter().chain([&typed.sort.column]).any(Column::is_help) {
        let fields = FIELDS.join(", ");
        output::bare_line(&format!(
            "columns: the properties of the images, and the fields {fields}"
        ));
        return Ok(Exit::Success);
    }
    let opened = one(&typed.server, options)?.open(Side::Source, options).await?;
    output::opened_source(&opened.address);
    let store = opened.store;
    let selection = selected.at(&*store).await?;
    let selection = selected.require_named(selection, &[&*store]).await?;
    let mut list = ImageList::new(&typed.columns, &typed.sort);
    let mut known = BTreeSet::new();
    let (mut found, mut exit) = (0_u64, Exit::Success);
    let mut listing = store.list(&selection).await?;
    while let Some(item) = listing.next().await {
        found += 1;
        match item {
            Ok(image) => {
                known.extend(image.attributes.properties.keys().cloned());
                list.push(&image);
            }
            // A record that cannot be read is reported and not listed.
            Err(error) if error.record.is_some() => {
                exit = exit.worse(Exit::SomeFailed);
                output::failure(&error.into());
            }
            Err(error) => return Err(error.into()),
        }
    }
    match found {
        0 => warn_of_no_image(&*store, &selection).await?,
        _ => warn_of_unknown(&typed, &known),
    }
    list.print();
    Ok(exit)
}

/// Warns of columns that no image has: a name may be misspelled.
fn warn_of_unknown(typed: &Ls, known: &BTreeSet<String>) {
    let named = typed.columns.iter().chain([&typed.sort.column]).map(Column::name);
    for name in named.filter(|name| !FIELDS.contains(name) && !known.contains(*name)) {
        let mut similar = Similar::to(name);
        for other in FIELDS.iter().copied().chain(known.iter().map(String::as_str)) {
            similar.offer(other);
        }
        let remedy = match &similar.quoted()[..] {
            [] => format!("the fields are {}", FIELDS.join(", ")),
            best => format!("did you mean {}?", best.join(" or ")),
        };
        output::warning(&format!("no listed image has a field or property {name:?}: {remedy}"));
    }
}
