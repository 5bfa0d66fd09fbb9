//! JSON documents that are written piece by piece, so that memory use does not grow with the number
//! of entries in their lists.

use std::env;

use serde_json::Value;

use super::composer::{Composer, Kind};
use super::escape::escaped_json;
use super::session;
use super::spool::{Spool, Spooled};

/// A JSON document that is being written. Nothing is written if no output of this command is made
/// from the document.
#[derive(Debug)]
pub(crate) struct JsonWriter(Destination);

#[derive(Debug)]
enum Destination {
    /// The document of the command.
    Document,
    /// A temporary file, whose contents become a part of another document.
    Spool {
        composer: Composer,
        spool: Spool,
        key: &'static str,
    },
    /// No document, but lines for the entries of the list `key`.
    Lines {
        key: &'static str,
    },
    Nowhere,
}

impl JsonWriter {
    /// The document of the command.
    pub(crate) fn to_results() -> Self {
        match session::has_pieces() {
            true => Self(Destination::Document),
            false => Self(Destination::Nowhere),
        }
    }

    /// A list that becomes the [`part`](Self::part) `key` of the document. Until then a temporary
    /// file holds it. An empty list needs no file.
    pub(crate) fn spooled_list(key: &'static str) -> Self {
        match session::has_document() {
            true => Self::spooled(Spool::in_directory(env::temp_dir()), Kind::List, key),
            false => Self(Destination::Lines { key }),
        }
    }

    fn spooled(spool: Spool, outermost: Kind, key: &'static str) -> Self {
        Self(Destination::Spool { composer: Composer::of(outermost), spool, key })
    }

    /// Writes a field of the open object.
    pub(crate) fn field(&mut self, key: &str, value: &Value) {
        match &mut self.0 {
            Destination::Document => session::field(key, value),
            _ => self.write(|composer| composer.field(key, value)),
        }
    }

    /// Opens an object as a field of the open object.
    pub(crate) fn open_object(&mut self, key: &str) {
        self.write(|composer| composer.open_object(key));
    }

    /// Writes an entry of the list `key` of the open object. The first entry opens the list.
    pub(crate) fn entry(&mut self, key: &str, entry: &Value) {
        match &mut self.0 {
            Destination::Document => session::entry(key, entry),
            _ => self.write(|composer| composer.entry(key, entry)),
        }
    }

    /// Closes the list `key` of the open object, which is empty if it had no entry.
    pub(crate) fn end_list(&mut self, key: &str) {
        self.write(|composer| composer.end_list(key));
    }

    /// Writes an entry of a [`spooled_list`](Self::spooled_list).
    pub(crate) fn item(&mut self, entry: &Value) {
        if let Destination::Spool { key, .. } | Destination::Lines { key } = &self.0 {
            session::announce(key, entry);
        }
        self.write(|composer| format!("{}{entry}", composer.before_item()));
    }

    /// Writes a spooled document as a field of the open object. The value is `null` if the temporary
    /// file could not be written.
    pub(crate) fn part(&mut self, part: JsonWriter) {
        let Destination::Spool { composer, mut spool, key } = part.0 else { return };
        let (text, outermost) = closed(composer, &mut spool);
        self.write(|composer| composer.key(key));
        self.copy(text, outermost);
    }

    /// Writes the document of another command as an entry of the list `key`. The entry is `null` if
    /// the document was not kept.
    pub(crate) fn entry_document(&mut self, key: &str, document: Spooled) {
        self.write(|composer| composer.before_entry(key));
        self.copy(document, Kind::Object);
    }

    /// Closes the innermost open object or list.
    pub(crate) fn close(&mut self) {
        self.write(|composer| composer.close().to_owned());
    }

    /// Ends the content of the document. The end of the command completes the document.
    pub(crate) fn finish(mut self) {
        self.write(Composer::close_parts);
    }

    fn write(&mut self, piece: impl FnOnce(&mut Composer) -> String) {
        match &mut self.0 {
            Destination::Document => session::piece(piece),
            Destination::Spool { composer, spool, .. } => {
                spool.append(escaped_json(&piece(composer)).as_bytes());
            }
            Destination::Lines { .. } | Destination::Nowhere => {}
        }
    }

