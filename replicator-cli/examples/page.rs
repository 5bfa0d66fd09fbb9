//! Writes the HTML page of a JSON report:
//! `cargo run -p glance-replicator --example page -- report.json report.html`.

use std::fs::File;
use std::io::{self, BufWriter, Error, Write};

fn main() -> io::Result<()> {
    let mut paths = std::env::args_os().skip(1);
    let (Some(report), Some(page)) = (paths.next(), paths.next()) else {
        return Err(Error::other("usage: page REPORT.json PAGE.html"));
    };
    let mut page = BufWriter::new(File::create(page)?);
    replicator_cli::write_page(&mut File::open(report)?, &mut page)?;
    page.flush()
}
