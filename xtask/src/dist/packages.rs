//! The packages, by the ordinary tools of Debian and RPM.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::place::Place;
use super::release::NAME;
use super::variant::Variant;
use crate::debian_root::logged;
use crate::failure::{Context, Failure};
use crate::output::say;
use crate::shell::succeed;

/// Builds the Debian packages of both variants, and those of their debug symbols, with the
/// packaging of `packaging/debian`.
pub(crate) fn build_debian(place: &Place<'_>, output: &Path) -> Result<(), Failure> {
    place.unpack(output)?;
    let mut copy = place.command("cp", &place.source())?;
    succeed(copy.args(["--recursive", "packaging/debian", "debian"]))?;
    let mut build = place.measured_command("dpkg-buildpackage", &place.source())?;
    shared(place, &mut build);
    // Crates are built again when the variable changes, and rpmbuild sets it.
    build.env("PKG_CONFIG_PATH", RPM_PKG_CONFIG_PATH);
    // `.ci/run` runs the tests.
    build.env("DEB_BUILD_OPTIONS", "nocheck").env("DEB_BUILD_PROFILES", "nocheck");
    build.args(["--build=binary", "--no-sign"]);
    measured(place, "dpkg-buildpackage", &mut build, output)?;
    place.collect(&place.inside(""), "deb", output)
}

/// Builds the RPM packages of a variant with the spec file of `packaging/rpm`. The program is the
/// same as in the Debian package: cargo finds its own results, because the directory and the flags
/// are the same.
pub(crate) fn build_rpm(place: &Place<'_>, variant: Variant, output: &Path) -> Result<(), Failure> {
    place.use_vendored_crates()?;
    place.unpack(output)?;
    let mut build = place.measured_command("sh", &place.source())?;
    shared(place, &mut build);
    build.args(["-c", WITH_FLAGS_OF_DEBIAN, "rpmbuild", "rpmbuild", "-bb", "--build-in-place"]);
    // The requirements are Debian packages, which rpm does not know. `.ci/run` runs the tests.
    build.args(["--nodeps", "--without", "check", "--with", "auditable"]);
    if let Variant::Openssl = variant {
        build.args(["--with", "openssl"]);
    }
    for definition in REPRODUCIBLE {
        build.args(["--define", definition]);
    }
    build.arg("--define").arg(["_topdir ", &place.inside("")].concat());
    build.arg("packaging/rpm/glance-replicator.spec");
    let name = format!("rpmbuild-{}", variant.name());
    measured(place, &name, &mut build, output)?;
    place.collect(&place.inside("RPMS/x86_64"), "rpm", output)
}

/// Writes the pages and the completions as the binary of a package of `output` writes them.
pub(crate) fn generate(place: &Place<'_>, output: &Path) -> Result<PathBuf, Failure> {
    let package = place.inside("package.deb");
    let name = format!("{NAME}_{}-1_amd64.deb", place.release().version());
    fs::copy(output.join(&name), place.root.path(&package)).context(|| name)?;
    let unpacked = place.inside("unpacked");
    succeed(place.command("dpkg-deb", "/")?.args(["--extract", &package, &unpacked]))?;
    let generated = place.inside(&format!("{}-generated", place.release().title()));
    let mut make = place.command("make", &place.source())?;
    make.args(["--silent", "generate", &format!("BINARY={unpacked}/usr/bin/glance-replicator")]);
    succeed(make.arg(format!("GENERATED={generated}")))?;
    Ok(place.root.path(&generated))
}

/// Lets all packages use the same directory for the results of cargo.
pub(crate) fn shared(place: &Place<'_>, command: &mut Command) {
    command.env("CARGO_TARGET_DIR", place.inside("target"));
}

/// Runs a [measured command](Place::measured_command) whose output goes to a log file next to the
/// output directory.
pub(crate) fn measured(
    place: &Place<'_>,
    name: &str,
    command: &mut Command,
    output: &Path,
) -> Result<(), Failure> {
    let log = output.with_extension(format!("{name}.log"));
    say(format_args!("$ {name}: see {}", log.display()));
    logged(command, &log)?;
    say(format_args!("  {}", place.root.figures()?));
    Ok(())
}

/// What rpmbuild sets `PKG_CONFIG_PATH` to.
const RPM_PKG_CONFIG_PATH: &str = ":/usr/lib64/pkgconfig:/usr/share/pkgconfig";

/// Exports the flags of `packaging/debian/rules` for C code, and runs the arguments.
const WITH_FLAGS_OF_DEBIAN: &str = "eval \"$(dpkg-buildflags --export=sh)\" && exec \"$@\"";

/// What rpmbuild needs, so that a package does not depend on the time and the name of the machine.
const REPRODUCIBLE: [&str; 4] = [
    "use_source_date_epoch_as_buildtime 1",
    "build_mtime_policy clamp_to_source_date_epoch",
    "_buildhost reproducible",
    "source_date_epoch_from_changelog 0",
];
