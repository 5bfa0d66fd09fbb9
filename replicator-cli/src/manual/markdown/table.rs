//! Tables for the preprocessor `tbl`.

use clap_mangen::roff::{Inline, Roff, roman};

use super::plain;

/// The cells of a row.
pub(super) type Row = Vec<Vec<Inline>>;

/// The width of a page in characters, without its margins.
const WIDTH: usize = 70;

/// The width up to which a column is never narrowed.
const NARROW: usize = 26;

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

/// The key letters of the columns: narrow ones have their width, the others share the rest.
fn layout(rows: &[Row]) -> Vec<String> {
    let count = rows.iter().map(Vec::len).max().unwrap_or_default();
    let longest = |index: usize| {
        let cells = rows.iter().filter_map(|row| row.get(index));
        cells.map(|cell| plain(cell).chars().count()).max().unwrap_or_default().max(1)
    };
    let widths: Vec<usize> = (0..count).map(longest).collect();
    let fits = widths.iter().sum::<usize>() + GAP * count.saturating_sub(1) <= WIDTH;
    let is_narrow = |width: usize| fits || width <= NARROW;
    let column = |width| match is_narrow(width) {
        true => format!("lw({width}n)"),
        false => "lx".to_owned(),
    };
    widths.into_iter().map(column).collect()
}

#[cfg(test)]
mod tests {
    use super::super::body;

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
