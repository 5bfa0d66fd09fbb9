//! Server-side import, and placement in the target's stores.
//!
//! The target's own workers fetch the data. Record, proof and publication are the same as for
//! streamed data. If the workers can't fetch an image, its data is streamed through this process
//! into the same record.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::Arc;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use glance_core::content_format;
use glance_core::image::{Image, Status};
use glance_core::store::{ByteRange, ImageStore, Import, ServerSideImport, StoreErrorKind};

use crate::planning::{Goal, content_difference, is_provable};
use crate::{ContentCheck, CopyError, Difference, Phase, Policy, Proven, Replication};

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

/// How the data of an image reached the target.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DataPath {
    /// How the data was transferred; `None` if it was not.
    pub way: Option<TransferMethod>,
    /// What proves the data; `None` if it was not copied.
    pub proven: Option<Proven>,
    /// Number of bytes that the target stored, if its record says.
    pub bytes: Option<u64>,
    /// Notes for the operator, one sentence each, without a full stop.
    pub notes: Vec<String>,
}

/// A path of data to the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransferMethod {
    /// Streamed through this process.
    Streamed,
    /// Imported by the target itself.
    Imported,
}

impl DataPath {
    /// Records what proves the data, and the stored size.
    pub(crate) fn prove(&mut self, proven: Proven, stored: &Image) {
        (self.proven, self.bytes) = (Some(proven), stored.size);
    }
}

impl Placement {
    /// The store for the data of `image`.
    fn of(&self, image: &Image) -> Option<&str> {
        let by_source = image.stores.iter().find_map(|store| self.by_source.get(store));
        by_source.or(self.store.as_ref()).map(String::as_str)
    }

    /// The stores that still lack the data of `replica`. Empty unless the image is active, because
    /// Glance copies only active images.
    fn missing(&self, replica: &Image) -> Vec<String> {
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
    fn address(&self, image: &Image) -> String {
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
            return Err(InvalidTemplate("it is no address that begins with https://"));
        };
        if !text.contains("{id}") && !text.contains("{name}") {
            return Err(InvalidTemplate("all images would have the same data: it has no {id}"));
        }
        match rest.split('/').next().is_some_and(|host| host.contains('@')) {
            true => Err(InvalidTemplate("Glance keeps it, so it must have no password")),
            false => Ok(Self(text.to_owned())),
        }
    }
}

impl Replication {
    /// The target, bound to the store that new data of `image` goes into.
    pub(crate) fn target_of(&self, image: &Image) -> Arc<dyn ImageStore> {
        let delivery = self.policy.delivery.as_ref();
        let placed = delivery
            .and_then(|delivery| Some(delivery.target.placing(delivery.placement.of(image)?)));
        placed.unwrap_or_else(|| Arc::clone(&self.target))
    }

    /// The import request for `image`; `None` if its data is streamed through this process.
    ///
    /// # Errors
    /// The reason why the target can't import the image.
    pub(crate) fn import_of(
        &self,
        image: &Image,
        record: &Image,
    ) -> Result<Option<Import>, String> {
        let origin = self.policy.delivery.as_ref().and_then(|delivery| delivery.origin.as_ref());
        let formats = |image: &Image| {
            let attributes = &image.attributes;
            (attributes.disk_format.clone(), attributes.container_format.clone())
        };
        match origin {
            None => Ok(None),
            Some(_) if image.size == Some(0) => Ok(None),
            Some(ImportSource::Web(template)) => {
                Ok(Some(Import::Web { uri: template.address(image) }))
            }
            Some(ImportSource::Glance { .. }) if image.status != Status::Active => Err(format!(
                "it is {} at the source, and Glance imports active images",
                image.status
            )),
            Some(ImportSource::Glance { .. }) if formats(image) != formats(record) => {
                Err("Glance would write the source's formats into the record".to_owned())
            }
            Some(ImportSource::Glance { region, interface }) => Ok(Some(Import::Glance {
                region: region.clone(),
                interface: interface.clone(),
                image: image.id.clone(),
            })),
        }
    }

    /// Adds a note that the data is streamed because the target can't import it.
    ///
    /// # Errors
    /// When the policy does not allow streaming as a fallback.
    pub(crate) fn fall_back(&self, reason: &str, journey: &mut DataPath) -> Result<(), CopyError> {
        let delivery = self.policy.delivery.as_ref();
        if delivery.is_some_and(|delivery| delivery.fallback == Fallback::Fail) {
            return Err(CopyError::Blocked {
                reason: format!("the target can't import its data: {reason}"),
                hint: Some("leave out --no-fallback: its data then passes through here".to_owned()),
            });
        }
        journey.notes.push(format!("sent from here, not imported by the target: {reason}"));
        Ok(())
    }

