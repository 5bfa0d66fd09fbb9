//! How a Glance target gets image data, and in which of its stores it puts it.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::Arc;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use glance_core::image::{Image, Status};
use glance_core::store::ServerSideImport;

use crate::comparison::Difference;

/// How a Glance target gets data, and in which stores it puts it.
#[derive(Debug, Clone)]
pub struct DeliveryOptions {
    /// The target's server-side import interface.
    pub target: Arc<dyn ServerSideImport>,
    /// Where the target's workers fetch the data. `None`: data is streamed through this process.
    pub origin: Option<ImportSource>,
    /// What to do with images that the workers can't fetch.
    pub fallback: Fallback,
    /// In which of the target's stores the data is put.
    pub placement: Placement,
}

/// Where the target's workers fetch data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImportSource {
    /// The source, a Glance that uses the same Keystone as the target.
    Glance {
        /// The source's region.
        region: String,
        /// The interface at which the workers reach the source: `public`, `internal` or `admin`.
        interface: String,
    },
    /// A web server that serves the same data.
    Web(Template),
}

/// What to do with images that the target's workers can't fetch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Fallback {
    /// Stream the data through this process.
    #[default]
    Stream,
    /// Fail the image.
    Fail,
}

/// The stores of a Glance in which data is put, by store name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Placement {
    /// The store for new data. `None`: Glance chooses.
    pub store: Option<String>,
    /// The store for new data by store of the source. These rules take precedence over `store`.
    pub by_source: BTreeMap<String, String>,
    /// Stores that get an additional copy.
    pub also: Vec<String>,
}

/// The address of image data on a web server. `{id}` and `{name}` are replaced by those of the
/// image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template(String);

/// Why the text of a [`Template`] is invalid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidTemplate(&'static str);

impl Placement {
    /// The store for the data of `image`.
    pub(crate) fn of(&self, image: &Image) -> Option<&str> {
        let by_source = image.stores.iter().find_map(|store| self.by_source.get(store));
        by_source.or(self.store.as_ref()).map(String::as_str)
    }

    /// The stores that still lack the data of `replica`. Empty unless the image is active, because
    /// Glance copies only active images.
    pub(crate) fn missing(&self, replica: &Image) -> Vec<String> {
        let is_missing = |store: &&String| !replica.stores.contains(store);
        match replica.status {
            Status::Active => self.also.iter().filter(is_missing).cloned().collect(),
            _ => Vec::new(),
        }
    }

    /// The difference between the actual and the wanted stores of `replica`.
    pub(crate) fn difference(&self, replica: &Image) -> Option<Difference> {
        let missing = self.missing(replica);
        let wanted = [&replica.stores[..], &missing].concat().join(",");
        (!missing.is_empty()).then(|| Difference {
            field: "stores".to_owned(),
            source: wanted.into(),
            target: replica.stores.join(",").into(),
        })
    }
}

impl Template {
    pub(crate) fn address(&self, image: &Image) -> String {
        let encoded = |text: &str| utf8_percent_encode(text, ENCODED).to_string();
        let name = image.attributes.name.as_deref().unwrap_or_default();
        // The name is inserted last, since it may contain braces; an id can't.
        self.0.replace("{id}", image.id.as_str()).replace("{name}", &encoded(name))
    }

    /// Whether the data would be fetched over unencrypted HTTP.
    pub fn is_plain(&self) -> bool {
        self.0.starts_with("http://")
    }
}

impl FromStr for Template {
    type Err = InvalidTemplate;

    fn from_str(text: &str) -> Result<Self, InvalidTemplate> {
        let url = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
        let Some(rest) = url else {
            return Err(InvalidTemplate("the address does not begin with https://"));
        };
        if !text.contains("{id}") && !text.contains("{name}") {
            return Err(InvalidTemplate(
                "the address has no {id}: all images would have the same data",
            ));
        }
        match rest.split('/').next().is_some_and(|host| host.contains('@')) {
            true => Err(InvalidTemplate(
                "the address must contain no password, because Glance stores it",
            )),
            false => Ok(Self(text.to_owned())),
        }
    }
}

/// Every byte is percent-encoded except the unreserved ones (RFC 3986, section 2.3).
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

#[cfg(test)]
mod tests {
    use super::*;
    use glance_core::image::{Attributes, ImageId};

    #[test]
    fn an_address_is_made_of_id_and_name() {
        let attributes =
            Attributes { name: Some("a b/{id}?ü".to_owned()), ..Attributes::default() };
        let id: ImageId = "00000000-0000-4000-8000-000000000001".parse().unwrap();
        let image = Image::queued(id, attributes);
        let address = |text: &str| text.parse::<Template>().unwrap().address(&image);
        let expected = "https://w/00000000-0000-4000-8000-000000000001?n=a%20b%2F%7Bid%7D%3F%C3%BC";
        assert_eq!(address("https://w/{id}?n={name}"), expected);
        let nameless = Image { attributes: Attributes::default(), ..image };
        assert_eq!(
            "http://w/{name}.img".parse::<Template>().unwrap().address(&nameless),
            "http://w/.img"
        );
    }

    #[test]
    fn an_address_without_id_or_with_a_password_is_refused() {
        for (text, wrong) in [
            ("https://w/image", "all images"),
            ("ftp://w/{id}", "begin with https://"),
            ("https://me:secret@w/{id}", "no password"),
        ] {
            let error = text.parse::<Template>().unwrap_err();
            assert!(error.to_string().contains(wrong), "{text}: {error}");
        }
        assert!("https://w/@{id}".parse::<Template>().is_ok_and(|template| !template.is_plain()));
        assert!("http://w/{id}".parse::<Template>().is_ok_and(|template| template.is_plain()));
    }

    #[test]
    fn the_store_depends_on_the_source_store_first() {
        let placement = Placement {
            store: Some("all".to_owned()),
            by_source: [("ceph".to_owned(), "fast".to_owned())].into(),
            also: vec!["copy".to_owned(), "fast".to_owned()],
        };
        let image = |stores: &[&str]| Image {
            status: Status::Active,
            stores: stores.iter().map(|name| (*name).to_owned()).collect(),
            ..Image::queued(ImageId::random(), Attributes::default())
        };
        assert_eq!(placement.of(&image(&["swift", "ceph"])), Some("fast"));
        assert_eq!(placement.of(&image(&["swift"])), Some("all"));
        assert_eq!(Placement::default().of(&image(&["swift"])), None);
        assert_eq!(placement.missing(&image(&["fast"])), ["copy"]);
        let difference = placement.difference(&image(&["fast"])).unwrap();
        assert_eq!((difference.source, difference.target), ("fast,copy".into(), "fast".into()));
        assert!(placement.difference(&image(&["copy", "fast"])).is_none());
        let deactivated = Image { status: Status::Deactivated, ..image(&["fast"]) };
        assert!(placement.difference(&deactivated).is_none());
    }
}
