//! The list of `ls`.

use std::cmp::Ordering;

use comfy_table::{CellAlignment, ColumnConstraint, ContentArrangement, Table, presets};
use glance_core::image::Image;
use serde_json::{Map, Value};

use super::text;
use crate::args::{Column, SortOrder};
use crate::output::{self, JsonWriter, escaped, table_width};

/// Images with the fields to show.
pub(crate) struct ImageList<'a> {
    /// The columns. None means the default columns of a table, and the whole record elsewhere.
    columns: Vec<Column>,
    sort: &'a SortOrder,
    rows: Vec<Row>,
}

/// One image.
struct Row {
    /// The value to sort by.
    key: Value,
    fields: Map<String, Value>,
}

impl<'a> ImageList<'a> {
    pub(crate) fn new(columns: &[Column], sort: &'a SortOrder) -> Self {
        Self { columns: columns.to_vec(), sort, rows: Vec::new() }
    }

    pub(crate) fn push(&mut self, image: &Image) {
        let record = image.to_json();
        let value = |name: &str| record.get(name).cloned().unwrap_or_default();
        let key = value(self.sort.column.name());
        let shown = self.columns.iter().map(Column::name);
        let fields = match self.columns.is_empty() {
            true => record,
            false => shown.map(|name| (name.to_owned(), value(name))).collect(),
        };
        self.rows.push(Row { key, fields });
    }

    /// Prints the list, sorted.
    pub(crate) fn print(mut self) {
        let descending = self.sort.descending;
        self.rows.sort_by(|one, other| order(&one.key, &other.key, descending));
        if output::is_text() {
            self.print_table();
        }
        let mut json = JsonWriter::to_results();
        for row in self.rows {
            json.entry("images", &Value::Object(row.fields));
        }
        json.end_list("images");
        json.finish();
    }

    /// Prints a table as wide as the terminal, or as wide as necessary where there is none.
    fn print_table(&self) {
        let columns: Vec<Column> = match &*self.columns {
            [] => DEFAULT.iter().map(|name| (*name).into()).collect(),
            chosen => chosen.to_vec(),
        };
        let mut table = Table::new();
        table.load_preset(presets::NOTHING);
        table.set_header(columns.iter().map(|column| shown(&column.name().to_uppercase())));
        for row in &self.rows {
            let cell = |column: &Column| {
                let name = column.name();
                row.fields.get(name).map(|value| shown(&text(name, value))).unwrap_or_default()
            };
            table.add_row(columns.iter().map(cell));
        }
        match table_width() {
            Some(width) => {
                table.set_width(width).set_content_arrangement(ContentArrangement::Dynamic);
            }
            None => {
                table.set_content_arrangement(ContentArrangement::Disabled);
            }
        }
        for (column, named) in table.column_iter_mut().zip(&columns) {
            column.set_padding((0, 2));
            match named.name() {
                // An id on two lines cannot be copied.
                "id" => {
                    column.set_constraint(ColumnConstraint::ContentWidth);
                }
                "size" | "virtual_size" => column.set_cell_alignment(CellAlignment::Right),
                _ => {}
            }
        }
        for line in table.lines() {
            out!("{}", line.trim_end());
        }
    }
}

/// Text from a record, which a table must not break or measure by its control characters.
fn shown(text: &str) -> String {
    escaped(text).into_owned()
}

/// The order of two values. An image without the value comes last.
fn order(one: &Value, other: &Value, descending: bool) -> Ordering {
    let order = match (one, other) {
        (Value::Null, _) | (_, Value::Null) => return one.is_null().cmp(&other.is_null()),
        (Value::Number(one), Value::Number(other)) => one.as_u64().cmp(&other.as_u64()),
        (Value::String(one), Value::String(other)) => one.cmp(other),
        (one, other) => one.to_string().cmp(&other.to_string()),
    };
    if descending { order.reverse() } else { order }
}

/// The columns of a table, unless the operator chooses others.
const DEFAULT: &[&str] = &["id", "name", "status", "size"];

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn numbers_are_sorted_as_numbers_and_missing_values_last() {
        let values = [json!(10), json!(9), Value::Null, json!(100)];
        for (descending, expected) in [(false, [9, 10, 100]), (true, [100, 10, 9])] {
            let mut sorted = values.clone();
            sorted.sort_by(|one, other| order(one, other, descending));
            assert_eq!(sorted[..3], expected.map(Value::from));
            assert!(sorted[3].is_null());
        }
        assert_eq!(order(&json!("b"), &json!("a"), false), Ordering::Greater);
        assert_eq!(order(&json!(false), &json!(true), false), Ordering::Less);
    }
}
