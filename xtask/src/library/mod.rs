//! The libraries as other programs see them: their public API, their features, the programs of the
//! folder `examples`, and their packages.

pub(crate) mod api;
pub(crate) mod crates;
pub(crate) mod examples;
pub(crate) mod features;

use std::path::PathBuf;

use serde_json::Value;

use crate::failure::{Context, Failure};
use crate::shell::cargo_output;
use crate::workspace;

/// A library crate that other programs can use.
struct Library {
    /// The name of the package.
    package: String,
    /// The name of the library.
    name: String,
    /// The folder of the crate in the workspace.
    folder: PathBuf,
    /// The features, without `default` and those that build a cryptographic library from source.
    features: Vec<String>,
}

impl Library {
    /// The packages that are published, without that of the program.
    fn all() -> Result<Vec<Self>, Failure> {
        let metadata = cargo_output(&["metadata", "--no-deps", "--format-version", "1"])?;
        let metadata: Value = serde_json::from_str(&metadata).context(|| "cargo metadata")?;
        let packages = metadata["packages"].as_array().map(Vec::as_slice).unwrap_or_default();
        Ok(packages.iter().filter_map(Self::of).collect())
    }

    fn of(package: &Value) -> Option<Self> {
        let is_published = package["publish"].is_null();
        let targets = package["targets"].as_array()?;
        let is_kind = |target: &Value, kind: &str| target["kind"][0] == kind;
        let library = targets.iter().find(|target| is_kind(target, "lib"))?;
        if !is_published || targets.iter().any(|target| is_kind(target, "bin")) {
            return None;
        }
        let manifest = PathBuf::from(package["manifest_path"].as_str()?);
        let features = package["features"].as_object()?.keys();
        let features = features.filter(|name| !LEFT_OUT.contains(&name.as_str()));
        Some(Self {
            package: package["name"].as_str()?.to_owned(),
            name: library["name"].as_str()?.to_owned(),
            folder: manifest.parent()?.strip_prefix(workspace::root()).ok()?.to_owned(),
            features: features.cloned().collect(),
        })
    }
}

/// `fips` and `vendored` build AWS-LC or OpenSSL from source, which takes other compilers. `cargo
/// xtask fips` and the release build them.
const LEFT_OUT: [&str; 3] = ["default", "fips", "vendored"];
