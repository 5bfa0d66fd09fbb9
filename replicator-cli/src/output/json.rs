//! JSON documents that are written piece by piece, so that memory use does not grow with the number
//! of entries in their lists.

use std::env;
use std::fs::File;
use std::io;

use serde_json::{Value, json};

use super::escape::escaped_json;
use super::spool::{Spool, Spooled};
use super::{note_failure, result_json, results};

/// A JSON document that is being written. Nothing is written before the first entry or field.
#[derive(Debug)]
pub(crate) struct JsonWriter {
    destination: Destination,
    outermost: Kind,
    /// The open objects and lists, outermost first.
    open: Vec<Level>,
}

#[derive(Debug)]
enum Destination {
    /// The results of the command.
    Results,
    /// A temporary file, whose contents become a part of another document.
    Spool(Spool),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Object,
    List,
}

#[derive(Debug)]
struct Level {
    kind: Kind,
    is_empty: bool,
}

impl JsonWriter {
    /// A document that is written to the results of the command.
    pub(crate) fn to_results() -> Self {
        Self::new(Destination::Results, Kind::Object)
    }

    /// An object that becomes a [`part`](Self::part) of another document. Until then a temporary
    /// file holds it. An object without fields needs no file.
    pub(crate) fn spooled_object() -> Self {
        Self::spooled(Spool::in_directory(env::temp_dir()), Kind::Object)
    }

    /// Like [`spooled_object`](Self::spooled_object), for a list.
    pub(crate) fn spooled_list() -> Self {
        Self::spooled(Spool::in_directory(env::temp_dir()), Kind::List)
    }

    fn spooled(spool: Spool, outermost: Kind) -> Self {
        Self::new(Destination::Spool(spool), outermost)
    }

    fn new(destination: Destination, outermost: Kind) -> Self {
        Self { destination, outermost, open: Vec::new() }
    }

    /// Writes a field of the open object.
    pub(crate) fn field(&mut self, key: &str, value: &Value) {
        self.key(key);
        self.write(&value.to_string());
    }

    /// Opens an object as a field of the open object.
    pub(crate) fn open_object(&mut self, key: &str) {
        self.key(key);
        self.open(Kind::Object);
    }

    /// Writes an entry of the list `key` of the open object. The first entry opens the list.
    pub(crate) fn entry(&mut self, key: &str, entry: &Value) {
        if !self.is_in_list() {
            self.open_list(key);
        }
        self.item(entry);
    }

    /// Closes the list `key` of the open object, which is empty if it had no entry.
    pub(crate) fn end_list(&mut self, key: &str) {
        if !self.is_in_list() {
            self.open_list(key);
        }
        self.close();
    }

    /// Writes an entry of a [`spooled_list`](Self::spooled_list).
    pub(crate) fn item(&mut self, entry: &Value) {
        self.begin();
        let separator = self.separator();
        self.write(&format!("{separator}{entry}"));
    }

    /// Writes a spooled document as a field of the open object. The value is `null` if the temporary
    /// file could not be written.
    pub(crate) fn part(&mut self, key: &str, mut part: JsonWriter) {
        part.close_all();
        let Destination::Spool(spool) = part.destination else { return };
        self.key(key);
        match spool.finish() {
            Spooled::Text(text) => self.copy(text),
            Spooled::Lost => self.write("null"),
            Spooled::Nothing => self.write(match part.outermost {
                Kind::Object => "{}",
                Kind::List => "[]",
            }),
        }
    }

    /// Closes the innermost open object or list.
    pub(crate) fn close(&mut self) {
        match self.open.pop().map(|level| level.kind) {
            None => {}
            Some(Kind::List) => self.write("]"),
            Some(Kind::Object) => self.write(" }"),
        }
    }

    /// Completes the document.
    pub(crate) fn finish(mut self) {
        self.begin();
        self.close_all();
        self.write("\n");
    }

    fn close_all(&mut self) {
        while !self.open.is_empty() {
            self.close();
        }
    }

    /// Opens the document before the first write.
    fn begin(&mut self) {
        if self.open.is_empty() {
            self.open(self.outermost);
        }
    }

