//! The record of an image in a directory: the record of the v2 API, the members that Glance keeps
//! separately, and how the data is stored.

use std::collections::BTreeMap;

use futures_util::stream::{self, StreamExt};
use glance_core::StoreError;
use glance_core::error::BodyError;
use glance_core::image::update::apply;
use glance_core::image::{Attributes, Image, ImageId, Member, Status, Visibility};
use glance_core::selection::Selection;
use glance_core::store::{Activation, ImageStream, StoreErrorKind};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::errors::Refusal;
use crate::json;

mod digests;

pub use digests::WantedDigests;

/// An image, its members, and the description `D` of its data in the directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredRecord<D> {
    /// The record of the v2 API.
    pub image: Image,
    /// The members of a shared image.
    pub members: Vec<Member>,
    /// How the data is stored; `None` without data, and in records of earlier releases.
    pub data: Option<D>,
    /// The digests announced for the data, as long as there is none.
    pub expected: Option<AnnouncedDigests>,
}

/// The digests announced for data that has not arrived yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnnouncedDigests {
    /// A digest in the algorithm of the record.
    pub os_hash_value: String,
    /// The MD5.
    #[serde(default)]
    pub checksum: Option<String>,
}

impl<D: Serialize + DeserializeOwned> StoredRecord<D> {
    /// Writes the record as JSON.
    pub fn to_json(&self) -> Value {
        let members: Vec<Value> = self
            .members
            .iter()
            .map(|member| json!({ "member_id": member.project, "status": member.status.as_str() }))
            .collect();
        let mut record = json!({ "image": self.image.to_json(), "members": members });
        if let Some(data) = &self.data {
            record["data"] = json!(data);
        }
        if let Some(expected) = &self.expected {
            record["expected"] = json!(expected);
        }
        record
    }

    /// The text of the record.
    pub fn to_text(&self) -> String {
        format!("{:#}\n", self.to_json())
    }

    /// Reads the text of a record.
    pub fn from_text(text: &[u8]) -> Result<Self, BodyError> {
        Self::take_from(&mut json::parse(text)?)
    }

    /// Reads a record from `fields`, and removes the fields that belong to it.
    pub fn take_from(fields: &mut Map<String, Value>) -> Result<Self, BodyError> {
        let mut take = |key| fields.remove(key).unwrap_or_default();
        let image = match take("image") {
            Value::Object(image) => image,
            _ => Map::new(),
        };
        let (members, data, expected) = (take("members"), take("data"), take("expected"));
        let members = members.as_array().map(Vec::as_slice).unwrap_or_default();
        let members = members.iter().filter_map(|member| {
            let project = member["member_id"].as_str()?.to_owned();
            Some(member["status"].as_str()?.parse().map(|status| Member { project, status }))
        });
        let members = members.collect::<Result<_, _>>()?;
        let (data, expected) = (serde_json::from_value(data)?, serde_json::from_value(expected)?);
        Ok(Self { image: Image::from_json(image)?, members, data, expected })
    }
}

impl<D> StoredRecord<D> {
    /// The record of a new image, without data. Keeps the times of `image`, the algorithm of its
    /// digest, and its digests as the announced ones.
    pub fn queued(image: &Image) -> Self {
        let expected = image.os_hash_value.clone();
        let expected = expected.map(|os_hash_value| AnnouncedDigests {
            os_hash_value,
            checksum: image.checksum.clone(),
        });
        let image = Image {
            virtual_size: image.virtual_size,
            os_hash_algo: image.os_hash_algo.clone(),
            created_at: image.created_at.clone(),
            updated_at: image.updated_at.clone(),
            ..Image::queued(image.id.clone(), image.attributes.clone())
        };
        Self { image, members: Vec::new(), data: None, expected }
    }

    /// The record as long as its data is missing.
    pub fn forget_data(&mut self) {
        let image = &mut self.image;
        image.status = Status::Queued;
        (image.size, image.checksum, image.os_hash_value) = (None, None, None);
        self.data = None;
    }

