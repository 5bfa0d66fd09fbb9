//! `cargo xtask dist`: builds the files of a release, from a clean checkout, into `target/dist`.

mod archive;
mod notices;
mod packages;
mod place;
pub(crate) mod release;
mod sbom;
mod static_program;
mod tools;
mod variant;
pub(crate) mod vendor;

use std::fs;
use std::path::Path;
use std::time::Instant;

use clap::Args;

use crate::debian_root::Root;
use crate::failure::{Context, Failure};
use crate::output::{print, say};
use crate::workspace;

use place::Place;
use release::Release;
use tools::Tools;
use variant::VARIANTS;

/// The arguments of `cargo xtask dist`.
#[derive(Args)]
pub(crate) struct Arguments {
    /// Build a second time in another directory and time zone, and compare every file.
    #[arg(long)]
    pub(crate) check_reproducible: bool,
}

/// Builds the files, and prints their sums.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let begin = Instant::now();
    let release = Release::of_checkout()?;
    let (output, work) =
        (workspace::target()?.join("dist"), workspace::target()?.join("dist-work"));
    let root = Root::make(&work, PACKAGES)?;
    static_program::install_rust(&root)?;
    let tools = Tools::install(&work.join("tools"))?;
    let vendor = vendor::download(&tools, &work)?;
    // From here on, nothing uses the network.

    build(&Place::first(&root, &release), &tools, &vendor, &output)?;
    print(read_sums(&output)?.trim_end());
    if arguments.check_reproducible {
        let again = work.join("again");
        build(&Place::second(&root, &release), &tools, &vendor, &again)?;
        same(&read_sums(&output)?, &read_sums(&again)?)?;
        say("dist: the second build has the same files");
    }
    say(format_args!("dist: {} after {:.0} s", output.display(), begin.elapsed().as_secs_f64()));
    Ok(())
}

/// Builds every file at a place, without a network.
fn build(place: &Place<'_>, tools: &Tools, vendor: &Path, output: &Path) -> Result<(), Failure> {
    let release = place.release();
    if output.exists() {
        fs::remove_dir_all(output).context(|| output.display().to_string())?;
    }
    fs::create_dir_all(output).context(|| output.display().to_string())?;
    archive::write_source(release, &output.join(place::source_tarball(release)))?;
    archive::write(release, vendor, &output.join(place::vendor_tarball(release)))?;
    place.clear()?;
    place.unpack(output)?;
    for variant in VARIANTS {
        sbom::write(tools, place, variant, output)?;
        let name = notices::file(variant);
        fs::copy(vendor.join(&name), output.join(&name)).context(|| name)?;
    }
    packages::build_debian(place, output)?;
    for variant in VARIANTS {
        packages::build_rpm(place, variant, output)?;
    }
    static_program::build(place, output)?;
    let archive = output.join(format!("{}-generated.tar.gz", release.title()));
    archive::write(release, &packages::generate(place, output)?, &archive)?;
    archive::write_sums(output)
}

fn read_sums(directory: &Path) -> Result<String, Failure> {
    let file = directory.join(archive::SUMS);
    fs::read_to_string(&file).context(|| file.display().to_string())
}

/// Fails unless both builds have the same files.
fn same(first: &str, second: &str) -> Result<(), Failure> {
    let only = |here: &str, there: &str, sign: &str| -> Vec<String> {
        let lines = here.lines().filter(|line| !there.lines().any(|other| other == *line));
        lines.map(|line| format!("{sign} {line}")).collect()
    };
    let differences = [only(first, second, "-"), only(second, first, "+")].concat();
    match differences.is_empty() {
        true => Ok(()),
        false => Err(Failure::new(format!("two builds differ:\n{}", differences.join("\n")))),
    }
}

/// The build requirements of `packaging/debian`, `packaging/rpm` and the static program, and what
/// measures the builds.
const PACKAGES: &[&str] = &[
    "build-essential",
    "cargo",
    "cargo-auditable",
    "cpio",
    "debhelper",
    "debugedit",
    "elfutils",
    "libssl-dev",
    "libzstd-dev",
    "musl-tools",
    "pkgconf",
    "rpm",
    "rustc",
    "time",
    "xz-utils",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_builds_with_other_sums_or_other_files_differ() {
        assert!(same("1  a\n2  b\n", "1  a\n2  b\n").is_ok());
        let said = same("1  a\n2  b\n", "1  a\n3  b\n4  c\n").unwrap_err().to_string();
        assert_eq!(said, "two builds differ:\n- 2  b\n+ 3  b\n+ 4  c");
    }
}
