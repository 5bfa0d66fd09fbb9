//! The HTML page of a report: one file that a browser shows without a network.
//!
//! The page has the verdict as HTML, the JSON document as data, and a script that builds the rest of
//! the page from that data. A Content-Security-Policy forbids every other resource, and every script
//! and style but those of this module. `assets` contains the template, the style and the script.

mod envelope;
mod verdict;

use std::io::{self, BufRead, BufReader, Read, Seek, Write};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

use envelope::Envelope;

/// Writes the HTML page of a JSON report.
///
/// The report is read twice, piece by piece, so that memory use does not grow with the number of
/// images: first the fields that the verdict needs, then all of the document.
///
/// # Errors
/// The report can't be read or is not a JSON object (`InvalidData`, `UnexpectedEof`), or the page
/// can't be written.
pub fn write_page(report: &mut (impl Read + Seek), page: &mut impl Write) -> io::Result<()> {
    report.rewind()?;
    let envelope: Envelope = serde_json::from_reader(BufReader::new(&mut *report))?;
    report.rewind()?;
    let mut pieces = TEMPLATE.split("{{");
    page.write_all(pieces.next().unwrap_or_default().as_bytes())?;
    for piece in pieces {
        let (slot, text) = piece.split_once("}}").unwrap_or(("", piece));
        match slot {
            "report" => embed(BufReader::new(&mut *report), page)?,
            slot => page.write_all(content(slot, &envelope).as_bytes())?,
        }
        page.write_all(text.as_bytes())?;
    }
    page.flush()
}

/// The content of a place in the template.
fn content(slot: &str, envelope: &Envelope) -> String {
    match slot {
        "policy" => policy(),
        "title" => verdict::title(envelope),
        "style" => STYLE.to_owned(),
        "verdict" => verdict::banner(envelope),
        "next" => verdict::next(envelope),
        "errors" => verdict::problems(envelope),
        "script" => SCRIPT.to_owned(),
        _ => String::new(),
    }
}

/// Copies a JSON document into a `<script>` element. The document keeps its value, but no text in it
/// can end the element or begin a comment: in JSON, these characters occur only inside strings.
/// U+2028 and U+2029, which end a line in older versions of JavaScript, need no escape: the element
/// contains data, which no browser runs.
fn embed(mut document: impl BufRead, page: &mut impl Write) -> io::Result<()> {
    loop {
        let chunk = document.fill_buf()?;
        if chunk.is_empty() {
            return Ok(());
        }
        let plain = chunk.iter().take_while(|byte| !b"<>&".contains(byte)).count();
        page.write_all(&chunk[..plain])?;
        let escaped = chunk.get(plain).copied();
        if let Some(byte) = escaped {
            write!(page, "\\u{byte:04x}")?;
        }
        document.consume(plain + usize::from(escaped.is_some()));
    }
}

/// The Content-Security-Policy: only this style and this script, and nothing from elsewhere.
fn policy() -> String {
    let [script, style] = [SCRIPT, STYLE].map(|text| STANDARD.encode(Sha256::digest(text)));
    format!(
        "default-src 'none'; script-src 'sha256-{script}'; style-src 'sha256-{style}'; \
         base-uri 'none'; form-action 'none'"
    )
}

const TEMPLATE: &str = include_str!("assets/page.html");
const STYLE: &str = include_str!("assets/page.css");

/// `main.js` is last: it starts the page, and uses constants of the others.
const SCRIPT: &str = concat!(
    include_str!("assets/dom.js"),
    include_str!("assets/format.js"),
    include_str!("assets/rows.js"),
    include_str!("assets/detail.js"),
    include_str!("assets/listing.js"),
    include_str!("assets/timeline.js"),
    include_str!("assets/other.js"),
    include_str!("assets/main.js"),
);

#[cfg(test)]
mod tests;
