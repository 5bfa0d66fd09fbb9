//! Finds Glance in the service catalog that comes with a token.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use url::Url;

use super::{SignInError, SignInErrorKind};

/// One service of Keystone's catalog:
/// <https://docs.openstack.org/api-ref/identity/v3/#get-service-catalog>.
///
/// Missing fields become empty, so that an incomplete entry of another service is not an error.
#[derive(Debug, Clone, Deserialize)]
#[non_exhaustive]
pub struct Service {
    /// The type of the service, such as `image`.
    #[serde(rename = "type", default, deserialize_with = "text_or_nothing")]
    pub kind: String,
    /// The name of the service; old Keystones omit it.
    #[serde(default)]
    pub name: Option<String>,
    /// The endpoints of the service.
    #[serde(default, deserialize_with = "useful")]
    pub endpoints: Vec<Endpoint>,
}

/// One endpoint of a service.
#[derive(Debug, Clone, Deserialize)]
#[non_exhaustive]
pub struct Endpoint {
    /// The audience: `public`, `internal` or `admin`.
    #[serde(default, deserialize_with = "text_or_nothing")]
    pub interface: String,
    /// The URL, with or without a version.
    #[serde(default, deserialize_with = "text_or_nothing")]
    pub url: String,
    /// The region.
    pub region_id: Option<String>,
    /// The older field for the region.
    pub region: Option<String>,
}

impl Endpoint {
    fn region(&self) -> &str {
        self.region_id.as_deref().or(self.region.as_deref()).unwrap_or("")
    }
}

/// An entry of the catalog. Useless entries are discarded.
pub(super) trait Entry {
    fn is_useful(&self) -> bool;
}

impl Entry for Service {
    fn is_useful(&self) -> bool {
        !self.kind.is_empty()
    }
}

impl Entry for Endpoint {
    fn is_useful(&self) -> bool {
        !self.url.is_empty()
    }
}

/// Deserializes a list and keeps only useful entries: an empty entry uses more memory than its
/// text.
pub(super) fn useful<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Entry,
{
    struct Useful<T>(PhantomData<T>);

    impl<'de, T: Deserialize<'de> + Entry> Visitor<'de> for Useful<T> {
        type Value = Vec<T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vec<T>, A::Error> {
            let mut found = Vec::new();
            while let Some(entry) = list.next_element::<T>()? {
                if entry.is_useful() {
                    found.push(entry);
                }
            }
            Ok(found)
        }
    }

    deserializer.deserialize_seq(Useful(PhantomData))
}

pub(super) fn text_or_nothing<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<String, D::Error> {
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// Selects the image service of a cloud.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageService {
    /// The region, if one was requested or configured.
    pub region: Option<String>,
    /// The acceptable interfaces, in order of preference: `public`, `internal` or `admin`.
    pub interfaces: Vec<String>,
    /// The type of the service in the catalog.
    pub service_type: String,
    /// The name of the service in the catalog, if several have that type.
    pub service_name: Option<String>,
    /// An endpoint that replaces the one in the catalog.
    pub endpoint_override: Option<String>,
    /// Whether version discovery can be skipped.
    pub version_is_known: bool,
}

impl Default for ImageService {
    fn default() -> Self {
        Self {
            region: None,
            interfaces: vec!["public".into()],
            service_type: "image".into(),
            service_name: None,
            endpoint_override: None,
            version_is_known: false,
        }
    }
}

/// Returns the base URL of the wanted service from the catalog.
pub(super) fn choose(catalog: &[Service], wanted: &ImageService) -> Result<Url, SignInError> {
    let found = fitting(catalog, wanted)?;
    let chosen = found[0];
    if let Some(warning) = several_regions(&found) {
        tracing::warn!("{warning}");
    }
    base(&chosen.url).ok_or_else(|| {
        catalog_error(
            format!("the {} image endpoint in the catalog is not a URL", chosen.interface),
            "correct the catalog, or set image_endpoint_override",
        )
    })
}

/// The region of the wanted service in the catalog.
pub(super) fn region<'a>(catalog: &'a [Service], wanted: &ImageService) -> Option<&'a str> {
    let region = fitting(catalog, wanted).ok()?.first()?.region();
    (!region.is_empty()).then_some(region)
}

