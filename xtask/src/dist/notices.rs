//! The licences of the crates in the binary.

use std::path::Path;

use super::tools::Tools;
use super::variant::Variant;
use crate::failure::Failure;
use crate::output::say;
use crate::shell::succeed;
use crate::workspace;

/// Writes the text of every licence of the crates in the binary of a variant.
pub(crate) fn write(tools: &Tools, variant: Variant, file: &Path) -> Result<(), Failure> {
    say(format_args!("$ cargo about, {}", variant.name()));
    let configuration = workspace::root().join("packaging/notices");
    let mut about = tools.command("about");
    about
        .args(["generate", "--fail", "--frozen", "--config"])
        .arg(configuration.join("about.toml"));
    about.args(variant.features()).arg("--output-file").arg(file);
    about.arg("--manifest-path").arg(workspace::root().join("replicator-cli/Cargo.toml"));
    succeed(about.arg(configuration.join("notices.hbs")))
}

/// The name of the file.
pub(crate) fn file(variant: Variant) -> String {
    format!("THIRD-PARTY-NOTICES-{}", variant.name())
}
