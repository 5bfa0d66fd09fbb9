//! Choice of the trust store among those that options, configuration and environment name.

use std::path::{Path, PathBuf};

use crate::judge::usable;
use crate::messages::warn_once;
use crate::{Roots, TlsFileError, TlsPolicy, TrustSource, bundle};

/// Finds the trust store: the first path in `named` (pairs of the naming option and the path), then
/// the environment variables, then the system's trust store. Only the first one found is used; an
/// empty path counts as absent.
///
/// # Errors
/// When the trust store cannot be used or contains no usable certificate. There is no fallback to
/// the next one. An unusable certificate next to usable ones causes a warning.
pub fn resolve(
    named: &[(&str, Option<PathBuf>)],
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<(TlsPolicy, TrustSource), TlsFileError> {
    let set = |path: &PathBuf| !path.as_os_str().is_empty();
    let variable = |name: &str| env(name).map(PathBuf::from).filter(set);
    let mut choices = named.iter().map(|(by, path)| (*by, path.clone().filter(set)));
    let first = choices.find_map(|(by, path)| Some((by, path?)));
    let first = first.or_else(|| VARIABLES.iter().find_map(|name| Some((*name, variable(name)?))));
    let (by, path, all) = match (first, variable("SSL_CERT_FILE"), variable("SSL_CERT_DIR")) {
        (Some((by, path)), ..) => (by, path.clone(), bundle::load(&path)?),
        (None, None, None) => {
            let source =
                TrustSource { named_by: "the system".to_owned(), path: None, and_system: false };
            return Ok((TlsPolicy::new(Roots::System), source));
        }
        (None, Some(file), None) => ("SSL_CERT_FILE", file.clone(), bundle::load(&file)?),
        (None, None, Some(list)) => ("SSL_CERT_DIR", list.clone(), directories(&list)?),
        (None, Some(file), Some(list)) => {
            let mut all = bundle::load(&file)?;
            all.extend(directories(&list)?);
            ("SSL_CERT_FILE and SSL_CERT_DIR", file, all)
        }
    };
    for useless in usable::check(&path, &all)? {
        warn_once(useless);
    }
    let source = TrustSource { named_by: by.to_owned(), path: Some(path), and_system: false };
    Ok((TlsPolicy::new(Roots::Bundle(all)), source))
}

/// Loads `SSL_CERT_DIR`, a list of directories like `PATH`.
fn directories(list: &Path) -> Result<Vec<bundle::Certificate>, TlsFileError> {
    let mut all = Vec::new();
    for directory in std::env::split_paths(list) {
        all.extend(bundle::load(&directory)?);
    }
    Ok(all)
}

/// The precedence is that of the `OpenStack` clients, Python's requests and curl.
const VARIABLES: &[&str] = &["OS_CACERT", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"];

#[cfg(test)]
mod tests {
    use super::*;

    fn file() -> tempfile::NamedTempFile {
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new(vec!["ca.test".to_owned()]).unwrap();
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), params.self_signed(&key).unwrap().pem()).unwrap();
        file
    }

    fn named_by(named: &[(&str, Option<PathBuf>)], env: &[(&str, &Path)]) -> Option<String> {
        let lookup = |name: &str| {
            let (_, path) = env.iter().find(|(key, _)| *key == name)?;
            Some(path.to_string_lossy().into_owned())
        };
        Some(resolve(named, &lookup).ok()?.1.named_by)
    }

    #[test]
    fn the_first_that_is_named_wins() {
        let file = file();
        let path = file.path();
        let (empty, missing) = (Path::new(""), Path::new("/nonexistent"));
        let flag = [("--cacert", None), ("cacert of cloud a", Some(path.to_owned()))];
        assert_eq!(named_by(&flag, &[("OS_CACERT", path)]).unwrap(), "cacert of cloud a");
        let env = [("OS_CACERT", empty), ("CURL_CA_BUNDLE", path), ("SSL_CERT_FILE", missing)];
        assert_eq!(named_by(&[], &env).unwrap(), "CURL_CA_BUNDLE");
        assert_eq!(named_by(&[], &[("SSL_CERT_FILE", path)]).unwrap(), "SSL_CERT_FILE");
        assert_eq!(named_by(&[], &[("OS_CACERT", empty)]).unwrap(), "the system");
        assert_eq!(named_by(&[], &[("OS_CACERT", missing), ("CURL_CA_BUNDLE", path)]), None);
    }
}
