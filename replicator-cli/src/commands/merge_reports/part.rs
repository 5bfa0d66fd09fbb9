//! The report of one shard. The entries of its lists, such as images, are read from the file when
//! they are needed, and never all held in memory.

use std::fs::File;
use std::io::{self, BufReader, Seek};
use std::path::{Path, PathBuf};

use glance_core::selection::Shard;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value, json};

use super::{HOW, unreadable};
use crate::error::CliError;
use crate::exit::Exit;
use crate::named_file::temporary_file;
use crate::report::Outline;

/// The report of one shard.
pub(super) struct Part {
    pub(super) path: PathBuf,
    pub(super) shard: Shard,
    pub(super) exit: Exit,
    errors: Value,
    /// The field `run` of the report: command, stores and selection.
    pub(super) run: Map<String, Value>,
    /// The other fields of the report.
    pub(super) body: Outline,
    /// A copy of the report, if it can be read only once.
    copy: Option<File>,
}

impl Part {
    /// Reads a report, except the entries of its lists.
    pub(super) fn read(path: PathBuf) -> Result<Self, CliError> {
        let unusable =
            |reason: &str| CliError::usage(format!("{} {reason}", path.display())).hint(HOW);
        let copy = copy_of_stream(&path).map_err(|error| unreadable(&path, error))?;
        let file = open(&path, copy.as_ref()).map_err(|error| unreadable(&path, error))?;
        let mut reader = serde_json::Deserializer::from_reader(file);
        let outline = OutlineReader { whole: Some("run") }.deserialize(&mut reader);
        let outline = outline.and_then(|outline| reader.end().map(|()| outline));
        let mut body = outline.map_err(|error| match error.is_io() {
            true => unreadable(&path, error.into()),
            false => unusable("is not a JSON report").caused_by(error),
        })?;
        let run = body.remove("run").filter(|run| run["command"].is_string());
        let Some(Value::Object(mut run)) = run else {
            return Err(unusable("is not the report of a run: the field `run` is missing"));
        };
        let shard = run.remove("shard").unwrap_or_default();
        let shard = shard.as_str().and_then(|text| text.parse().ok());
        let shard = shard.ok_or_else(|| unusable("is the report of a run without --shard"))?;
        let code = run.remove("exit_code").and_then(|code| code.as_u64());
        let errors = run.remove("errors").unwrap_or_default();
        // All releases assign images to shards in the same way, so the versions may differ.
        run.remove("tool");
        let exit = code.map_or(Exit::SomeFailed, Exit::of_code);
        Ok(Self { path, shard, exit, errors, run, body, copy })
    }

    /// The errors that are not about single images; `None` if there are none.
    pub(super) fn errors(&self) -> Option<Value> {
        let found = self.errors.as_array().is_some_and(|errors| !errors.is_empty());
        found.then(|| json!({ "shard": self.shard.to_string(), "errors": self.errors }))
    }

    /// Passes on the entries of the list at `place`, a sequence of keys, if the report has it.
    pub(super) fn entries(
        &self,
        place: &[&str],
        each: &mut dyn FnMut(Value),
    ) -> Result<(), CliError> {
        if !self.body.has_list(place) {
            return Ok(());
        }
        let read = open(&self.path, self.copy.as_ref()).and_then(|file| {
            let mut reader = serde_json::Deserializer::from_reader(file);
            Ok(EntryReader { place, each }.deserialize(&mut reader)?)
        });
        read.map_err(|error| unreadable(&self.path, error))
    }
}

/// A copy of a pipe or another special file; `None` for a regular file, which can be read again.
fn copy_of_stream(path: &Path) -> io::Result<Option<File>> {
    let mut file = File::open(path)?;
    if file.metadata()?.is_file() {
        return Ok(None);
    }
    let mut copy = temporary_file()?;
    io::copy(&mut file, &mut copy)?;
    Ok(Some(copy))
}

fn open(path: &Path, copy: Option<&File>) -> io::Result<BufReader<File>> {
    let file = match copy {
        None => File::open(path)?,
        Some(copy) => {
            let mut copy = copy.try_clone()?;
            copy.rewind()?;
            copy
        }
    };
    Ok(BufReader::new(file))
}

/// Reads a document without the entries of its lists.
struct OutlineReader {
    /// The outermost field that is read with its lists.
    whole: Option<&'static str>,
}

impl<'de> DeserializeSeed<'de> for OutlineReader {
    type Value = Outline;

    fn deserialize<D: Deserializer<'de>>(self, document: D) -> Result<Outline, D::Error> {
        document.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for OutlineReader {
    type Value = Outline;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Outline, A::Error> {
        let mut fields = std::collections::BTreeMap::new();
        while let Some(key) = map.next_key::<String>()? {
            let part = match self.whole == Some(key.as_str()) {
                true => Outline::Value(map.next_value()?),
                false => map.next_value_seed(Self { whole: None })?,
            };
            fields.insert(key, part);
        }
        Ok(Outline::Object(fields))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Outline, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Outline::List)
    }

    fn visit_unit<E>(self) -> Result<Outline, E> {
        Ok(Outline::Value(Value::Null))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Outline, E> {
        Ok(Outline::Value(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Outline, E> {
        Ok(Outline::Value(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Outline, E> {
        Ok(Outline::Value(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Outline, E> {
        Ok(Outline::Value(value.into()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Outline, E> {
        Ok(Outline::Value(value.into()))
    }
}

/// Reads the entries of one list of a document.
struct EntryReader<'a> {
    place: &'a [&'a str],
    each: &'a mut dyn FnMut(Value),
}

impl<'de> DeserializeSeed<'de> for EntryReader<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, document: D) -> Result<(), D::Error> {
        document.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for EntryReader<'_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the list that was here before")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<String>()? {
            match self.place.split_first() {
                Some((first, rest)) if *first == key => {
                    map.next_value_seed(EntryReader { place: rest, each: &mut *self.each })?;
                }
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while let Some(entry) = list.next_element()? {
            (self.each)(entry);
        }
        Ok(())
    }
}
