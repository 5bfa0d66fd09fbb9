//! An image as an OCI artifact: the config blob is the record, and the manifest names the config
//! blob and the data.

use glance_core::error::BodyError;
use glance_core::image::ImageId;
use glance_core::project::Project;
use safe_files::json;
use safe_files::record::StoredRecord;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::descriptor::{
    Annotations, CREATED, Descriptor, EMPTY_TYPE, MANIFEST_TYPE, Manifest, TITLE,
};
use crate::names::{
    ARTIFACT_TYPE, CONFIG_TYPE, CONFIG_TYPES, CONTAINER_FORMAT, DATA_TYPE, DISK_FORMAT, ID, SIZE,
    file_name,
};

/// An image of a layout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Artifact {
    pub(crate) record: StoredRecord<Layer>,
    /// The projects that own the image or share it, as far as they are known.
    pub(crate) projects: Vec<Project>,
}

/// The layer that is the data of an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Layer {
    /// The SHA-256 of the data, in hexadecimal: the name of the blob.
    pub(crate) sha256: String,
    /// The number of bytes.
    pub(crate) size: u64,
}

impl Artifact {
    /// The config blob.
    pub(crate) fn config(&self) -> Result<Vec<u8>, BodyError> {
        let mut config = self.record.to_json();
        if !self.projects.is_empty() {
            config["projects"] = json!(self.projects);
        }
        Ok(serde_json::to_vec(&config)?)
    }

    /// The manifest of an image whose config blob has this descriptor.
    pub(crate) fn manifest(&self, config: Descriptor) -> Result<Vec<u8>, BodyError> {
        let manifest = Manifest {
            schema_version: 2,
            media_type: Some(MANIFEST_TYPE.to_owned()),
            artifact_type: Some(ARTIFACT_TYPE.to_owned()),
            config,
            layers: vec![self.layer()],
            annotations: self.annotations(),
        };
        Ok(serde_json::to_vec(&manifest)?)
    }

    /// The descriptor of the data; that of the empty blob for an image without data, because a
    /// manifest should have a layer.
    fn layer(&self) -> Descriptor {
        let image = &self.record.image;
        let Some(Layer { sha256, size }) = &self.record.data else {
            return Descriptor::new(EMPTY_TYPE, EMPTY_SHA256, EMPTY.len() as u64);
        };
        let attributes = &image.attributes;
        let (name, format) = (attributes.name.as_deref(), attributes.disk_format.as_deref());
        let title = (TITLE.to_owned(), file_name(name, &image.id, format));
        Descriptor { annotations: [title].into(), ..Descriptor::new(DATA_TYPE, sha256, *size) }
    }

    fn annotations(&self) -> Annotations {
        let image = &self.record.image;
        let attributes = &image.attributes;
        let annotations = [
            (ID, Some(image.id.to_string())),
            (SIZE, image.size.map(|size| size.to_string())),
            (DISK_FORMAT, attributes.disk_format.clone()),
            (CONTAINER_FORMAT, attributes.container_format.clone()),
            (TITLE, attributes.name.clone()),
            (CREATED, image.created_at.clone()),
        ];
        let known = annotations.into_iter().filter_map(|(key, value)| Some((key, value?)));
        known.map(|(key, value)| (key.to_owned(), value)).collect()
    }

    /// Reads an image from its manifest and its config blob, which must agree.
    pub(crate) fn read(manifest: &Manifest, config: &[u8]) -> Result<Self, BodyError> {
        let mut fields: Map<String, Value> = json::parse(config)?;
        let record: StoredRecord<Layer> = StoredRecord::take_from(&mut fields)?;
        let projects = fields.remove("projects").filter(|projects| !projects.is_null());
        let projects = projects.map(serde_json::from_value).transpose()?.unwrap_or_default();
        let of = &record.image.id;
        if id(manifest)? != *of {
            return Err(format!("the config blob is the record of {of}").into());
        }
        let [layer] = &manifest.layers[..] else {
            let count = manifest.layers.len();
            return Err(format!("the manifest has {count} layers, not one").into());
        };
        let digest = &layer.digest;
        match &record.data {
            None if record.image.status.has_data() => {
                Err("the record of a complete image names no data".into())
            }
            Some(data)
                if layer.sha256() != Some(data.sha256.as_str()) || layer.size != data.size =>
            {
                let Layer { sha256, size } = data;
                let (found, said) = (layer.size, format!("sha256:{sha256} with {size} bytes"));
                Err(format!("the layer is {digest} with {found} bytes, the record says {said}")
                    .into())
            }
            Some(data) if record.image.size.is_some_and(|size| size != data.size) => {
                let size = record.image.size.unwrap_or_default();
                Err(format!("the layer has {} bytes, the record says {size}", data.size).into())
            }
            _ => Ok(Self { record, projects }),
        }
    }
}

/// What a manifest is the manifest of.
pub(crate) enum Subject {
    /// An image.
    Image(ImageId),
    /// Something that this tool did not write, such as a container.
    Other,
}

/// Whether a manifest is that of an image.
pub(crate) fn subject(manifest: &Manifest) -> Result<Subject, BodyError> {
    let media_type = &manifest.config.media_type;
    match media_type.starts_with(CONFIG_TYPES) {
        false => Ok(Subject::Other),
        true if media_type == CONFIG_TYPE => Ok(Subject::Image(id(manifest)?)),
        true => Err(format!("this release reads {CONFIG_TYPE}, not {media_type}").into()),
    }
}

fn id(manifest: &Manifest) -> Result<ImageId, BodyError> {
    let id = manifest.annotations.get(ID);
    Ok(id.ok_or_else(|| format!("the manifest has no annotation {ID}"))?.parse()?)
}

/// The empty blob of the OCI image specification.
pub(crate) const EMPTY: &[u8] = b"{}";
const EMPTY_SHA256: &str = "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";