    /// Writes a spooled text.
    fn copy(&mut self, text: Spooled, outermost: Kind) {
        let text = match text {
            Spooled::Text(file) => {
                return match &mut self.0 {
                    Destination::Document => session::copy(&file),
                    Destination::Spool { spool, .. } => spool.append(file),
                    Destination::Lines { .. } | Destination::Nowhere => {}
                };
            }
            Spooled::Lost => "null",
            Spooled::Nothing if outermost == Kind::Object => "{}",
            Spooled::Nothing => "[]",
        };
        self.write(|_| text.to_owned());
    }
}

/// The complete text of a spooled document, and the kind of its value.
fn closed(mut composer: Composer, spool: &mut Spool) -> (Spooled, Kind) {
    let outermost = composer.outermost();
    if !spool.is_empty() {
        spool.append(composer.close_all().as_bytes());
    }
    (spool.finish(), outermost)
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::path::Path;

    use serde_json::json;

    use super::*;

    /// The text of a spooled document.
    fn text(document: JsonWriter) -> String {
        let Destination::Spool { mut composer, mut spool, .. } = document.0 else {
            return String::new();
        };
        spool.append(composer.close_all().as_bytes());
        let Spooled::Text(mut file) = spool.finish() else { return String::new() };
        let mut text = String::new();
        file.read_to_string(&mut text).unwrap();
        text
    }

    fn spooled_in(directory: &Path, outermost: Kind, key: &'static str) -> JsonWriter {
        JsonWriter::spooled(Spool::in_directory(directory.to_owned()), outermost, key)
    }

    fn object() -> JsonWriter {
        spooled_in(&env::temp_dir(), Kind::Object, "")
    }

    #[test]
    fn a_document_written_in_pieces_is_valid_json() {
        let mut files = spooled_in(&env::temp_dir(), Kind::List, "files");
        files.item(&json!("a\u{1b}"));
        let mut document = object();
        document.entry("images", &json!({ "id": 1 }));
        document.entry("images", &json!({ "id": 2 }));
        document.end_list("images");
        document.end_list("none");
        document.open_object("targets");
        document.field("\"b\"", &json!(null));
        document.part(files);
        document.part(spooled_in(&env::temp_dir(), Kind::List, "empty"));
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
        assert_eq!(text(object()), "{  }");
    }

    #[test]
    fn a_part_without_content_needs_no_file() {
        let mut document = object();
        let absent = Path::new("/nonexistent");
        document.part(spooled_in(absent, Kind::List, "list"));
        document.part(spooled_in(absent, Kind::Object, "object"));
        assert_eq!(text(document), "{ \"list\": [],\n  \"object\": {} }");
    }

    #[test]
    fn a_part_with_a_lost_entry_is_null_even_if_later_writes_would_succeed() {
        let directory = tempfile::tempdir().unwrap();
        let made_later = directory.path().join("made later");
        let mut files = spooled_in(&made_later, Kind::List, "files");
        files.item(&json!("lost"));
        std::fs::create_dir(made_later).unwrap();
        files.item(&json!("not written"));
        let mut document = object();
        document.part(files);
        document.field("exit_code", &json!(8));
        let expected = json!({ "files": null, "exit_code": 8 });
        let text = text(document);
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), expected, "{text}");
    }

    #[test]
    fn documents_become_entries_and_lost_ones_null() {
        let directory = tempfile::tempdir().unwrap();
        let mut spool = Spool::in_directory(directory.path().to_owned());
        spool.append(&b"{ \"a\": 1 }"[..]);
        let mut document = object();
        document.entry_document("runs", spool.finish());
        document.entry_document("runs", Spooled::Lost);
        document.end_list("runs");
        let expected = json!({ "runs": [{ "a": 1 }, null] });
        assert_eq!(serde_json::from_str::<Value>(&text(document)).unwrap(), expected);
    }
}
