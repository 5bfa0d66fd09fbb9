//! Ways of data that do not lead through this process, and where the target puts it.
//!
//! The target's own workers get the data; record, proof and publication are as of every other copy.
//! What they can't get passes through here after all, into the same record.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::Arc;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use glance_core::content_format;
use glance_core::image::{Image, Status};
use glance_core::store::{ByteRange, ImageStore, Import, ServerSideImport, StoreErrorKind};

use crate::planning::{Goal, content_difference, is_provable};
use crate::{ContentCheck, CopyError, Difference, Phase, Policy, Proven, Replication};

/// How data gets to a target that is a Glance, and where it is put there.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// The target's ability to get data with its own workers.
    pub target: Arc<dyn ServerSideImport>,
    /// From where the target's own workers get the data; without it, it passes through here.
    pub origin: Option<Origin>,
    /// What becomes of images that they can't get.
    pub fallback: Fallback,
    /// In which of the target's stores the data is put.
    pub placement: Placement,
}

/// From where the target's own workers get data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// From the source, a Glance of the target's Keystone.
    Glance {
        /// The source's region.
        region: String,
        /// The interface at which the workers reach it: `public`, `internal` or `admin`.
        interface: String,
    },
    /// From a web server that has the same data.
    Web(Template),
}

/// What becomes of images that the target's workers can't get.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Fallback {
    /// Their data passes through here.
    #[default]
    Stream,
    /// They fail.
    Fail,
}

/// In which stores of a Glance data is put, by their names there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Placement {
    /// Where new data goes; without it, the Glance chooses.
    pub store: Option<String>,
    /// Where new data goes from a store of the source; these rules have the first word.
    pub by_source: BTreeMap<String, String>,
    /// Where it is to be too.
    pub also: Vec<String>,
}

/// The address of an image's data on a web server, in which `{id}` and `{name}` stand for those of
/// the image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template(String);

/// What is wrong with the text of a [`Template`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidTemplate(&'static str);

/// How an image's data came to the target.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Journey {
    /// By which way, if it moved.
    pub way: Option<Way>,
    /// What is proven of it, if it was copied.
    pub proven: Option<Proven>,
    /// Bytes that the target stored, if it says so.
    pub bytes: Option<u64>,
    /// What the operator should know of it, a sentence each, without its full stop.
    pub notes: Vec<String>,
}

/// A way of data to the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// Through this process.
    Streamed,
    /// The target got it by itself.
    Imported,
}

impl Journey {
    /// Takes down what is proven of what the target stored.
    pub(crate) fn prove(&mut self, proven: Proven, stored: &Image) {
        (self.proven, self.bytes) = (Some(proven), stored.size);
    }
}

impl Placement {
    /// The store that the data of `image` is put in.
    fn of(&self, image: &Image) -> Option<&str> {
        let by_source = image.stores.iter().find_map(|store| self.by_source.get(store));
        by_source.or(self.store.as_ref()).map(String::as_str)
    }

    /// The stores that are still to get the data of `replica`. Glance copies that of active images
    /// only.
    fn missing(&self, replica: &Image) -> Vec<String> {
        let is_missing = |store: &&String| !replica.stores.contains(store);
        match replica.status {
            Status::Active => self.also.iter().filter(is_missing).cloned().collect(),
            _ => Vec::new(),
        }
    }

    /// The difference between the stores that have the data of `replica`, and those that should.
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
        // An id has no braces, so that the name is put in last.
        self.0.replace("{id}", image.id.as_str()).replace("{name}", &encoded(name))
    }

    /// Whether the data would come unprotected.
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
    /// The target as new data of `image` is put into it.
    pub(crate) fn target_of(&self, image: &Image) -> Arc<dyn ImageStore> {
        let delivery = self.policy.delivery.as_ref();
        let placed = delivery
            .and_then(|delivery| Some(delivery.target.placing(delivery.placement.of(image)?)));
        placed.unwrap_or_else(|| Arc::clone(&self.target))
    }

    /// From where the target gets the data of `image` by itself; none where it passes through here.
    ///
    /// # Errors
    /// Why the target can't.
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
            Some(Origin::Web(template)) => Ok(Some(Import::Web { uri: template.address(image) })),
            Some(Origin::Glance { .. }) if image.status != Status::Active => Err(format!(
                "it is {} at the source, and Glance imports active images",
                image.status
            )),
            Some(Origin::Glance { .. }) if formats(image) != formats(record) => {
                Err("Glance would write the source's formats into the record".to_owned())
            }
            Some(Origin::Glance { region, interface }) => Ok(Some(Import::Glance {
                region: region.clone(),
                interface: interface.clone(),
                image: image.id.clone(),
            })),
        }
    }

    /// Takes down that data passes through here since the target can't get it.
    ///
    /// # Errors
    /// When that is not wanted.
    pub(crate) fn fall_back(&self, reason: &str, journey: &mut Journey) -> Result<(), CopyError> {
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

    /// Has the target get the data of `record` by itself. None when it can't, and the record is fit
    /// for other data.
    pub(crate) async fn import(
        &self,
        image: &Image,
        record: &Image,
        import: &Import,
        journey: &mut Journey,
    ) -> Result<Option<Image>, CopyError> {
        let Some(delivery) = &self.policy.delivery else { return Ok(None) };
        let place = delivery.placement.of(image);
        let error = match delivery.target.import(&record.id, import, place).await {
            Ok(stored) => {
                journey.way = Some(Way::Imported);
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
            // It came to its end when nobody looked.
            (status, _) if status.has_data() => {
                journey.way = Some(Way::Imported);
                Ok(Some(now))
            }
            (status, _) => Err(CopyError::busy(status)),
        }
    }

    /// Refuses what the target would, when it gets the data by itself: after an import, too, it
    /// keeps a record that can't be used.
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

    /// Proves data that the target got by itself, and publishes it. What the records do not prove
    /// is proven by reading the source.
    pub(crate) async fn take(
        &self,
        image: &Image,
        record: &Image,
        stored: Image,
        goal: &Goal,
        journey: &mut Journey,
    ) -> Result<(), CopyError> {
        self.policy.journal.note(Phase::Stored, image, &stored).await;
        match content_difference(image, &stored) {
            Some(difference) => return Err(self.quarantine(image, &stored, difference).await),
            None if is_provable(image, &stored) => {}
            None => self.prove_stored(image, &stored).await?,
        }
        journey.prove(self.proven(image, &stored, false), &stored);
        // Glance takes some of the source's properties along, wanted or not.
        let restored = self.target.update(&stored, &record.attributes).await;
        self.finish(image, &restored.map_err(CopyError::Target)?, goal).await
    }

    /// Has the target copy the data of `replica` to all of its stores where it should be.
    pub(crate) async fn spread(&self, replica: &Image) -> Result<(), CopyError> {
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
    /// Whether the target gets data by itself.
    pub(crate) fn imports(&self) -> bool {
        self.delivery.as_ref().is_some_and(|delivery| delivery.origin.is_some())
    }
}

/// What stands for itself in an address (RFC 3986, section 2.3).
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
