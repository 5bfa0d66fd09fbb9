//! Every kind of fault at every step of a copy, over both TLS stacks, to one target and to several.
//! Each case ends with an exact replica, a named failure or a named quarantine. No wrong image is
//! ever reported as good, no unproven image is visible, no id is burned, and no run hangs.
//!
//! The table is printed (`-- --nocapture`) and written to `faults.md` in Cargo's directory for
//! tests.

mod case;
mod table;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use futures_util::stream::{self, StreamExt};

use case::{Ended, run};
use table::{Case, cases};

use crate::support::stack::Stack;

#[tokio::test(flavor = "multi_thread")]
async fn every_fault_at_every_step_ends_well() {
    let stacks: Vec<Arc<Stack>> = Stack::all();
    let runs = stacks.iter().flat_map(|stack| {
        cases().into_iter().map(|case| tokio::spawn(run(case, Arc::clone(stack))))
    });
    // Cases that wait for a timeout need no CPU, so many cases run concurrently.
    let mut ended: Vec<(Case, Ended)> =
        stream::iter(runs).buffer_unordered(AT_ONCE).map(Result::unwrap).collect().await;
    ended.sort_by_key(|(case, _)| case.to_string());
    let table = written(&ended);
    std::fs::write(Path::new(env!("CARGO_TARGET_TMPDIR")).join("faults.md"), &table).unwrap();
    println!("{table}");
    let complaints: Vec<String> = ended
        .iter()
        .flat_map(|(case, ended)| {
            ended.complaints.iter().map(move |what| format!("{case}: {what}"))
        })
        .collect();
    assert!(complaints.is_empty(), "{} complaints:\n{}", complaints.len(), complaints.join("\n"));
    assert!(ended.len() >= 200 * stacks.len(), "only {} cases", ended.len());
}

/// The table, and the number of cases by outcome.
fn written(ended: &[(Case, Ended)]) -> String {
    let mut text = "| case | ends | after mending | said |\n| --- | --- | --- | --- |\n".to_owned();
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for (case, ended) in ended {
        let (first, second) = (&ended.first, &ended.second);
        let _ = writeln!(text, "| {case} | {first} | {second} | {} |", ended.said);
        *counts.entry(first).or_default() += 1;
    }
    let _ = writeln!(text, "\n{} cases:", ended.len());
    for (end, count) in counts {
        let _ = writeln!(text, "- {count} × {end}");
    }
    text
}

/// Number of cases under way concurrently.
const AT_ONCE: usize = 64;
