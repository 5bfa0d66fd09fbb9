//! The operator's files: a certificate, a token and a state directory.

use tempfile::TempDir;

use crate::support::site::TOKEN;

/// An operator of two sites.
pub(crate) struct Operator(TempDir);

impl Operator {
    /// Creates an operator who trusts `ca`, in PEM.
    pub(crate) fn who_trusts(ca: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("ca.pem"), ca).unwrap();
        std::fs::write(directory.path().join("token"), TOKEN).unwrap();
        Self(directory)
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).display().to_string()
    }

    /// The command line that copies all images of `source` to `target`.
    pub(crate) fn livecopy(&self, source: &str, target: &str, stack: &str) -> Vec<String> {
        let mut line = ["livecopy", source, target, "--tls", stack].map(str::to_owned).to_vec();
        line.extend(["--cacert".to_owned(), self.path("ca.pem")]);
        line.extend(["--token-file".to_owned(), self.path("token")]);
        // No Keystone is available to look up project names.
        line.extend(["--owner", "keep"].map(str::to_owned));
        line
    }

    pub(crate) fn variables(&self) -> Vec<(String, String)> {
        vec![("XDG_STATE_HOME".to_owned(), self.path("state"))]
    }
}