/// The matching endpoints; an error if there are none.
fn fitting<'a>(
    catalog: &'a [Service],
    wanted: &ImageService,
) -> Result<Vec<&'a Endpoint>, SignInError> {
    let all = offers(catalog, wanted)?;
    let fits = |endpoint: &&&Endpoint, interface: &str| {
        endpoint.interface.strip_suffix("URL").unwrap_or(&endpoint.interface) == interface
            && wanted.region.as_deref().is_none_or(|region| endpoint.region() == region)
    };
    let found = wanted
        .interfaces
        .iter()
        .map(|interface| all.iter().filter(|one| fits(one, interface)).copied().collect())
        .find(|found: &Vec<&Endpoint>| !found.is_empty());
    found.ok_or_else(|| nothing_fits(&all, wanted))
}

/// A note for the operator if the first endpoint was chosen from several regions.
fn several_regions(found: &[&Endpoint]) -> Option<String> {
    let mut regions: Vec<&str> = found.iter().map(|endpoint| endpoint.region()).collect();
    regions.dedup();
    let (chosen, others) = regions.split_first()?;
    (!others.is_empty()).then(|| {
        format!(
            "the catalog has image services in several regions ({}). The tool uses {chosen} at {}. \
             Set region_name to choose",
            regions.join(", "),
            found[0].url
        )
    })
}

fn offers<'a>(
    catalog: &'a [Service],
    wanted: &ImageService,
) -> Result<Vec<&'a Endpoint>, SignInError> {
    let kind = &wanted.service_type;
    let services = catalog.iter().filter(|service| service.kind == *kind);
    // A service without a name may be the wanted one.
    let named = |service: &&Service| match (&wanted.service_name, &service.name) {
        (Some(wanted), Some(name)) => wanted == name,
        _ => true,
    };
    let endpoints = services.filter(named).flat_map(|service| &service.endpoints);
    let all: Vec<&Endpoint> = endpoints.filter(|endpoint| !endpoint.url.is_empty()).collect();
    match (all.is_empty(), &wanted.service_name) {
        (false, _) => Ok(all),
        (true, None) => Err(catalog_error(
            format!("the catalog has no {kind} service"),
            "sign in to a project, or set image_endpoint_override",
        )),
        (true, Some(name)) => Err(catalog_error(
            format!("the catalog has no {kind} service named `{name}`"),
            "correct image_service_name, or set image_endpoint_override",
        )),
    }
}

fn nothing_fits(all: &[&Endpoint], wanted: &ImageService) -> SignInError {
    let place = wanted.region.as_ref().map(|region| format!(" in region `{region}`"));
    let offers = all.iter().map(|one| format!("{} in `{}`", one.interface, one.region()));
    catalog_error(
        format!(
            "the catalog has no {} image endpoint{}",
            wanted.interfaces.join(" or "),
            place.unwrap_or_default()
        ),
        &format!("use one of these endpoints: {}", offers.collect::<Vec<_>>().join(", ")),
    )
}

pub(super) fn catalog_error(reason: String, hint: &str) -> SignInError {
    SignInError::new(SignInErrorKind::Catalog, reason, Some(hint))
}

/// The endpoint without version, project and trailing slashes, ready for appending `/v2/`:
/// `https://h/image/v2.1/` becomes `https://h/image`. `None` if it is not a URL that may be shown.
pub(super) fn base(endpoint: &str) -> Option<Url> {
    let mut url = Url::parse(endpoint).ok()?;
    let secret = !url.username().is_empty() || url.password().is_some();
    if secret || !matches!(url.scheme(), "https" | "http") || !url.has_host() {
        return None;
    }
    url.set_query(None);
    url.set_fragment(None);
    let mut parts: Vec<&str> = url.path().split('/').filter(|part| !part.is_empty()).collect();
    // Some services put the project after the version.
    let is_version = |at: Option<usize>| at.is_some_and(|at| is_version(parts[at]));
    if is_version(parts.len().checked_sub(1)) {
        parts.pop();
    } else if is_version(parts.len().checked_sub(2)) {
        parts.truncate(parts.len() - 2);
    }
    let path = parts.join("/");
    url.set_path(&path);
    Some(url)
}

