//! The list of components of each binary (SBOM), in the format of `CycloneDX`.

use std::fs;
use std::path::Path;

use super::place::Place;
use super::tools::Tools;
use super::variant::Variant;
use super::{release, vendor};
use crate::failure::{Context, Failure};
use crate::output::say;
use crate::shell::succeed;

/// Writes the components of the binary of a variant, from the sources of the packages.
pub(crate) fn write(
    tools: &Tools,
    place: &Place<'_>,
    variant: Variant,
    output: &Path,
) -> Result<(), Failure> {
    say(format_args!("$ cargo cyclonedx, {}", variant.name()));
    let source = place.root.path(&place.source());
    let home = place.root.path(&place.inside("tools-home"));
    fs::create_dir_all(&home).context(|| home.display().to_string())?;
    let settings = vendor::settings(&source.join("vendor").display().to_string());
    fs::write(home.join("config.toml"), settings).context(|| home.display().to_string())?;
    let manifest = source.join("replicator-cli/Cargo.toml");
    let mut cyclonedx = tools.command("cyclonedx");
    cyclonedx.args(["--format", "json", "--describe", "binaries", "--spec-version", "1.5"]);
    cyclonedx.args(["--target", "x86_64-unknown-linux-gnu", "--no-build-deps"]);
    cyclonedx.args(variant.features()).arg("--manifest-path").arg(&manifest);
    cyclonedx.env("CARGO_HOME", &home).env("SOURCE_DATE_EPOCH", &place.release().epoch);
    succeed(cyclonedx.current_dir(&source))?;
    let file = manifest.with_file_name(format!("{}_bin.cdx.json", release::NAME));
    let text = fs::read_to_string(&file).context(|| file.display().to_string())?;
    // Packages of the workspace are named by their path.
    let text = text.replace(&source.display().to_string(), "/usr/src/glance-replicator");
    let name = format!("{}-{}.cdx.json", variant.package(), place.release().version());
    let to = output.join(name);
    fs::write(&to, text).context(|| to.display().to_string())
}
