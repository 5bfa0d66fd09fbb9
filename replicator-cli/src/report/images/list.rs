//! The list of `ls`.

use std::cmp::Ordering;

use comfy_table::{CellAlignment, ColumnConstraint, ContentArrangement, Table, presets};
use glance_core::image::Image;
use serde_json::{Map, Value};

use super::text;
use crate::args::{Column, SortOrder};
use crate::output::{self, JsonWriter, escaped, table_width};
use crate::terminal::{columns_of, fitted};

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
        let text = match table_width() {
            Some(width) => self.table(width).to_string(),
            None => self.aligned(),
        };
        for line in text.lines() {
            out!("{}", line.trim_end());
        }
    }

    /// The table for a terminal with this number of columns.
    fn table(&self, width: u16) -> Table {
        let mut columns = self.shown_columns();
        let mut lines = self.cells(&columns);
        self.make_room_for_names(width.into(), &mut columns, &mut lines);
        let mut table = Table::new();
        table.load_preset(presets::NOTHING);
        let mut lines = lines.into_iter();
        table.set_header(lines.next().unwrap_or_default());
        table.add_rows(lines);
        table.set_width(width).set_content_arrangement(ContentArrangement::Dynamic);
        for (column, named) in table.column_iter_mut().zip(&columns) {
            column.set_padding((0, GAP));
            // An id on two lines cannot be copied.
            if UNBROKEN.contains(&named.name()) {
                column.set_constraint(ColumnConstraint::ContentWidth);
            }
            if is_number(named) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        table
    }

    /// Cuts long names, and leaves out the last of the default columns if they leave too little room
    /// for the names.
    fn make_room_for_names(
        &self,
        width: usize,
        columns: &mut Vec<Column>,
        lines: &mut [Vec<String>],
    ) {
        let Some(name) = columns.iter().position(|column| column.name() == "name") else { return };
        let (widths, gap) = (widths(lines), usize::from(GAP));
        let room = |shown: usize| {
            let others = widths[..shown].iter().enumerate().filter(|(place, _)| *place != name);
            let others: usize = others.map(|(_, other)| other + gap).sum();
            width.saturating_sub(others + gap)
        };
        let least = widths[name].min(NARROWEST_NAME);
        let mut shown = columns.len();
        while self.columns.is_empty() && shown > name + 1 && room(shown) < least {
            shown -= 1;
        }
        columns.truncate(shown);
        let room = room(shown).max(least);
        for cells in lines {
            cells.truncate(shown);
            if columns_of(&cells[name]) > room {
                cells[name] = fitted(&cells[name], room);
            }
        }
    }

    /// One line for each image, for files and pipes. A text that is longer than [`WIDEST`] moves only
    /// the rest of its own line.
    fn aligned(&self) -> String {
        let columns = self.shown_columns();
        let lines = self.cells(&columns);
        let widths: Vec<usize> = widths(&lines).into_iter().map(|it| it.min(WIDEST)).collect();
        let mut text = String::new();
        for cells in lines {
            for ((cell, column), width) in cells.iter().zip(&columns).zip(&widths) {
                let fill = " ".repeat(width.saturating_sub(columns_of(cell)));
                let (left, right) = match is_number(column) {
                    true => (&*fill, &**cell),
                    false => (&**cell, &*fill),
                };
                text.extend([left, right, "  "]);
            }
            text.push('\n');
        }
        text
    }

    fn shown_columns(&self) -> Vec<Column> {
        match &*self.columns {
            [] => DEFAULT.iter().map(|name| (*name).into()).collect(),
            chosen => chosen.to_vec(),
        }
    }

    /// The header and the rows.
    fn cells(&self, columns: &[Column]) -> Vec<Vec<String>> {
        let header = columns.iter().map(|column| shown(&column.name().to_uppercase()));
        let mut lines: Vec<Vec<String>> = vec![header.collect()];
        for row in &self.rows {
            let cell = |column: &Column| {
                let name = column.name();
                row.fields.get(name).map(|value| shown(&text(name, value))).unwrap_or_default()
            };
            lines.push(columns.iter().map(cell).collect());
        }
        lines
    }
}

/// The width of each column of a table with these lines.
fn widths(lines: &[Vec<String>]) -> Vec<usize> {
    let width = |place: usize| lines.iter().map(|cells| columns_of(&cells[place])).max();
    let columns = lines.first().map_or(0, Vec::len);
    (0..columns).map(|place| width(place).unwrap_or_default()).collect()
}

fn is_number(column: &Column) -> bool {
    ["size", "virtual_size"].contains(&column.name())
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
const UNBROKEN: &[&str] = &["id", "name", "status", "size", "virtual_size", "visibility"];

/// The terminal columns between two columns of the list.
const GAP: u16 = 2;

/// The terminal columns that a long name keeps, however narrow the terminal is.
const NARROWEST_NAME: usize = 20;

/// The most terminal columns that a column of the list is filled up to.
const WIDEST: usize = 64;

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
        for width in [80, 120] {
            let table = list.table(width).to_string();
            let longest = table.lines().map(|line| line.trim_end().chars().count()).max().unwrap();
            assert!(longest <= usize::from(width), "{width}:\n{table}");
            assert!(table.lines().count() == 2 && table.contains('…'), "{table}");
            assert!(table.contains(image.id.as_str()) && !table.contains('\u{1b}'), "{table}");
        }
        let lines = list.aligned();
        assert_eq!(lines.lines().count(), 2, "{lines}");
        assert!(lines.contains(image.id.as_str()) && !lines.contains('\u{1b}'), "{lines}");
    }

    #[test]
    fn a_narrow_terminal_shows_ids_and_names() {
        let sort = "name".parse().unwrap();
        let mut list = ImageList::new(&[], &sort);
        for name in ["debian-12-generic-amd64", "arch"] {
            let attributes = Attributes { name: Some(name.to_owned()), ..Attributes::default() };
            list.push(&Image::queued(ImageId::random(), attributes));
        }
        for (width, header, name) in [
            (60, "NAME", "debian-12-generic-a…"),
            (70, "STATUS", "debian-12-generic-am"),
            (80, "SIZE", "debian-12-generic-amd64"),
        ] {
            let table = list.table(width).to_string();
            let lines: Vec<&str> = table.lines().map(str::trim_end).collect();
            assert!(lines.len() == 3 && lines[0].ends_with(header), "{width}:\n{table}");
            assert!(lines[1].contains(name), "{width}:\n{table}");
        }
    }

    #[test]
    fn a_long_name_moves_only_its_own_line() {
        let sort = "name".parse().unwrap();
        let mut list = ImageList::new(&["name".into(), "status".into()], &sort);
        for name in ["short".to_owned(), "n".repeat(255)] {
            let attributes = Attributes { name: Some(name), ..Attributes::default() };
            list.push(&Image::queued(ImageId::random(), attributes));
        }
        let lines = list.aligned();
        let lines: Vec<&str> = lines.lines().collect();
        assert_eq!(lines[1], format!("{:64}  queued  ", "short"));
        assert_eq!(lines[2], format!("{}  queued  ", "n".repeat(255)));
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