fn is_version(part: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_digit());
    part.strip_prefix('v').is_some_and(|number| number.split('.').all(digits))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn catalog() -> Vec<Service> {
        serde_json::from_str(
            r#"[{"type": "compute", "endpoints": [{"interface": "public", "url": "https://n"}]},
                {"type": "image", "name": "glance", "endpoints": [
                 {"interface": "internal", "region_id": "A", "region": "A", "url": "https://ai:9292"},
                 {"interface": "public", "region": "A", "url": "https://a/image/v2/"},
                 {"interface": "public", "region_id": "B", "url": "https://b/v2.1"}]}]"#,
        )
        .unwrap()
    }

    fn wanted(region: Option<&str>, interfaces: &[&str]) -> ImageService {
        ImageService {
            region: region.map(str::to_owned),
            interfaces: interfaces.iter().map(|&one| one.to_owned()).collect(),
            ..ImageService::default()
        }
    }

    #[test]
    fn chooses_by_interface_and_region() {
        let choose = |region, interfaces: &[&str]| {
            choose(&catalog(), &wanted(region, interfaces)).unwrap().to_string()
        };
        assert_eq!(choose(None, &["public"]), "https://a/image");
        assert_eq!(choose(Some("B"), &["public"]), "https://b/");
        assert_eq!(choose(Some("A"), &["internal", "public"]), "https://ai:9292/");
        assert_eq!(choose(Some("B"), &["internal", "public"]), "https://b/");
    }

    #[test]
    fn chooses_by_type_and_name() {
        let mut by_name =
            ImageService { service_name: Some("glance".into()), ..wanted(None, &["public"]) };
        assert!(choose(&catalog(), &by_name).is_ok());
        by_name.service_name = Some("other".into());
        assert!(choose(&catalog(), &by_name).unwrap_err().reason.contains("`other`"));
        let by_type = ImageService { service_type: "compute".into(), ..wanted(None, &["public"]) };
        assert_eq!(choose(&catalog(), &by_type).unwrap().as_str(), "https://n/");
    }

    #[test]
    fn a_choice_among_regions_is_told() {
        let all = catalog();
        let public: Vec<&Endpoint> = all[1].endpoints[1..].iter().collect();
        let warning = several_regions(&public).unwrap();
        assert!(
            warning.contains("several regions (A, B). The tool uses A at https://a/image/v2/. Set")
        );
        assert!(several_regions(&public[1..]).is_none());
        assert!(several_regions(&[public[0], public[0]]).is_none());
    }

    #[test]
    fn what_is_of_no_interest_is_not_in_the_way() {
        let services: Vec<Service> = serde_json::from_str(
            r#"[{"endpoints": [{}]}, {"type": null, "name": null}, {"type": "image", "endpoints": [
                {"interface": "public", "url": null},
                {"interface": "publicURL", "url": "https://g"}]}]"#,
        )
        .unwrap();
        assert_eq!(choose(&services, &ImageService::default()).unwrap().as_str(), "https://g/");
    }

    #[test]
    fn says_what_there_is() {
        let error = choose(&catalog(), &wanted(Some("C"), &["public"])).unwrap_err();
        assert_eq!(error.kind, SignInErrorKind::Catalog);
        assert!(error.reason.contains("`C`"));
        assert!(error.hint.unwrap().contains("public in `B`"));
        assert!(choose(&[], &wanted(None, &["public"])).is_err());
    }

    #[test]
    fn the_version_goes_and_the_prefix_stays() {
        for (url, expected) in [
            ("https://h:9292", "https://h:9292/"),
            ("https://h:9292/", "https://h:9292/"),
            ("https://h/image/v2", "https://h/image"),
            ("https://h/image/v2.15//", "https://h/image"),
            ("https://h/v1/0123abc", "https://h/"),
            ("https://h/a/b?x=y", "https://h/a/b"),
            ("https://h/v2x", "https://h/v2x"),
            ("http://[fd00::1]:9292/v2", "http://[fd00::1]:9292/"),
        ] {
            assert_eq!(base(url).unwrap().as_str(), expected);
        }
        for url in ["https://u:hush@h", "ftp://h", "h:9292", "/v2"] {
            assert!(base(url).is_none(), "{url}");
        }
    }
}
