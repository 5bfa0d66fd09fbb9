//! Configuration files: templates with `{{name}}` placeholders, and the cloud's only secret.

use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write as _};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::layout::{HOST, Layout, Port};
use crate::failure::{Context, Failure};

/// The password of every account in the cloud. It implements neither `Debug` nor `Display`.
pub(crate) struct Secret(String);

impl Secret {
    /// The secret itself, for a configuration file or an environment variable.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

/// The secret of this cloud, generated on first use.
pub(crate) fn secret(layout: &Layout) -> Result<Secret, Failure> {
    let path = layout.path("secret");
    if path.exists() {
        let text =
            fs::read_to_string(&path).context(|| format!("cannot read {}", path.display()))?;
        return Ok(Secret(text));
    }
    let mut bytes = [0; 16];
    File::open("/dev/urandom")
        .and_then(|mut source| source.read_exact(&mut bytes))
        .context(|| "cannot read random bytes")?;
    let mut text = String::new();
    for byte in bytes {
        write!(text, "{byte:02x}").context(|| "cannot format the secret")?;
    }
    write_private(&path, &text)?;
    Ok(Secret(text))
}

/// The values of the placeholders in templates, beginning with those that most templates need.
pub(crate) struct Values(Vec<(&'static str, String)>);

impl Values {
    /// The location of the cloud and the values that all its services use.
    pub(crate) fn new(layout: &Layout) -> Self {
        let mut values = Self(Vec::new());
        values
            .set("cloud", layout.dir().display())
            .set("host", HOST)
            .set("postgres_port", layout.port(Port::Postgres));
        values
    }

    /// Adds a value.
    #[expect(clippy::needless_pass_by_value, reason = "a reference at every call says nothing")]
    pub(crate) fn set(&mut self, name: &'static str, value: impl ToString) -> &mut Self {
        self.0.push((name, value.to_string()));
        self
    }

    /// Returns the template with every `{{name}}` replaced.
    pub(crate) fn render(&self, template: &str) -> Result<String, Failure> {
        let mut text = template.to_owned();
        for (name, value) in &self.0 {
            text = text.replace(&format!("{{{{{name}}}}}"), value);
        }
        match text.lines().find(|line| line.contains("{{")) {
            Some(line) => Err(Failure::new(format!("a template names an unknown value: {line}"))),
            None => Ok(text),
        }
    }

    /// Renders a template to a file below `etc/` that only root can read. Returns the path and
    /// text.
    pub(crate) fn install(
        &self,
        layout: &Layout,
        name: &str,
        template: &str,
    ) -> Result<Installed, Failure> {
        let text = self.render(template)?;
        let path = layout.path("etc").join(name);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).context(|| format!("cannot make {}", parent.display()))?;
        }
        write_private(&path, &text)?;
        Ok(Installed { path, text })
    }
}

/// An installed configuration file.
pub(crate) struct Installed {
    pub(crate) path: PathBuf,
    pub(crate) text: String,
}

/// Writes a file that only the owner can read.
pub(crate) fn write_private(path: &Path, text: &str) -> Result<(), Failure> {
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .context(|| format!("cannot write {}", path.display()))
}
