//! The certificate trust of a cloud.

use std::path::Path;

use tls_policy::{self, ClientIdentity, TlsFileError, TlsPolicy};

use super::Cloud;

impl Cloud {
    /// The certificate trust that the cloud configures: its `cacert`, and its `cert` and `key` as the
    /// client certificate. A cloud without `cacert` trusts what the environment of this process names
    /// ([`tls_policy::resolve`]), or else the system's trust store.
    ///
    /// # Errors
    /// When a file cannot be used, or its key is encrypted. A caller that can ask for a passphrase
    /// loads the [`ClientIdentity`] itself.
    pub fn tls_policy(&self) -> Result<TlsPolicy, TlsFileError> {
        let of_cloud = format!("cacert of cloud {}", self.name);
        let variable = |name: &str| std::env::var(name).ok();
        let (policy, source) = tls_policy::resolve(&[(&of_cloud, self.cacert.clone())], &variable)?;
        tracing::debug!("cloud {}: trusting {source}", self.name);
        let identity = match (&self.cert, &self.key) {
            (Some(cert), key) => Some(ClientIdentity::load(cert, key.as_deref(), &encrypted)?),
            (None, None) => None,
            (None, Some(key)) => {
                let what = "the cloud has this `key`, but no `cert`";
                return Err(TlsFileError::new(key, None, what));
            }
        };
        Ok(TlsPolicy { identity, ..policy })
    }
}

fn encrypted<T>(key: &Path) -> Result<T, TlsFileError> {
    Err(TlsFileError::new(key, None, "the key is encrypted; use a key without a passphrase"))
}

#[cfg(test)]
mod tests {
    use crate::{Cloud, Clouds, Environment, Overrides};

    fn cloud(settings: &str) -> Cloud {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("clouds.yaml");
        let auth = "auth_type: v3token, auth: {auth_url: 'https://k', token: t}";
        std::fs::write(&path, format!("clouds: {{a: {{{auth}, {settings}}}}}")).unwrap();
        let path = path.display().to_string();
        let environment = Environment::new([("OS_CLIENT_CONFIG_FILE".to_owned(), path)], ".");
        let clouds = Clouds::load(environment).unwrap();
        clouds.cloud("a", &Overrides::default()).unwrap().unwrap()
    }

    /// The files themselves are tested where they are read; here, they are missing.
    #[test]
    fn no_file_of_the_cloud_is_forgotten() {
        // The machine need not have a trust store.
        let directory = tempfile::tempdir().unwrap();
        let ca = directory.path().join("ca.pem");
        let pem = rcgen::generate_simple_self_signed(["ca.test".to_owned()]).unwrap().cert.pem();
        std::fs::write(&ca, pem).unwrap();
        for (settings, said) in [
            ("cacert: /nonexistent/ca.pem", "cannot read /nonexistent/ca.pem"),
            ("cacert: CA, cert: /nonexistent/cert.pem", "cannot read /nonexistent/cert.pem"),
            (
                "cacert: CA, key: /nonexistent/key.pem",
                "/nonexistent/key.pem: the cloud has this `key`",
            ),
        ] {
            let settings = settings.replace("CA,", &format!("{},", ca.display()));
            let error = cloud(&settings).tls_policy().unwrap_err().to_string();
            assert!(error.starts_with(said), "{settings}: {error}");
        }
    }
}
