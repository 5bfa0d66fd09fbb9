//! Results as CSV (RFC 4180): the entries of one list of the document, one per row.

use serde_json::Value;

use super::escape::escaped;

/// The rows of a command.
#[derive(Debug)]
pub(super) struct Rows {
    table: &'static Table,
    is_begun: bool,
}

/// A list, and the columns of its rows.
#[derive(Debug)]
struct Table {
    commands: &'static [&'static str],
    /// The path of the list, or of an object that makes a single row.
    list: &'static str,
    /// The list inside each entry whose elements make a row each; empty if an entry makes one row.
    inner: &'static str,
    /// The paths of the fields. A field of an inner element begins with the name of the inner list.
    columns: &'static [&'static str],
}

impl Rows {
    /// The rows of this command; `None` if it has no table.
    pub(super) fn of(command: &str) -> Option<Self> {
        let table = TABLES.iter().find(|table| table.commands.contains(&command))?;
        Some(Self { table, is_begun: false })
    }

    /// The text of the column names, once.
    pub(super) fn header(&mut self) -> String {
        if std::mem::replace(&mut self.is_begun, true) {
            return String::new();
        }
        record(self.table.columns.iter().map(|column| column.replace('.', "_")))
    }

    /// The rows of an entry of the list at `path`, or of an object at `path`.
    pub(super) fn rows(&mut self, path: &str, entry: &Value) -> String {
        let table = self.table;
        if path != table.list {
            return String::new();
        }
        let none = [Value::Null];
        let inner = match entry[table.inner].as_array() {
            Some(inner) if !inner.is_empty() => inner.as_slice(),
            _ => &none,
        };
        let row = |element: &Value| {
            let field = |column: &&str| match column.strip_prefix(table.inner) {
                Some(field) if !table.inner.is_empty() => {
                    at(element, field.trim_start_matches('.'))
                }
                _ => at(entry, column),
            };
            record(table.columns.iter().map(field))
        };
        self.header() + &inner.iter().map(row).collect::<String>()
    }
}

/// The text of the field at a path.
fn at(entry: &Value, path: &str) -> String {
    let field = path.split('.').fold(entry, |value, key| &value[key]);
    cell(field)
}

fn cell(value: &Value) -> String {
    let is_text = |value: &Value| value.is_string();
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(list) if list.iter().all(is_text) => {
            list.iter().filter_map(Value::as_str).collect::<Vec<_>>().join("; ")
        }
        other => other.to_string(),
    }
}

/// A row. Control characters are escaped, so a row is one line.
fn record(cells: impl Iterator<Item = String>) -> String {
    let mut writer = csv::Writer::from_writer(Vec::new());
    // Writing to memory does not fail.
    let _ = writer.write_record(cells.map(|cell| escaped(&cell).into_owned()));
    String::from_utf8(writer.into_inner().unwrap_or_default()).unwrap_or_default()
}

const RUN: &[&str] = &[
    "target",
    "id",
    "target_id",
    "name",
    "size",
    "result",
    "reason",
    "proof.by",
    "proof.algorithm",
    "way",
    "started",
    "ended",
    "bytes_read",
    "bytes_sent",
    "attempts",
    "errors",
    "hint",
    "request_ids",
];

const RECORD: &[&str] =
    &["id", "name", "status", "visibility", "disk_format", "size", "owner", "os_hash_value"];

const TABLES: &[Table] = &[
    Table {
        commands: &["dump", "load", "livecopy", "sync", "repair", "report merge"],
        list: "images",
        inner: "",
        columns: RUN,
    },
    Table {
        commands: &["compare", "plan"],
        list: "images",
        inner: "",
        columns: &[
            "target",
            "id",
            "target_id",
            "name",
            "size",
            "state",
            "action",
            "reason",
            "differences",
        ],
    },
    Table {
        commands: &["verify"],
        list: "images",
        inner: "",
        columns: &["id", "name", "size", "state", "verdict", "by", "proof", "reason", "details"],
    },
    Table { commands: &["ls"], list: "images", inner: "", columns: RECORD },
    Table { commands: &["show"], list: "image", inner: "", columns: RECORD },
    Table {
        commands: &["run"],
        list: "jobs",
        inner: "",
        columns: &["name", "exit_code", "seconds"],
    },
    Table { commands: &["size"], list: "size", inner: "", columns: &["images", "bytes"] },
    Table {
        commands: &["resume"],
        list: "unfinished",
        inner: "images",
        columns: &[
            "run",
            "command",
            "begun",
            "done",
            "images.id",
            "images.name",
            "images.phase",
            "images.target",
            "images.why",
        ],
    },
    Table {
        commands: &["metadefs"],
        list: "metadefs.namespaces",
        inner: "",
        columns: &["target", "namespace", "result", "errors"],
    },
    Table {
        commands: &["clouds"],
        list: "clouds",
        inner: "",
        columns: &["name", "usable", "auth_type", "auth_url", "region", "trust", "from", "error"],
    },
    Table {
        commands: &["doctor"],
        list: "stores",
        inner: "findings",
        columns: &[
            "store",
            "findings.topic",
            "findings.verdict",
            "findings.found",
            "findings.hint",
        ],
    },
    Table {
        commands: &["serve"],
        list: "serving",
        inner: "",
        columns: &["directory", "url", "access", "callers"],
    },
];

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_entry_is_a_row_and_its_text_stays_in_its_cell() {
        let mut rows = Rows::of("compare").unwrap();
        let entry = json!({ "id": "1", "name": "a, \"b\"\n\u{1b}", "size": 3, "state": "same" });
        assert_eq!(rows.rows("other", &entry), "");
        assert_eq!(
            rows.rows("images", &entry),
            "target,id,target_id,name,size,state,action,reason,differences\n\
             ,1,,\"a, \"\"b\"\"\\n\\u{1b}\",3,same,,,\n"
        );
        let entry = json!({ "id": "2", "reason": "x", "differences": [{ "field": "name" }] });
        assert_eq!(rows.rows("images", &entry), ",2,,,,,,x,\"[{\"\"field\"\":\"\"name\"\"}]\"\n");
        assert_eq!(rows.header(), "");
    }

    #[test]
    fn inner_lists_make_a_row_for_each_element() {
        let mut rows = Rows::of("doctor").unwrap();
        let store = json!({ "store": "a", "findings": [
            { "topic": "trust", "verdict": "ok", "found": ["one", "two"], "hint": null },
            { "topic": "list", "verdict": "wrong" },
        ] });
        let found = rows.rows("stores", &store);
        let lines: Vec<&str> = found.lines().skip(1).collect();
        assert_eq!(lines, ["a,trust,ok,one; two,", "a,list,wrong,,"]);
        assert_eq!(rows.rows("stores", &json!({ "store": "b", "findings": [] })), "b,,,,\n");
        let mut rows = Rows::of("size").unwrap();
        let size = json!({ "images": 1, "bytes": 3 });
        assert_eq!(rows.rows("size", &size), "images,bytes\n1,3\n");
    }
}
