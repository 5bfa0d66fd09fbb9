//! Prints the public API of a library, one item per line, from the JSON file of rustdoc that the
//! argument names. `cargo xtask api` runs this program.

use std::env;
use std::error::Error;
use std::io::{self, Write};

fn main() -> Result<(), Box<dyn Error>> {
    let json = env::args_os().nth(1).ok_or("the argument is missing")?;
    let api = public_api::Builder::from_rustdoc_json(json)
        .omit_blanket_impls(true)
        .omit_auto_trait_impls(true)
        .omit_auto_derived_impls(true)
        .build()?;
    Ok(write!(io::stdout(), "{api}")?)
}
