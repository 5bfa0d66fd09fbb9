//! Which trust store is used.

use std::path::PathBuf;

use super::bundle::{self, BundleError};
use super::{Roots, TlsPolicy, TlsVersion, TrustSource};

/// Finds the trust store. The first that is named wins and replaces all others:
///
/// 1. `named`, in its order: options of the command line, then the cloud's `cacert`;
/// 2. `OS_CACERT`, `REQUESTS_CA_BUNDLE`, `CURL_CA_BUNDLE`;
/// 3. `SSL_CERT_FILE` and `SSL_CERT_DIR` together;
/// 4. the system's.
///
/// An empty variable counts as unset.
///
/// # Errors
/// When what is named can't be used: there is no falling through to the next.
pub fn resolve(
    named: &[(&str, Option<PathBuf>)],
    environment: &dyn Fn(&str) -> Option<String>,
) -> Result<(TlsPolicy, TrustSource), BundleError> {
    let variable =
        |name: &str| environment(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let variables = VARIABLES.iter().map(|name| (*name, variable(name)));
    let first = named.iter().cloned().chain(variables).find(|(_, path)| path.is_some());
    if let Some((named_by, Some(path))) = first {
        let roots = Roots::Bundle(bundle::load(&path)?);
        return Ok(policy(roots, named_by, Some(path)));
    }
    let ssl = ["SSL_CERT_FILE", "SSL_CERT_DIR"].map(|name| (name, variable(name)));
    let Some((named_by, path)) = ssl.iter().find(|(_, path)| path.is_some()).cloned() else {
        return Ok(policy(Roots::System, "the system", None));
    };
    let mut certificates = Vec::new();
    for path in ssl.iter().filter_map(|(_, path)| path.as_ref()) {
        certificates.extend(bundle::load(path)?);
    }
    Ok(policy(Roots::Bundle(certificates), named_by, path))
}

fn policy(roots: Roots, named_by: &str, path: Option<PathBuf>) -> (TlsPolicy, TrustSource) {
    let policy = TlsPolicy { roots, min_version: TlsVersion::V1_2 };
    (policy, TrustSource { named_by: named_by.to_owned(), path })
}

const VARIABLES: [&str; 3] = ["OS_CACERT", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"];

#[cfg(test)]
mod tests {
    use super::*;

    /// Which of the missing files is complained about tells which one was chosen.
    fn chosen(named: Option<&str>, variables: &[(&str, &str)]) -> String {
        let environment = |name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        let named = [("--cacert", named.map(PathBuf::from))];
        match resolve(&named, &environment) {
            Ok((_, source)) => source.to_string(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn the_first_named_store_wins_and_nothing_falls_through() {
        let all = [
            ("OS_CACERT", "/missing/os"),
            ("REQUESTS_CA_BUNDLE", "/missing/requests"),
            ("CURL_CA_BUNDLE", "/missing/curl"),
            ("SSL_CERT_FILE", "/missing/file"),
        ];
        assert!(chosen(Some("/missing/flag"), &all).contains("/missing/flag"));
        assert!(chosen(None, &all).contains("/missing/os"));
        assert!(chosen(None, &all[1..]).contains("/missing/requests"));
        assert!(chosen(None, &all[2..]).contains("/missing/curl"));
        assert!(chosen(None, &all[3..]).contains("/missing/file"));
        assert_eq!(chosen(None, &[("OS_CACERT", "")]), "the system's trust store");
    }
}
