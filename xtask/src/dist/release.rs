//! The release: the commit that is checked out.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::failure::{Context, Failure};
use crate::shell::cargo_output;
use crate::workspace;

/// The commit that is checked out, without changes.
pub(crate) struct Release {
    version: String,
    /// The time of the commit in seconds since 1970. It is the only time in the files of a release.
    pub(crate) epoch: String,
}

impl Release {
    /// Refuses a checkout with changes, because they would be in no commit.
    pub(crate) fn of_checkout() -> Result<Self, Failure> {
        let changes = git(&["status", "--porcelain"])?;
        if !changes.is_empty() {
            let text = format!("the checkout has changes; commit or remove them first:\n{changes}");
            return Err(Failure::new(text));
        }
        let metadata = cargo_output(&["metadata", "--no-deps", "--format-version", "1"])?;
        let metadata: Value = serde_json::from_str(&metadata).context(|| "cargo metadata")?;
        let epoch = git(&["log", "-1", "--format=%ct"])?;
        let release = Self { version: version(&metadata)?, epoch };
        release.is_named_in(&workspace::root())?;
        Ok(release)
    }

    /// Fails unless every file that repeats the version has this one.
    fn is_named_in(&self, root: &Path) -> Result<(), Failure> {
        for (file, text) in NAMING {
            let path = root.join(file);
            let text = text.replace("VERSION", &self.version);
            if !fs::read_to_string(&path).context(|| path.display().to_string())?.contains(&text) {
                return Err(Failure::new(format!("{file} does not contain {text:?}: correct it")));
            }
        }
        Ok(())
    }

    /// The name with the version, which is also the folder of the source tarball.
    pub(crate) fn title(&self) -> String {
        format!("{NAME}-{}", self.version)
    }

    /// The version.
    pub(crate) fn version(&self) -> &str {
        &self.version
    }
}

/// The name of the project and of the package with the binary.
pub(crate) const NAME: &str = "glance-replicator";

/// The files that repeat the version, and how.
const NAMING: [(&str, &str); 11] = [
    ("docs/install.md", "glance-replicator_VERSION-1_amd64.deb"),
    ("docs/install.md", "glance-replicator-VERSION-1.x86_64.rpm"),
    ("docs/install.md", "glance-replicator-VERSION-x86_64-linux-musl.tar.gz"),
    ("packaging/alpine/APKBUILD", "pkgver=VERSION\n"),
    ("packaging/archlinux/PKGBUILD", "pkgver=VERSION\n"),
    ("packaging/container/Containerfile", "image.version=\"VERSION\""),
    ("packaging/debian/changelog", "glance-replicator (VERSION-1) "),
    ("packaging/kubernetes/indexed-job.yaml", "/glance-replicator:VERSION\n"),
    ("packaging/kubernetes/nightly-cronjob.yaml", "/glance-replicator:VERSION\n"),
    ("packaging/rpm/glance-replicator.spec", "\nVersion:        VERSION\n"),
    ("packaging/rpm/glance-replicator.spec", " VERSION-1\n"),
];

fn version(metadata: &Value) -> Result<String, Failure> {
    let packages = metadata["packages"].as_array().map(Vec::as_slice).unwrap_or_default();
    let package = packages.iter().find(|package| package["name"] == NAME);
    let version = package.and_then(|package| package["version"].as_str());
    version.map(str::to_owned).ok_or_else(|| Failure::new(format!("no package is named {NAME}")))
}

/// Runs git in the workspace and returns its output.
fn git(arguments: &[&str]) -> Result<String, Failure> {
    let mut command = Command::new("git");
    let output = command.args(arguments).current_dir(workspace::root()).output();
    let output = output.context(|| "cannot run git")?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(Failure::new(format!("git {}: {said}", arguments.join(" "))));
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned())
}

#[cfg(test)]
impl Release {
    /// A release for tests.
    pub(crate) fn example() -> Self {
        Self { version: "0.9.0".to_owned(), epoch: "1".to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_version_is_that_of_the_package_with_the_binary() {
        let core = json!({ "name": "glance-replicator-core", "version": "1.0.0" });
        let tool = json!({ "name": NAME, "version": "0.9.0" });
        assert_eq!(version(&json!({ "packages": [core, tool] })).unwrap(), "0.9.0");
        assert!(version(&json!({ "packages": [core] })).is_err());
    }

    #[test]
    fn a_file_that_names_another_version_is_an_error() {
        let release = |version: &str| Release { version: version.to_owned(), ..Release::example() };
        assert!(release(env!("CARGO_PKG_VERSION")).is_named_in(&workspace::root()).is_ok());
        let error = release("0.8.99").is_named_in(&workspace::root()).unwrap_err().to_string();
        assert!(error.starts_with("docs/install.md does not contain"), "{error}");
    }
}
