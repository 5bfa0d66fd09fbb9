//! Finds Glance in the catalogue that comes with a token.

use serde::Deserialize;
use url::Url;

use super::{SignInError, SignInErrorKind};

/// One service of the catalogue.
#[derive(Debug, Deserialize)]
pub(super) struct Service {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    endpoints: Vec<Endpoint>,
}

#[derive(Debug, Deserialize)]
struct Endpoint {
    interface: String,
    url: String,
    region_id: Option<String>,
    // The older name of the same.
    region: Option<String>,
}

impl Endpoint {
    fn region(&self) -> &str {
        self.region_id.as_deref().or(self.region.as_deref()).unwrap_or("")
    }
}

/// The first image endpoint of the interface, in the region if one is wanted.
pub(super) fn image_endpoint(
    catalogue: &[Service],
    region: Option<&str>,
    interface: &str,
) -> Result<String, SignInError> {
    let fail = |reason: String, hint: &str| {
        Err(SignInError::new(SignInErrorKind::Catalogue, reason, Some(hint)))
    };
    let wanted = interface.strip_suffix("URL").unwrap_or(interface);
    let all: Vec<&Endpoint> = catalogue
        .iter()
        .filter(|service| service.kind == "image")
        .flat_map(|service| &service.endpoints)
        .collect();
    if all.is_empty() {
        return fail(
            "the catalogue has no image service".into(),
            "name a project to sign in to, or say image_endpoint_override",
        );
    }
    let found = all.iter().find(|endpoint| {
        endpoint.interface == wanted && region.is_none_or(|region| endpoint.region() == region)
    });
    let Some(found) = found else {
        let place = region.map(|region| format!(" in region `{region}`")).unwrap_or_default();
        let offers = all.iter().map(|one| format!("{} in `{}`", one.interface, one.region()));
        return fail(
            format!("the catalogue has no {wanted} image endpoint{place}"),
            &format!("it offers: {}", offers.collect::<Vec<_>>().join(", ")),
        );
    };
    match Url::parse(&found.url) {
        Ok(url) if matches!(url.scheme(), "https" | "http") => Ok(normalise(url.as_str())),
        _ => fail(
            format!("the catalogue's {wanted} image endpoint is no URL"),
            "have the catalogue corrected, or say image_endpoint_override",
        ),
    }
}

/// The endpoint without its version, so that `v2/` can follow: `https://h/image/v2.1/` is
/// `https://h/image`.
pub(super) fn normalise(url: &str) -> String {
    let url = url.trim_end_matches('/');
    let base = match url.rsplit_once('/') {
        Some((base, last)) if last == "v2" || last.starts_with("v2.") => base,
        _ => url,
    };
    base.trim_end_matches('/').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn catalogue() -> Vec<Service> {
        serde_json::from_str(
            r#"[{"type": "compute", "endpoints": [{"interface": "public", "url": "https://n"}]},
                {"type": "image", "name": "glance", "endpoints": [
                 {"interface": "internal", "region_id": "A", "region": "A", "url": "https://ai:9292"},
                 {"interface": "public", "region": "A", "url": "https://a/image/v2/"},
                 {"interface": "public", "region_id": "B", "url": "https://b/v2.1"}]}]"#,
        )
        .unwrap()
    }

    #[test]
    fn chooses_by_interface_and_region() {
        let choose = |region, interface| image_endpoint(&catalogue(), region, interface).unwrap();
        assert_eq!(choose(None, "public"), "https://a/image");
        assert_eq!(choose(Some("B"), "publicURL"), "https://b");
        assert_eq!(choose(Some("A"), "internal"), "https://ai:9292");
    }

    #[test]
    fn says_what_there_is() {
        let error = image_endpoint(&catalogue(), Some("C"), "public").unwrap_err();
        assert_eq!(error.kind, SignInErrorKind::Catalogue);
        assert!(error.reason.contains("`C`"));
        assert!(error.hint.unwrap().contains("public in `B`"));
        assert!(image_endpoint(&[], None, "public").is_err());
    }

    #[test]
    fn the_version_goes_and_the_prefix_stays() {
        for (url, base) in [
            ("https://h:9292", "https://h:9292"),
            ("https://h:9292/", "https://h:9292"),
            ("https://h/image/v2", "https://h/image"),
            ("https://h/image/v2.15//", "https://h/image"),
            ("https://h/v2x", "https://h/v2x"),
        ] {
            assert_eq!(normalise(url), base);
        }
    }
}
