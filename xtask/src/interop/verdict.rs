//! Decides whether `serve` behaves as expected.

use std::collections::BTreeSet;

use super::Outcomes;
use super::suites::Outcome;

/// The verdict on a run.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// Number of tests that passed on `serve` and on a real Glance.
    pub(crate) passed: usize,
    /// Number of listed tests that did not pass on `serve`, as expected.
    pub(crate) listed: usize,
    /// Deviations, one line each.
    pub(crate) reds: Vec<String>,
}

impl Verdict {
    /// Compares the outcomes with what passes on a real Glance, except the listed tests. It is an
    /// error to list a test that passes on `serve`, or that does not pass on a real Glance.
    pub(crate) fn of(found: &Outcomes, real: &[String], listed: &BTreeSet<String>) -> Self {
        let mut verdict = Self { passed: 0, listed: 0, reds: Vec::new() };
        for name in real {
            match (found.get(name), listed.contains(name)) {
                (Some(Outcome::Passed), false) => verdict.passed += 1,
                (Some(Outcome::Passed), true) => {
                    verdict.red(name, "passes, and docs/serve.md lists it");
                }
                (_, true) => verdict.listed += 1,
                (Some(Outcome::Other(why)), false) => verdict.red(name, last_lines(why)),
                (None, false) => verdict.red(name, "was not run"),
            }
        }
        for name in listed.iter().filter(|name| !real.contains(name)) {
            verdict.red(name, "is listed in docs/serve.md, but no real Glance passes it");
        }
        verdict
    }

    fn red(&mut self, name: &str, why: impl AsRef<str>) {
        self.reds.push(format!("{name}: {}", why.as_ref()));
    }
}

/// The end of a traceback, which names the error.
fn last_lines(why: &str) -> String {
    let lines: Vec<&str> = why.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(5)..].join(" | ")
}

/// The tests and verbs that a document lists: the text between backticks in the list items below
/// [`HEADING`].
pub(crate) fn listed(document: &str) -> BTreeSet<String> {
    let section = document.split("\n## ").find(|section| section.starts_with(HEADING));
    let items = section.into_iter().flat_map(str::lines).filter(|line| line.starts_with("- "));
    let words = items.flat_map(|item| item.split('`').skip(1).step_by(2));
    words.map(str::to_owned).collect()
}

const HEADING: &str = "What it leaves out";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_that_of_one_section() {
        let document = "# serve\n- `no`\n## What it leaves out\n`no`\n- `one`, `two`\n### More\n\
                        - `glance three`\n## Limits\n- `no`\n";
        let found: Vec<String> = listed(document).into_iter().collect();
        assert_eq!(found, ["glance three", "one", "two"]);
    }

    #[test]
    fn only_what_is_expected_is_green() {
        let real = ["good", "bad", "gone", "listed", "stale"].map(str::to_owned);
        let found = [
            ("good", Outcome::Passed),
            ("bad", Outcome::Other("a\n\nb".into())),
            ("listed", Outcome::Other(String::new())),
            ("stale", Outcome::Passed),
            ("better", Outcome::Passed),
        ];
        let found = found.map(|(name, outcome)| (name.to_owned(), outcome)).into();
        let listed = ["listed", "stale", "other"].map(str::to_owned).into();
        let verdict = Verdict::of(&found, &real, &listed);
        assert_eq!((verdict.passed, verdict.listed), (1, 1));
        assert_eq!(
            verdict.reds,
            [
                "bad: a | b",
                "gone: was not run",
                "stale: passes, and docs/serve.md lists it",
                "other: is listed in docs/serve.md, but no real Glance passes it",
            ]
        );
    }
}
