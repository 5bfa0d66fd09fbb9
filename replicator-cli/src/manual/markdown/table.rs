//! Tables for the preprocessor `tbl`.

use clap_mangen::roff::{Inline, Roff, roman};

use super::plain;

/// The cells of a row.
pub(super) type Row = Vec<Vec<Inline>>;

/// The width of a page in characters, without its margins.
const WIDTH: usize = 70;

/// The width up to which a column is never narrowed.
const NARROW: usize = 26;

/// The width that is left for a column without a width of its own.
const SHARED: usize = 20;

/// The characters between two columns.
const GAP: usize = 3;

/// Writes a table. The first row is the heading.
pub(super) fn write(rows: &[Row], roff: &mut Roff) {
    let columns = layout(rows);
    let head: Vec<String> = columns.iter().map(|column| column.replacen('l', "lB", 1)).collect();
    roff.control("TS", []);
    roff.text([roman(head.join(" "))]);
    roff.text([roman(columns.join(" ") + ".")]);
    for row in rows {
        // Each cell is a block of text, so that its words can be on several lines.
        for (index, cell) in row.iter().enumerate() {
            roff.text([roman(if index == 0 { "T{" } else { "T}\tT{" })]);
            if !cell.is_empty() {
                roff.text(cell.clone());
            }
        }
        roff.text([roman("T}")]);
    }
    roff.control("TE", []);
}

/// The key letters of the columns. A narrow column has the width of its longest cell, and a column
/// of long names that of its longest name. The others share the rest.
fn layout(rows: &[Row]) -> Vec<String> {
    let columns: Vec<Column> = (0..rows.first().map_or(0, Vec::len))
        .map(|index| Column::of(rows.iter().filter_map(|row: &Row| row.get(index))))
        .collect();
    let gaps = GAP * columns.len().saturating_sub(1);
    let fits = columns.iter().map(|column| column.cell).sum::<usize>() + gaps <= WIDTH;
    let widest = columns.iter().map(|column| column.cell).max().unwrap_or_default();
    let mut rest = WIDTH.saturating_sub(gaps + SHARED);
    let mut letters = Vec::new();
    for column in columns {
        let is_of_names = column.cell < widest && column.word > SHARED && column.word <= rest;
        let width = match column.cell {
            cell if fits || cell <= NARROW => Some(cell),
            _ if is_of_names => Some(column.word),
            _ => None,
        };
        rest = rest.saturating_sub(width.unwrap_or(SHARED));
        letters.push(width.map_or("lx".to_owned(), |width| format!("lw({width}n)")));
    }
    letters
}

/// The longest parts of a column, in characters.
struct Column {
    cell: usize,
    word: usize,
}

impl Column {
    fn of<'a>(cells: impl Iterator<Item = &'a Vec<Inline>>) -> Self {
        let mut longest = Self { cell: 1, word: 1 };
        for cell in cells {
            let cell = plain(cell);
            let words = cell.split(' ').map(|word| word.chars().count());
            longest.word = words.chain([longest.word]).max().unwrap_or(1);
            longest.cell = longest.cell.max(cell.chars().count());
        }
        longest
    }
}

#[cfg(test)]
mod tests {
    use super::super::body;

    #[test]
    fn a_column_of_long_names_has_the_width_of_its_longest_name() {
        let (name, long) = ("`unfinished[].to_be_given_again`", "long ".repeat(20));
        let table =
            format!("| name | kind | meaning |\n| - | - | - |\n| {name} | text | {long} |\n");
        let found = body(&table).source.to_roff();
        assert!(found.contains("\nlw(30n) lw(4n) lx.\n"), "{found}");
    }

    #[test]
    fn narrow_columns_have_their_width_and_the_others_share_the_rest() {
        let long = "long ".repeat(20);
        let table = format!("| option | effect |\n| --- | --- |\n| `-a` | {long}|\n| .b | |\n");
        let found = body(&table).source.to_roff();
        let expected = format!(
            ".SH DESCRIPTION\n.TS\nlBw(6n) lBx\nlw(6n) lx.\nT{{\noption\nT}}\tT{{\neffect\nT}}\n\
             T{{\n\\fB\\-a\\fR\nT}}\tT{{\n{}\nT}}\nT{{\n\\&.b\nT}}\tT{{\nT}}\n.TE\n",
            long.trim_end()
        );
        assert_eq!(found, expected);
    }
}