    /// Lets the target import the data of `record`. `None` if it can't and the record still accepts
    /// other data.
    pub(crate) async fn import(
        &self,
        image: &Image,
        record: &Image,
        import: &Import,
        journey: &mut DataPath,
    ) -> Result<Option<Image>, CopyError> {
        let Some(delivery) = &self.policy.delivery else { return Ok(None) };
        let place = delivery.placement.of(image);
        let error = match delivery.target.import(&record.id, import, place).await {
            Ok(stored) => {
                journey.way = Some(TransferMethod::Imported);
                return Ok(Some(stored));
            }
            Err(error) => error,
        };
        let now = self.target.get(&record.id).await.map_err(CopyError::Target)?;
        match (now.status, error.kind) {
            _ if now.is_importing() => Err(CopyError::busy(Status::Importing)),
            (Status::Queued, StoreErrorKind::Transport(_) | StoreErrorKind::Unauthenticated) => {
                Err(CopyError::Target(error))
            }
            (Status::Queued, _) => {
                let method = import.method();
                tracing::info!(image = %image.id, "{method}: {error}");
                self.fall_back(&format!("{method}: {}", error.reason), journey).map(|()| None)
            }
            // The import completed after the request for its result had failed.
            (status, _) if status.has_data() => {
                journey.way = Some(TransferMethod::Imported);
                Ok(Some(now))
            }
            (status, _) => Err(CopyError::busy(status)),
        }
    }

    /// Rejects data that the target would reject after an import. Glance would keep an unusable
    /// record after a failed import, too.
    pub(crate) async fn check_head(&self, image: &Image, record: &Image) -> Result<(), CopyError> {
        let (ContentCheck::Glance, Some(size)) = (self.policy.content, image.size) else {
            return Ok(());
        };
        for length in [content_format::SHORT_HEAD, content_format::HEAD] {
            let range = ByteRange { offset: 0, length: Some(length as u64) };
            let data = self.source.read(&image.id, range).await.map_err(CopyError::Source)?;
            let (head, _) = data.peek(length).await;
            if head.len() < length
                || length == content_format::HEAD
                || content_format::is_enough(&head)
            {
                return self.judge_head(record, &head, size);
            }
        }
        Ok(())
    }

    /// Verifies data that the target imported, and publishes the image. If the records do not prove
    /// the data, the source is read.
    pub(crate) async fn take(
        &self,
        image: &Image,
        record: &Image,
        stored: Image,
        goal: &Goal,
        journey: &mut DataPath,
    ) -> Result<(), CopyError> {
        self.policy.journal.note(Phase::Stored, image, &stored).await;
        match content_difference(image, &stored) {
            Some(difference) => return Err(self.quarantine(image, &stored, difference).await),
            None if is_provable(image, &stored) => {}
            None => self.prove_stored(image, &stored).await?,
        }
        journey.prove(self.proven(image, &stored, false), &stored);
        // An import also copies some of the source's properties, wanted or not.
        let restored = self.target.update(&stored, &record.attributes).await;
        self.finish(image, &restored.map_err(CopyError::Target)?, goal).await
    }

    /// Lets the target copy the data of `replica` to all stores where it is missing.
    pub(crate) async fn copy_to_more_stores(&self, replica: &Image) -> Result<(), CopyError> {
        let Some(delivery) = &self.policy.delivery else { return Ok(()) };
        let missing = delivery.placement.missing(replica);
        if missing.is_empty() {
            return Ok(());
        }
        let copied = delivery.target.copy_to_stores(&replica.id, &missing).await;
        let failed = |error| CopyError::NotInStores { stores: missing.join(", "), error };
        copied.map(drop).map_err(failed)
    }
}

impl Policy {
    /// Whether the target imports data on its own.
    pub(crate) fn imports(&self) -> bool {
        self.delivery.as_ref().is_some_and(|delivery| delivery.origin.is_some())
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
    fn an_address_for_all_images_or_with_a_password_is_none() {
        for (text, wrong) in [
            ("https://w/image", "all images"),
            ("ftp://w/{id}", "begins with https://"),
            ("https://me:secret@w/{id}", "no password"),
        ] {
            let error = text.parse::<Template>().unwrap_err();
            assert!(error.to_string().contains(wrong), "{text}: {error}");
        }
        assert!("https://w/@{id}".parse::<Template>().is_ok_and(|template| !template.is_plain()));
        assert!("http://w/{id}".parse::<Template>().is_ok_and(|template| template.is_plain()));
    }

    #[test]
    fn the_store_of_an_image_is_that_of_its_source_or_else_the_one_for_all() {
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