    /// Fails unless the image can receive data.
    ///
    /// # Errors
    /// [`StoreErrorKind::Conflict`].
    pub fn must_be_queued(&self) -> Result<(), Refusal> {
        match self.image.status {
            Status::Queued => Ok(()),
            status => {
                let reason = format!("the image is {status}, not queued");
                Err(Refusal::new(StoreErrorKind::Conflict, reason))
            }
        }
    }

    /// Fails if the image has no complete data.
    ///
    /// # Errors
    /// A refusal of the given kind.
    pub fn must_have_data(&self, kind: StoreErrorKind) -> Result<(), Refusal> {
        match self.image.status {
            status if status.has_data() => Ok(()),
            status => Err(Refusal::new(kind, format!("the image has no data (status {status})"))),
        }
    }

    /// Changes the attributes, as [`ImageStore::update`](glance_core::ImageStore::update)
    /// describes.
    ///
    /// # Errors
    /// [`StoreErrorKind::Forbidden`].
    pub fn update(&mut self, current: &Image, wanted: &Attributes) -> Result<(), Refusal> {
        apply(&mut self.image, &current.attributes, wanted)
            .map_err(|reason| Refusal::new(StoreErrorKind::Forbidden, reason))?;
        if current.updated_at.is_some() {
            self.image.updated_at.clone_from(&current.updated_at);
        }
        Ok(())
    }

    /// Sets the status of a complete image.
    ///
    /// # Errors
    /// [`StoreErrorKind::Forbidden`] without data.
    pub fn set_activation(&mut self, activation: Activation) -> Result<(), Refusal> {
        self.must_have_data(StoreErrorKind::Forbidden)?;
        self.image.status = match activation {
            Activation::Active => Status::Active,
            Activation::Deactivated => Status::Deactivated,
        };
        Ok(())
    }

    /// Fails if the image is protected from deletion.
    ///
    /// # Errors
    /// [`StoreErrorKind::Forbidden`].
    pub fn must_be_unprotected(&self) -> Result<(), Refusal> {
        match self.image.attributes.protected {
            false => Ok(()),
            true => Err(Refusal::new(StoreErrorKind::Forbidden, "the image is protected")),
        }
    }

    /// Fails unless the image may have members.
    ///
    /// # Errors
    /// [`StoreErrorKind::Forbidden`].
    pub fn must_be_shared(&self) -> Result<(), Refusal> {
        match self.image.attributes.visibility {
            Visibility::Shared => Ok(()),
            other => {
                let reason = format!("the image is {other}, not shared");
                Err(Refusal::new(StoreErrorKind::Forbidden, reason))
            }
        }
    }

    /// Replaces the members of a shared image.
    ///
    /// # Errors
    /// [`StoreErrorKind::Forbidden`].
    pub fn set_members(&mut self, members: &[Member]) -> Result<(), Refusal> {
        self.must_be_shared()?;
        // At most one member per project, as in Glance.
        let unique: BTreeMap<&str, &Member> =
            members.iter().map(|member| (member.project.as_str(), member)).collect();
        self.members = unique.into_values().cloned().collect();
        Ok(())
    }
}

/// Lists the images with these ids, which must be in ascending order, as
/// [`ImageStore::list`](glance_core::ImageStore::list) describes. `load` reads one record.
pub fn listing<'a, F>(
    ids: impl Iterator<Item = ImageId> + Send + 'a,
    selection: &Selection,
    load: impl Fn(ImageId) -> F + Send + Sync + 'a,
) -> ImageStream<'a>
where
    F: Future<Output = Result<Image, StoreError>> + Send + 'a,
{
    let admitted = selection.clone();
    let ids = ids.filter(move |id| admitted.admits_id(id));
    // An unreadable record affects only its own image.
    let images = stream::iter(ids).then(move |id| {
        let loading = load(id.clone());
        async move {
            let unread = |error: StoreError| match error.kind {
                StoreErrorKind::NotFound => error,
                _ => error.of_record(Image::queued(id, Attributes::default())),
            };
            loading.await.map_err(unread)
        }
    });
    // Omit an image deleted in the meantime.
    let selection = selection.clone();
    let listed = move |it: &Result<Image, StoreError>| match it {
        Ok(image) => selection.admits(image),
        Err(error) => error.kind != StoreErrorKind::NotFound,
    };
    images.filter(move |it| std::future::ready(listed(it))).boxed()
}