    fn key(&mut self, key: &str) {
        self.begin();
        let separator = self.separator();
        self.write(&format!("{separator}{}: ", json!(key)));
    }

    fn open_list(&mut self, key: &str) {
        self.key(key);
        self.open(Kind::List);
    }

    fn open(&mut self, kind: Kind) {
        self.write(match kind {
            Kind::Object => "{ ",
            Kind::List => "[",
        });
        self.open.push(Level { kind, is_empty: true });
    }

    fn is_in_list(&self) -> bool {
        self.open.last().is_some_and(|level| level.kind == Kind::List)
    }

    /// The text between the last element of the open object or list and the next one.
    fn separator(&mut self) -> &'static str {
        let Some(level) = self.open.last_mut() else { return "" };
        match (std::mem::take(&mut level.is_empty), level.kind) {
            (true, Kind::Object) => "",
            (true, Kind::List) => "\n  ",
            (false, _) => ",\n  ",
        }
    }

    fn write(&mut self, text: &str) {
        match &mut self.destination {
            Destination::Results => result_json(text),
            Destination::Spool(spool) => spool.append(escaped_json(text).as_bytes()),
        }
    }

    /// Writes the contents of a file.
    fn copy(&mut self, mut text: File) {
        match &mut self.destination {
            Destination::Results => {
                note_failure(io::copy(&mut text, &mut *results()).map(drop));
            }
            Destination::Spool(spool) => spool.append(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::path::Path;

    use super::*;

    /// The text of a spooled document.
    fn text(mut document: JsonWriter) -> String {
        document.begin();
        document.close_all();
        let Destination::Spool(spool) = document.destination else { return String::new() };
        let Spooled::Text(mut file) = spool.finish() else { return String::new() };
        let mut text = String::new();
        file.read_to_string(&mut text).unwrap();
        text
    }

    fn spooled_in(directory: &Path, outermost: Kind) -> JsonWriter {
        JsonWriter::spooled(Spool::in_directory(directory.to_owned()), outermost)
    }

    #[test]
    fn a_document_written_in_pieces_is_valid_json() {
        let mut files = JsonWriter::spooled_list();
        files.item(&json!("a\u{1b}"));
        let mut document = JsonWriter::spooled_object();
        document.entry("images", &json!({ "id": 1 }));
        document.entry("images", &json!({ "id": 2 }));
        document.end_list("images");
        document.end_list("none");
        document.open_object("targets");
        document.field("\"b\"", &json!(null));
        document.part("files", files);
        document.part("empty", JsonWriter::spooled_list());
        document.close();
        document.field("exit_code", &json!(0));
        let text = text(document);
        let expected = json!({
            "images": [{ "id": 1 }, { "id": 2 }], "none": [],
            "targets": { "\"b\"": null, "files": ["a\u{1b}"], "empty": [] }, "exit_code": 0,
        });
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), expected, "{text}");
        assert!(text.starts_with("{ \"images\": [\n  {\"id\":1},\n  {\"id\":2}],\n"), "{text}");
    }

    #[test]
    fn a_document_without_content_is_an_empty_object() {
        assert_eq!(text(JsonWriter::spooled_object()), "{  }");
    }

    #[test]
    fn a_part_without_content_needs_no_file() {
        let mut document = JsonWriter::spooled_object();
        let absent = Path::new("/nonexistent");
        document.part("list", spooled_in(absent, Kind::List));
        document.part("object", spooled_in(absent, Kind::Object));
        assert_eq!(text(document), "{ \"list\": [],\n  \"object\": {} }");
    }

    #[test]
    fn a_part_with_a_lost_entry_is_null_even_if_later_writes_would_succeed() {
        let directory = tempfile::tempdir().unwrap();
        let made_later = directory.path().join("made later");
        let mut files = spooled_in(&made_later, Kind::List);
        files.item(&json!("lost"));
        std::fs::create_dir(made_later).unwrap();
        files.item(&json!("not written"));
        let mut document = JsonWriter::spooled_object();
        document.part("files", files);
        document.field("exit_code", &json!(8));
        let expected = json!({ "files": null, "exit_code": 8 });
        let text = text(document);
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), expected, "{text}");
    }
}
