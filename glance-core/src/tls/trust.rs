//! Which trust store is in force, of the many that may be named.

use std::path::{Path, PathBuf};

use super::bundle;
use super::{Roots, TlsFileError, TlsPolicy, TrustSource};

/// Finds the trust store: the first of `named` (who names it, and the path), then what the
/// environment names, then the system's. The first that is named is the only one; an empty name
/// names nothing.
///
/// # Errors
/// When the one that is named can't be used. There is no falling through to the next.
pub fn resolve(
    named: &[(&str, Option<PathBuf>)],
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<(TlsPolicy, TrustSource), TlsFileError> {
    let set = |path: &PathBuf| !path.as_os_str().is_empty();
    let variable = |name: &str| env(name).map(PathBuf::from).filter(set);
    let mut choices = named.iter().map(|(by, path)| (*by, path.clone().filter(set)));
    let first = choices.find_map(|(by, path)| Some((by, path?)));
    let first = first.or_else(|| VARIABLES.iter().find_map(|name| Some((*name, variable(name)?))));
    if let Some((by, path)) = first {
        return Ok((TlsPolicy::new(Roots::Bundle(bundle::load(&path)?)), source(by, &path)));
    }
    match (variable("SSL_CERT_FILE"), variable("SSL_CERT_DIR")) {
        (None, None) => {
            let source =
                TrustSource { named_by: "the system".to_owned(), path: None, and_system: false };
            Ok((TlsPolicy::new(Roots::System), source))
        }
        (Some(file), None) => Ok((
            TlsPolicy::new(Roots::Bundle(bundle::load(&file)?)),
            source("SSL_CERT_FILE", &file),
        )),
        (None, Some(list)) => {
            Ok((TlsPolicy::new(Roots::Bundle(directories(&list)?)), source("SSL_CERT_DIR", &list)))
        }
        (Some(file), Some(list)) => {
            let mut all = bundle::load(&file)?;
            all.extend(directories(&list)?);
            Ok((
                TlsPolicy::new(Roots::Bundle(all)),
                source("SSL_CERT_FILE and SSL_CERT_DIR", &file),
            ))
        }
    }
}

/// `SSL_CERT_DIR` is a list, like `PATH`.
fn directories(list: &Path) -> Result<Vec<bundle::Certificate>, TlsFileError> {
    let mut all = Vec::new();
    for directory in std::env::split_paths(list) {
        all.extend(bundle::load(&directory)?);
    }
    Ok(all)
}

fn source(by: &str, path: &Path) -> TrustSource {
    TrustSource { named_by: by.to_owned(), path: Some(path.to_owned()), and_system: false }
}

/// The order in which the clients of `OpenStack`, Python's requests and curl are configured.
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
