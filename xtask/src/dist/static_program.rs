//! The program as one static file, for systems that no package fits.

use std::path::Path;
use std::process::Command;

use super::archive;
use super::packages::{measured, shared};
use super::place::Place;
use crate::debian_root::Root;
use crate::failure::Failure;
use crate::shell::{find, succeed};
use crate::stamp::once;

/// Downloads the Rust of the static program into the root, unless it is there: Debian has no
/// standard library for musl.
pub(crate) fn install_rust(root: &Root) -> Result<(), Failure> {
    let home = root.path(RUSTUP_HOME);
    once(&home.with_extension("made"), RUST, || {
        if find("rustup").is_none() {
            return Err(Failure::new("the static program needs a Rust for musl: install rustup"));
        }
        let mut rustup = Command::new("rustup");
        rustup.args(["toolchain", "install", RUST, "--profile", "minimal", "--target", TARGET]);
        succeed(rustup.arg("--no-self-update").env("RUSTUP_HOME", home))
    })
}

/// Builds the program with rustls, and writes a tarball of all that `make install` installs of it.
pub(crate) fn build(place: &Place<'_>, output: &Path) -> Result<(), Failure> {
    place.use_vendored_crates()?;
    place.unpack(output)?;
    let title = format!("{}-x86_64-linux-musl", place.release().title());
    let folder = place.inside(&title);
    make(
        place,
        output,
        "static-build",
        &["build", "CARGO=cargo auditable", "CARGOFLAGS=--frozen"],
    )?;
    let destination = format!("DESTDIR={folder}");
    let mut install = vec![&*destination, "PREFIX="];
    install.extend(["install-binary", "install-man", "install-completions"]);
    install.extend(["install-doc", "install-licenses"]);
    make(place, output, "static-install", &install)?;
    let archive = output.join(format!("{title}.tar.gz"));
    archive::write(place.release(), &place.root.path(&folder), &archive)
}

fn make(place: &Place<'_>, output: &Path, name: &str, arguments: &[&str]) -> Result<(), Failure> {
    let mut make = place.measured_command("make", &place.source())?;
    shared(place, &mut make);
    let rust = format!("{RUSTUP_HOME}/toolchains/{RUST}-x86_64-unknown-linux-gnu/bin");
    make.env("PATH", format!("{rust}:/usr/sbin:/usr/bin:/sbin:/bin"));
    make.env("CARGO_BUILD_TARGET", TARGET).env("CC_x86_64_unknown_linux_musl", "musl-gcc");
    make.env("CARGO_PROFILE_RELEASE_STRIP", "symbols");
    measured(place, name, make.arg("VARIANT=rustls").args(arguments), output)
}

/// The version of Rust. It is fixed, so that the program does not depend on when it is built.
const RUST: &str = "1.95.0";

const TARGET: &str = "x86_64-unknown-linux-musl";

/// The directory of the toolchain in the root.
const RUSTUP_HOME: &str = "/opt/rustup";
