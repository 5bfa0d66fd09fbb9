//! The structure of a JSON document that is written piece by piece.

use serde_json::{Value, json};

/// The kind of a JSON value that has parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Object,
    List,
}

/// Composes a document. Each method returns the text that continues the document.
#[derive(Debug, Clone)]
pub(super) struct Composer {
    outermost: Kind,
    /// The open objects and lists, outermost first.
    open: Vec<Level>,
}

#[derive(Debug, Clone)]
struct Level {
    kind: Kind,
    /// The name of the field; empty for the outermost value and for items of lists.
    key: String,
    is_empty: bool,
}

impl Composer {
    pub(super) fn of(outermost: Kind) -> Self {
        Self { outermost, open: Vec::new() }
    }

    pub(super) fn outermost(&self) -> Kind {
        self.outermost
    }

    /// A field of the open object.
    pub(super) fn field(&mut self, key: &str, value: &Value) -> String {
        format!("{}{value}", self.key(key))
    }

    /// The name of a field of the open object. The caller adds the value.
    pub(super) fn key(&mut self, key: &str) -> String {
        let begun = self.begin();
        format!("{begun}{}{}: ", self.separator(), json!(key))
    }

    /// Opens an object as a field of the open object.
    pub(super) fn open_object(&mut self, key: &str) -> String {
        let before = self.key(key);
        before + self.open(Kind::Object, key)
    }

    /// An entry of the list `key` of the open object. The first entry opens the list.
    pub(super) fn entry(&mut self, key: &str, entry: &Value) -> String {
        format!("{}{entry}", self.before_entry(key))
    }

    /// The text in front of an entry of the list `key`. The caller adds the entry.
    pub(super) fn before_entry(&mut self, key: &str) -> String {
        let opened = self.open_list(key);
        opened + &self.before_item()
    }

    /// The text in front of an item of the open list. The caller adds the item.
    pub(super) fn before_item(&mut self) -> String {
        let begun = self.begin();
        begun + self.separator()
    }

    /// Closes the list `key` of the open object, which is empty if it had no entry.
    pub(super) fn end_list(&mut self, key: &str) -> String {
        let opened = self.open_list(key);
        opened + self.close()
    }

    /// Closes the innermost open object or list.
    pub(super) fn close(&mut self) -> &'static str {
        match self.open.pop().map(|level| level.kind) {
            None => "",
            Some(Kind::List) => "]",
            Some(Kind::Object) => " }",
        }
    }

    /// Closes everything except the outermost value.
    pub(super) fn close_parts(&mut self) -> String {
        self.close_down_to(1)
    }

    /// Completes the document. An empty document is an empty object or list.
    pub(super) fn close_all(&mut self) -> String {
        let begun = self.begin();
        begun + &self.close_down_to(0)
    }

    /// The names of the open objects and lists, outermost first, joined by dots.
    pub(super) fn path(&self) -> String {
        let keys = self.open.iter().map(|level| level.key.as_str()).filter(|key| !key.is_empty());
        keys.collect::<Vec<_>>().join(".")
    }

    fn close_down_to(&mut self, depth: usize) -> String {
        let mut closed = String::new();
        while self.open.len() > depth {
            closed += self.close();
        }
        closed
    }

    /// Opens the outermost value before the first piece.
    fn begin(&mut self) -> String {
        match self.open.is_empty() {
            true => self.open(self.outermost, "").to_owned(),
            false => String::new(),
        }
    }

    /// Opens the list `key`, unless a list is open.
    fn open_list(&mut self, key: &str) -> String {
        if self.open.last().is_some_and(|level| level.kind == Kind::List) {
            return String::new();
        }
        let before = self.key(key);
        before + self.open(Kind::List, key)
    }

    fn open(&mut self, kind: Kind, key: &str) -> &'static str {
        self.open.push(Level { kind, key: key.to_owned(), is_empty: true });
        match kind {
            Kind::Object => "{ ",
            Kind::List => "[",
        }
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
}
