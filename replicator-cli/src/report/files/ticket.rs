//! The report as Markdown, to be pasted into a ticket: what ran, how it ended, what failed, and the
//! next command.

use std::io::{self, Write};

use serde_json::Value;

use super::Document;
use super::case::{Case, CaseVerdict, LISTS, text, texts};
use super::document::Outline;
use crate::output::human_size;

/// Writes the report.
pub(super) fn write(document: &Document<'_>, file: &mut impl Write) -> io::Result<()> {
    let outline = document.outline()?;
    let value = |key: &str| outline.get(key).map_or(Value::Null, |field| field.value().clone());
    let said = |key: &str| text(&value(key)).unwrap_or_default();
    let targets = value("targets").as_array().cloned().unwrap_or_default();
    let stores = [value("source")].into_iter().chain(targets).filter_map(|it| text(&it["name"]));
    let stores = stores.collect::<Vec<_>>().join(" → ");
    writeln!(file, "# {}", markdown(format!("{} {stores}", said("command")).trim()))?;
    let (code, meaning) = (value("exit_code"), said("exit_meaning"));
    writeln!(file, "\n**{}** (exit code {code})\n", capitalized(&meaning))?;
    facts(&outline, file)?;
    if let Some(summary) = outline.get("summary") {
        let mut numbers = Vec::new();
        collect(summary, None, &mut numbers);
        writeln!(file, "\n{}", numbers.join(", "))?;
    }
    errors(&value("errors"), file)?;
    cases(document, file)?;
    if let Some(next) = text(&value("next_command")) {
        writeln!(file, "\n## Next command\n\n```\n{next}\n```")?;
    }
    Ok(())
}

/// The table of the run.
fn facts(outline: &Outline, file: &mut impl Write) -> io::Result<()> {
    let value = |key: &str| outline.get(key).map_or(Value::Null, |field| field.value().clone());
    let store = |store: &Value| match (text(&store["name"]), text(&store["address"])) {
        (Some(name), Some(address)) if name != address => Some(format!("{name} ({address})")),
        (name, _) => name,
    };
    let targets = value("targets").as_array().cloned().unwrap_or_default();
    let targets: Vec<String> = targets.iter().filter_map(store).collect();
    let tool = value("tool");
    let versions = [text(&tool["version"]), text(&tool["tls"]["library"])];
    let versions: Vec<String> = versions.into_iter().flatten().collect();
    let seconds = value("seconds").as_f64().unwrap_or_default();
    writeln!(file, "| | |\n| --- | --- |")?;
    for (topic, fact) in [
        ("source", store(&value("source")).unwrap_or_default()),
        ("target", targets.join(", ")),
        ("selection", texts(&value("selection")).join(", ")),
        ("shard", text(&value("shard")).unwrap_or_default()),
        ("started", text(&value("started")).unwrap_or_default()),
        ("ended", format!("{} ({seconds} s)", text(&value("ended")).unwrap_or_default())),
        ("tool", format!("glance-replicator {}", versions.join(", "))),
        ("global request id", text(&value("global_request_id")).unwrap_or_default()),
    ] {
        if !fact.is_empty() {
            writeln!(file, "| {topic} | {} |", markdown(&fact))?;
        }
    }
    Ok(())
}

/// The errors that are not about single images.
fn errors(errors: &Value, file: &mut impl Write) -> io::Result<()> {
    let errors = errors.as_array().filter(|errors| !errors.is_empty());
    for (index, error) in errors.into_iter().flatten().enumerate() {
        if index == 0 {
            writeln!(file, "\n## Errors\n")?;
        }
        let mut lines = vec![text(&error["message"]).unwrap_or_default()];
        lines.extend(texts(&error["causes"]));
        item(&lines, text(&error["hint"]).as_deref(), &texts(&error["request_ids"]), file)?;
    }
    Ok(())
}

/// The entries that did not pass.
fn cases(document: &Document<'_>, file: &mut impl Write) -> io::Result<()> {
    let mut is_begun = false;
    let mut failed = |case: &Case| {
        if !std::mem::replace(&mut is_begun, true) {
            writeln!(file, "\n## Failed or different\n")?;
        }
        let target = case.target.iter().map(|target| format!(" at {target}")).next();
        let subject = format!("{}{}: {}", case.name, target.unwrap_or_default(), case.word);
        let mut lines = vec![subject.trim_end_matches(": ").to_owned()];
        lines.extend(case.lines.iter().cloned());
        item(&lines, case.hint.as_deref(), &case.request_ids, file)
    };
    for list in LISTS {
        let mut written = Ok(());
        document.entries(list, &mut |entry| {
            let case = Case::of(&entry);
            if written.is_ok() && case.verdict == CaseVerdict::Failed {
                written = failed(&case);
            }
        })?;
        written?;
    }
    Ok(())
}

/// Writes an item of a list, with its details below.
fn item(
    lines: &[String],
    hint: Option<&str>,
    request_ids: &[String],
    file: &mut impl Write,
) -> io::Result<()> {
    for (index, line) in lines.iter().enumerate() {
        let bullet = if index == 0 { "-" } else { "  -" };
        writeln!(file, "{bullet} {}", markdown(line))?;
    }
    if let Some(hint) = hint {
        writeln!(file, "  - hint: {}", markdown(hint))?;
    }
    for id in request_ids {
        writeln!(file, "  - request: `{id}`")?;
    }
    Ok(())
}

/// Collects the numbers of a summary that are not zero, in the form `3 copied`. `of` is the word of a
/// number that consists of these, such as `lost`.
fn collect(summary: &Outline, of: Option<&str>, numbers: &mut Vec<String>) {
    for (word, field) in summary.fields() {
        let words = word.replace('_', " ");
        numbers.push(match (field.value().as_u64(), of) {
            (None, _) => {
                collect(field, Some(word), numbers);
                continue;
            }
            (Some(0), _) => continue,
            (Some(bytes), None) if word == "bytes" => human_size(bytes),
            (Some(bytes), None) if word == "bytes_imported" => {
                format!("{} imported by the target", human_size(bytes))
            }
            (Some(number), Some("lost")) => format!("{number} without {words}"),
            (Some(number), _) => format!("{number} {words}"),
        });
    }
}

/// The text with the characters escaped that have a meaning in Markdown or HTML.
fn markdown(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '\\' | '`' | '*' | '_' | '[' | ']' | '<' | '>' | '|' | '#' | '~' | '&') {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

fn capitalized(text: &str) -> String {
    let mut chars = text.chars();
    let first = chars.next().map(|first| first.to_uppercase().collect::<String>());
    first.unwrap_or_default() + chars.as_str()
}
