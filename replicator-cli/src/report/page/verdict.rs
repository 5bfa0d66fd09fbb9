//! The parts of the page that need no JavaScript: the verdict, the errors and the next command.

use std::fmt::Write;

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::envelope::{Envelope, Problem, Store};
use crate::output::{escaped, human_size, shell_line};

/// The title of the page.
pub(super) fn title(report: &Envelope) -> String {
    let meaning = report.exit_meaning.as_deref().unwrap_or("report");
    let stores: Vec<&str> = stores(report).map(|store| store.name.as_str()).collect();
    let subject = match stores.is_empty() {
        true => report.command().to_owned(),
        false => format!("{} {}", report.command(), stores.join(" → ")),
    };
    text(&format!("{subject}: {meaning}"))
}

/// The banner at the top: how the command ended, the stores, the time and the counts.
pub(super) fn banner(report: &Envelope) -> String {
    let tone = tone(report.exit_code);
    let meaning = report.exit_meaning.as_deref().map_or("Report".to_owned(), capitalized);
    let code =
        report.exit_code.map(|code| format!(" <span class=\"code\">exit code {code}</span>"));
    format!(
        "<header class=\"verdict {tone}\">\n<p class=\"tool muted\">{}</p>\n\
         <h1><span class=\"sign\" aria-hidden=\"true\">{}</span> {}{}</h1>\n{}{}{}{}</header>",
        text(&tool(report)),
        sign(tone),
        text(&meaning),
        code.unwrap_or_default(),
        route(report),
        time(report),
        typed(report),
        counts(report.summary.as_ref()),
    )
}

/// The errors of the run, outside of any image.
pub(super) fn problems(report: &Envelope) -> String {
    let problems = report.errors.as_deref().unwrap_or_default();
    if problems.is_empty() {
        return String::new();
    }
    let items: String = problems.iter().map(problem).collect();
    format!(
        "<section aria-labelledby=\"errors-title\"><h2 id=\"errors-title\">Errors</h2>\n\
         <ul class=\"problems\">{items}</ul></section>"
    )
}

/// The command to run next.
pub(super) fn next(report: &Envelope) -> String {
    let Some(command) = &report.next_command else { return String::new() };
    format!(
        "<section aria-labelledby=\"next-title\"><h2 id=\"next-title\">Next command</h2>\n\
         <div class=\"command\"><pre><code>{}</code></pre></div></section>",
        text(command)
    )
}

fn problem(problem: &Problem) -> String {
    let Problem { message, causes, hint, request_ids } = problem;
    let mut item = format!("<li>{}", text(message));
    for cause in causes {
        let _ = write!(item, "<br>caused by: {}", text(cause));
    }
    if !request_ids.is_empty() {
        let _ = write!(item, "<br>request ids: {}", text(&request_ids.join(", ")));
    }
    if let Some(hint) = hint {
        let _ = write!(item, "<span class=\"hint\">Hint: {}</span>", text(hint));
    }
    item + "</li>"
}

fn tool(report: &Envelope) -> String {
    let tool = report.tool.as_ref();
    let version = tool.and_then(|tool| tool.version.as_deref()).unwrap_or_default();
    let tls = tool.and_then(|tool| tool.tls.as_ref());
    let library = tls.and_then(|tls| tls.library.as_ref());
    let library = library.map(|library| format!(", TLS by {library}")).unwrap_or_default();
    let fips = tls.and_then(|tls| tls.fips).unwrap_or_default();
    let fips = if fips { " in FIPS mode" } else { "" };
    format!("glance-replicator {version} {}{library}{fips}", report.command())
}

/// The command line, what it selects, and the id to look for in the logs of the servers.
fn typed(report: &Envelope) -> String {
    let line = report.arguments.as_ref().filter(|arguments| !arguments.is_empty());
    let line = line.map(|arguments| format!("glance-replicator {}", shell_line(arguments)));
    let selection = report.selection.as_ref().filter(|selection| !selection.is_empty());
    let selection = selection.map(|selection| selection.join(", "));
    let facts = [
        ("Command", &line),
        ("Selection", &selection),
        ("Shard", &report.shard),
        ("Global request id", &report.global_request_id),
    ];
    let known = facts.into_iter().filter_map(|(title, fact)| Some((title, fact.as_ref()?)));
    let shown = known.map(|(title, fact)| {
        format!("<p class=\"muted\">{title}: <code>{}</code></p>\n", text(fact))
    });
    shown.collect()
}

/// From which store to which stores.
fn route(report: &Envelope) -> String {
    let stores: Vec<String> = stores(report).map(store).collect();
    match stores.split_first() {
        None => String::new(),
        Some((one, [])) => format!("<p>{one}</p>\n"),
        Some((source, targets)) => format!("<p>{source} → {}</p>\n", targets.join(", ")),
    }
}

