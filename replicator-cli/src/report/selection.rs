//! The output of `--dump-filters`.

use glance_core::ImageId;
use glance_core::selection::Condition;
use serde_json::json;

use crate::output::JsonWriter;
use crate::resolve::selection::Selected;

/// Prints the selection and the queries that are sent to a Glance.
pub(crate) fn selection(selected: &Selected) {
    text(selected);
    let Selected { selection, latest, .. } = selected;
    let wanted: Vec<Vec<String>> = selection.wanted().iter().map(|same| texts(same)).collect();
    let ids = selection.ids().map(|ids| ids.iter().map(ImageId::as_str).collect::<Vec<_>>());
    let filters = json!({
        "ids": ids, "wanted": wanted, "unwanted": texts(selection.unwanted()),
        "rules": texts(selection.ordered()),
        "latest_per": latest.as_ref().map(ToString::to_string),
        "shard": selection.shard().map(|shard| shard.to_string()),
        "queries": glance_client::queries(selection).collect::<Vec<_>>(),
    });
    JsonWriter::to_results().field("filters", &filters);
}

fn text(selected: &Selected) {
    let Selected { selection, latest, .. } = selected;
    let ids = selection.ids().map(|ids| Condition::Ids(ids.clone()).to_string());
    let kinds = selection.wanted().iter().map(|same| texts(same).join(" or "));
    let wanted: Vec<String> = ids.into_iter().chain(kinds).collect();
    if wanted.is_empty() {
        out!("all images");
    }
    part("images that match all of", &wanted);
    part("and none of", &texts(selection.unwanted()));
    part(
        "rules in order; the first match decides; images that match no rule are selected",
        &texts(selection.ordered()),
    );
    if let Some(latest) = latest {
        part("of these, the newest of each", &[latest.to_string()]);
    }
    if let Some(shard) = selection.shard() {
        part("of these, one shard", &[format!("shard {shard}")]);
    }
    let queries: Vec<String> = glance_client::queries(selection).collect();
    let shown = queries.iter().take(SHOWN).map(|query| format!("GET /v2/images?{query}"));
    part(
        "queries to a Glance, page by page; the tool checks each result again",
        &shown.collect::<Vec<_>>(),
    );
    if queries.len() > SHOWN {
        out!("  and {} more", queries.len() - SHOWN);
    }
}

fn part(title: &str, lines: &[String]) {
    if !lines.is_empty() {
        out!("{title}");
        for line in lines {
            out!("  {line}");
        }
    }
}

fn texts<T: ToString>(parts: &[T]) -> Vec<String> {
    parts.iter().map(ToString::to_string).collect()
}

/// The maximum number of queries to print.
const SHOWN: usize = 4;
