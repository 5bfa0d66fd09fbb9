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

    fn print_table(&self) {
        for line in self.table(table_width()).lines() {
            out!("{}", line.trim_end());
        }
    }

    /// The table for a terminal with this number of columns; `None` means one line for each image.
    fn table(&self, width: Option<u16>) -> Table {
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
        table.set_content_arrangement(ContentArrangement::Disabled);
        if let Some(width) = width {
            table.set_width(width).set_content_arrangement(ContentArrangement::Dynamic);
        }
        for (column, named) in table.column_iter_mut().zip(&columns) {
            column.set_padding((0, 2));
            // An id on two lines cannot be copied; names can be of any length.
            if UNBROKEN.contains(&named.name()) {
                column.set_constraint(ColumnConstraint::ContentWidth);
            }
            if ["size", "virtual_size"].contains(&named.name()) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        table
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

/// The columns that a narrow terminal does not break into lines.
const UNBROKEN: &[&str] = &["id", "status", "size", "virtual_size", "visibility"];

/// The columns of a table, unless the operator chooses others.
const DEFAULT: &[&str] = &["id", "name", "status", "size"];

#[cfg(test)]
mod tests {
    use glance_core::image::{Attributes, ImageId};
    use serde_json::json;

    use super::*;

    #[test]
    fn a_table_fits_the_terminal_and_elsewhere_an_image_has_one_line() {
        let sort = "name".parse().unwrap();
        let mut list = ImageList::new(&[], &sort);
        let name = "名前 with\u{1b}[2J a\nlong name ".repeat(4);
        let attributes = Attributes { name: Some(name), ..Attributes::default() };
        let image = Image::queued(ImageId::random(), attributes);
        list.push(&image);
        for width in [Some(80), Some(120), None] {
            let table = list.table(width).to_string();
            let longest = table.lines().map(|line| line.trim_end().chars().count()).max().unwrap();
            assert!(longest <= width.map_or(usize::MAX, usize::from), "{width:?}:\n{table}");
            assert_eq!(table.lines().count() == 2, width.is_none(), "{table}");
            assert!(table.contains(image.id.as_str()) && !table.contains('\u{1b}'), "{table}");
        }
    }

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