fn stores(report: &Envelope) -> impl Iterator<Item = &Store> {
    report.source.iter().chain(report.targets())
}

fn store(store: &Store) -> String {
    let address = store.address.as_deref().filter(|address| *address != store.name);
    let address = address.map(|address| format!(" <span class=\"muted\">{}</span>", text(address)));
    format!("<b>{}</b>{}", text(&store.name), address.unwrap_or_default())
}

fn time(report: &Envelope) -> String {
    let started = report.started.as_deref().map(|at| {
        let shown = at.parse::<Timestamp>().map(|at| at.strftime("%F %T UTC").to_string());
        let shown = shown.unwrap_or_else(|_| at.to_owned());
        format!("<time datetime=\"{}\">{}</time>", text(at), text(&shown))
    });
    let took = report.seconds.map(|seconds| format!("took {}", duration(seconds)));
    let parts: Vec<String> = started.into_iter().chain(took).collect();
    match parts.is_empty() {
        true => String::new(),
        false => format!("<p>{}</p>\n", parts.join(", ")),
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "whole seconds")]
fn duration(seconds: f64) -> String {
    let whole = seconds.round() as u64;
    match whole {
        0..10 => format!("{seconds:.1} s"),
        10..60 => format!("{whole} s"),
        60..3600 => format!("{} min {} s", whole / 60, whole % 60),
        _ => format!("{} h {} min", whole / 3600, whole % 3600 / 60),
    }
}

/// The counts of the summary. `compare` counts states and `verify` verdicts, each in a field of its
/// own. Counts of 0 are left out, except that of failures.
fn counts(summary: Option<&Map<String, Value>>) -> String {
    let Some(summary) = summary else { return String::new() };
    let inner = ["states", "verdicts"].iter().find_map(|key| summary.get(*key)?.as_object());
    let counted = inner.unwrap_or(summary);
    let known = COUNTS.iter().map(|(key, tone)| (*key, *tone));
    let others = counted.keys().filter(|key| !COUNTS.iter().any(|(known, _)| known == key));
    let others = others.filter(|key| !NO_COUNTS.contains(&key.as_str()));
    let items: Vec<String> = known
        .chain(others.map(|key| (key.as_str(), "warn")))
        .filter_map(|(key, tone)| Some((key, tone, counted.get(key)?.as_u64()?)))
        .filter(|(key, _, count)| *count > 0 || *key == "failed")
        .map(|(key, tone, count)| {
            let tone = if count == 0 { "plain" } else { tone };
            let word = text(&key.replace('_', " "));
            format!("<li class=\"{tone}\"><b>{}</b> {word}</li>\n", grouped(count))
        })
        .collect();
    let mut items = items.concat();
    if let Some(bytes) = summary.get("bytes").and_then(Value::as_u64).filter(|bytes| *bytes > 0) {
        let _ = writeln!(items, "<li><b>{}</b> of data</li>", human_size(bytes));
    }
    match items.is_empty() {
        true => items,
        false => format!("<ul class=\"counts\" aria-label=\"Images by result\">\n{items}</ul>\n"),
    }
}

/// The number with a comma between each three digits.
fn grouped(number: u64) -> String {
    match number {
        0..1000 => number.to_string(),
        _ => format!("{},{:03}", grouped(number / 1000), number % 1000),
    }
}

fn tone(exit_code: Option<u8>) -> &'static str {
    match exit_code {
        None => "plain",
        Some(0) => "good",
        Some(1 | 9) => "warn",
        Some(_) => "bad",
    }
}

fn sign(tone: &str) -> &'static str {
    match tone {
        "good" => "✓",
        "warn" => "!",
        "bad" => "✗",
        _ => "",
    }
}

fn capitalized(words: &str) -> String {
    let mut rest = words.chars();
    rest.next().map(|first| first.to_uppercase().chain(rest).collect()).unwrap_or_default()
}

/// Text from the report as HTML. Control characters and invisible characters are escaped too.
fn text(raw: &str) -> String {
    let mut html = String::with_capacity(raw.len());
    for c in escaped(raw).chars() {
        match c {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            c => html.push(c),
        }
    }
    html
}

/// The counts in the order of their display, with the meaning of each.
const COUNTS: &[(&str, &str)] = &[
    ("failed", "bad"),
    ("blocked", "bad"),
    ("bad", "bad"),
    ("content", "bad"),
    ("copied", "good"),
    ("updated", "good"),
    ("in_place", "good"),
    ("same", "good"),
    ("verified", "good"),
    ("skipped", "plain"),
    ("removed", "plain"),
    ("no data", "plain"),
    ("not chosen", "plain"),
];

/// Numbers of a summary that do not count images.
const NO_COUNTS: &[&str] = &["bytes", "bytes_imported", "exit_code", "images", "compared", "read"];
