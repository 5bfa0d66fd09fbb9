//! The sources of the crates that a package needs on Linux.

use std::fs;
use std::path::{Path, PathBuf};

use super::tools::Tools;
use super::variant::VARIANTS;
use super::{notices, release};
use crate::debian_root::logged;
use crate::failure::{Context, Failure};
use crate::output::say;
use crate::workspace;

/// Downloads the crates into the folder `vendor` of `directory`, with the licences of each
/// variant. Crates for other systems, and those of the features `rustls-fips` and
/// `native-tls-vendored`, have only a manifest there: Cargo.lock names them.
pub(crate) fn download(tools: &Tools, directory: &Path) -> Result<PathBuf, Failure> {
    let vendor = directory.join("vendor");
    if vendor.exists() {
        fs::remove_dir_all(&vendor).context(|| vendor.display().to_string())?;
    }
    let log = directory.join("vendor.log");
    say(format_args!("$ cargo vendor-filterer: see {}", log.display()));
    let mut filterer = tools.command("vendor-filterer");
    filterer.arg("--versioned-dirs");
    for platform in PLATFORMS {
        filterer.args(["--platform", platform]);
    }
    let features = format!("{0}/rustls,{0}/native-tls,tests/native-tls", release::NAME);
    filterer.args(["--features", &features]).arg(&vendor);
    logged(filterer.current_dir(workspace::root()), &log)?;
    for variant in VARIANTS {
        notices::write(&vendor, variant, &vendor.join(notices::file(variant)))?;
    }
    Ok(vendor)
}

/// Cargo's settings for a build with the crates of a folder, without a network.
pub(crate) fn settings(folder: &str) -> String {
    format!(
        "[source.crates-io]\nreplace-with = \"vendored\"\n\
         [source.vendored]\ndirectory = \"{folder}\"\n[net]\noffline = true\n"
    )
}

/// The systems that the packages are built for.
const PLATFORMS: [&str; 12] = [
    "aarch64-unknown-linux-gnu",
    "aarch64-unknown-linux-musl",
    "armv7-unknown-linux-gnueabihf",
    "armv7-unknown-linux-musleabihf",
    "i686-unknown-linux-gnu",
    "i686-unknown-linux-musl",
    "loongarch64-unknown-linux-gnu",
    "powerpc64le-unknown-linux-gnu",
    "riscv64gc-unknown-linux-gnu",
    "s390x-unknown-linux-gnu",
    "x86_64-unknown-linux-gnu",
    "x86_64-unknown-linux-musl",
];
