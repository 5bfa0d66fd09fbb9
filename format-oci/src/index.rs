//! `index.json`: the descriptors of the manifests, with their tags.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;

use glance_core::StoreError;
use glance_core::image::ImageId;
use glance_core::store::StoreErrorKind;
use safe_files::dir::Dir;
use safe_files::json;
use serde_json::{Map, Value, json};

use crate::artifact::{Subject, subject};
use crate::blobs::{Blobs, path};
use crate::descriptor::{
    DOCKER_INDEX_TYPE, Descriptor, INDEX_TYPE, MANIFEST_TYPE, Manifest, REF_NAME,
};
use crate::names::{INDEX, UNFINISHED};

/// The index of a layout, and what its entries are.
#[derive(Debug)]
pub(crate) struct Index {
    /// The file without the list of manifests. Fields that this tool does not know are kept.
    document: Map<String, Value>,
    entries: Vec<Entry>,
    /// The positions of each image's entries.
    images: BTreeMap<ImageId, Vec<usize>>,
    /// The state of the file that was read or written last; `None` after a change.
    stamp: Option<Stamp>,
}

/// An entry of the index. An image has an entry for each of its tags.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    /// The entry as it is in the file. Fields that this tool does not know are kept.
    json: Value,
    pub(crate) descriptor: Descriptor,
    /// The name of the manifest's blob.
    name: String,
    content: Arc<Content>,
}

/// What an entry is.
#[derive(Debug)]
enum Content {
    /// An image, and the names of the blobs of its manifest.
    Image(ImageId, Vec<String>),
    /// Something that this tool did not write, such as a container. The names of its blobs, if they
    /// are known.
    Other(Option<Vec<String>>),
    /// A manifest that is missing or damaged, or another index.
    Unreadable(StoreError),
}

impl Entry {
    fn tag(&self) -> Option<&str> {
        self.descriptor.annotations.get(REF_NAME).map(String::as_str)
    }

    /// Why the entry cannot be read; `None` if it can.
    fn error(&self) -> Option<StoreError> {
        match &*self.content {
            Content::Unreadable(error) => Some(error.repeated()),
            _ => None,
        }
    }

    /// The image of an entry that cannot be read, if its tag is an id.
    fn unreadable_image(&self) -> Option<ImageId> {
        match &*self.content {
            Content::Unreadable(_) => self.tag()?.parse().ok(),
            _ => None,
        }
    }
}

impl Index {
    /// The text of an index without entries.
    pub(crate) fn empty() -> Vec<u8> {
        let empty = json!({
            "schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": [],
        });
        empty.to_string().into_bytes()
    }

    /// Reads the index and every manifest that it lists.
    pub(crate) fn read(blobs: &Blobs, operation: &'static str) -> Result<Self, StoreError> {
        let failed = |error| blobs.failed(operation, INDEX, error);
        let damaged = |reason: String| blobs.damaged(operation, reason);
        // The stamp is older than the text, so that a change in between is noticed later.
        let stamp = match Stamp::of(&blobs.layout) {
            Err(error) if error.kind() == ErrorKind::NotFound && !blobs.layout.is_gone() => {
                return Err(damaged(format!("there is no {INDEX}")));
            }
            stamp => stamp.map_err(failed)?,
        };
        let text = json::read(&blobs.layout, INDEX, LARGEST).map_err(failed)?.unwrap_or_default();
        let document = json::parse(&text);
        let mut document: Map<String, Value> = document
            .map_err(|error| damaged(format!("{INDEX} is not an image index")).caused_by(error))?;
        let Some(Value::Array(listed)) = document.remove("manifests") else {
            return Err(damaged(format!("{INDEX} has no list of manifests")));
        };
        let mut known = BTreeMap::new();
        let entries = listed.into_iter().zip(1..).map(|(json, number)| {
            let descriptor = serde_json::from_value(json.clone());
            let descriptor: Descriptor = descriptor.map_err(|error| {
                damaged(format!("entry {number} of {INDEX} is not a descriptor")).caused_by(error)
            })?;
            let name = descriptor.sha256().unwrap_or(&descriptor.digest).to_owned();
            let content = known.entry((name.clone(), descriptor.media_type.clone()));
            let content = content.or_insert_with(|| {
                let examined = examine(blobs, operation, &descriptor);
                Arc::new(examined.unwrap_or_else(Content::Unreadable))
            });
            Ok(Entry { json, name, content: Arc::clone(content), descriptor })
        });
        let entries = entries.collect::<Result<Vec<_>, StoreError>>()?;
        let mut index =
            Self { document, entries: Vec::new(), images: BTreeMap::new(), stamp: Some(stamp) };
        index.set(entries);
        Ok(index)
    }

    /// Whether the index is that of the file.
    pub(crate) fn is_current(&self, layout: &Dir) -> bool {
        self.stamp.is_some() && self.stamp == Stamp::of(layout).ok()
    }

    /// Whether the index differs from what was read or written last.
    pub(crate) fn is_changed(&self) -> bool {
        self.stamp.is_none()
    }

    fn set(&mut self, entries: Vec<Entry>) {
        self.images.clear();
        for (at, entry) in entries.iter().enumerate() {
            if let Content::Image(id, _) = &*entry.content {
                self.images.entry(id.clone()).or_default().push(at);
            }
        }
        self.entries = entries;
    }

    /// The ids of the images, in ascending order, with those of unreadable images.
    ///
    /// # Errors
    /// When an entry cannot be read, and its tag does not name an image either.
    pub(crate) fn ids(&self) -> Result<BTreeSet<ImageId>, StoreError> {
        self.must_be_readable()?;
        let unreadable = self.entries.iter().filter_map(Entry::unreadable_image);
        Ok(self.images.keys().cloned().chain(unreadable).collect())
    }

    /// The entry of an image; `None` if there is no such image. Of several manifests of one image,
    /// that with the id as its tag counts.
    ///
    /// # Errors
    /// When the entry cannot be read, or several manifests could be meant.
    pub(crate) fn find(
        &self,
        blobs: &Blobs,
        operation: &'static str,
        id: &ImageId,
    ) -> Result<Option<&Entry>, StoreError> {
        let unreadable = |entry: &&Entry| entry.unreadable_image().as_ref() == Some(id);
        let during = |mut error: StoreError| {
            error.operation = operation;
            error
        };
        if let Some(error) = self.entries.iter().find(unreadable).and_then(Entry::error) {
            return Err(during(error));
        }
        let Some(positions) = self.images.get(id) else {
            return self.must_be_readable().map(|()| None).map_err(during);
        };
        let entries: Vec<&Entry> = positions.iter().map(|at| &self.entries[*at]).collect();
        let names = |entries: &[&Entry]| {
            entries.iter().map(|entry| entry.name.clone()).collect::<BTreeSet<_>>()
        };
        let tagged = entries.iter().copied().filter(|entry| entry.tag() == Some(id.as_str()));
        let tagged: Vec<&Entry> = tagged.collect();
        let meant = if tagged.is_empty() { entries } else { tagged };
        let names = names(&meant);
        if names.len() == 1 {
            return Ok(meant.first().copied());
        }
        let names = names.into_iter().collect::<Vec<_>>().join(" and ");
        let reason = format!("{INDEX} has several manifests of the image: {names}");
        Err(StoreError::new(StoreErrorKind::Unreadable, &blobs.store(), operation, reason)
            .hint("remove all but one of the entries, or give that one the id as its tag"))
    }

    /// Fails if an entry cannot be read and could be any image.
    fn must_be_readable(&self) -> Result<(), StoreError> {
        let of_an_image = self.entries.iter().filter(|entry| entry.unreadable_image().is_some());
        // The other tags of such an image lead to the same manifest.
        let known: BTreeSet<&str> = of_an_image.map(|entry| entry.name.as_str()).collect();
        let unknown = self.entries.iter().filter(|entry| !known.contains(entry.name.as_str()));
        let mut errors = unknown.filter_map(Entry::error);
        errors.next().map_or(Ok(()), Err)
    }

    /// The number of images.
    pub(crate) fn count(&self) -> usize {
        self.images.len()
    }

    /// Lists the manifest of an image, which has these blobs, under the image's id and under `name`,
    /// unless that is the tag of another image. Replaces the entries of the image without a tag and
    /// with a tag of `before`; other tags stay with the manifest that they were given to. Returns the
    /// names of the blobs that the image no longer has in these entries.
    pub(crate) fn put(
        &mut self,
        id: &ImageId,
        manifest: &Descriptor,
        blobs: Vec<String>,
        name: Option<String>,
        before: Option<&str>,
    ) -> Result<Vec<String>, serde_json::Error> {
        let is_own =
            |tag: Option<&str>| tag.is_none_or(|tag| tag == id.as_str() || Some(tag) == before);
        let of_image = |entry: &Entry| matches!(&*entry.content, Content::Image(of, _) if of == id);
        let (dropped, mut entries): (Vec<Entry>, Vec<Entry>) = std::mem::take(&mut self.entries)
            .into_iter()
            .partition(|entry| of_image(entry) && is_own(entry.tag()));
        let is_free =
            |name: &String| !entries.iter().any(|entry| entry.tag() == Some(name.as_str()));
        let tags = [id.to_string()].into_iter().chain(name.filter(is_free));
        let content = Arc::new(Content::Image(id.clone(), blobs));
        for tag in tags.collect::<Vec<_>>() {
            let mut descriptor = manifest.clone();
            descriptor.annotations.insert(REF_NAME.to_owned(), tag);
            entries.push(Entry {
                json: serde_json::to_value(&descriptor)?,
                name: manifest.sha256().unwrap_or(&manifest.digest).to_owned(),
                descriptor,
                content: Arc::clone(&content),
            });
        }
        self.set(entries);
        self.stamp = None;
        Ok(blobs_of(&dropped))
    }

    /// Removes all entries of an image, and returns the names of their blobs.
    pub(crate) fn remove(&mut self, id: &ImageId) -> Vec<String> {
        let of_image = |entry: &Entry| matches!(&*entry.content, Content::Image(of, _) if of == id);
        let (dropped, kept): (Vec<Entry>, Vec<Entry>) =
            std::mem::take(&mut self.entries).into_iter().partition(of_image);
        self.set(kept);
        self.stamp = None;
        blobs_of(&dropped)
    }

    /// Those of the blobs that no entry has. Empty if the blobs of an entry are unknown.
    pub(crate) fn unused(&self, blobs: Vec<String>) -> BTreeSet<String> {
        let mut unused: BTreeSet<String> = blobs.into_iter().collect();
        for entry in &self.entries {
            unused.remove(&entry.name);
            match &*entry.content {
                Content::Image(_, blobs) | Content::Other(Some(blobs)) => {
                    for name in blobs {
                        unused.remove(name);
                    }
                }
                Content::Other(None) | Content::Unreadable(_) => return BTreeSet::new(),
            }
        }
        unused
    }

    /// Whether the run that wrote the layout has not finished.
    pub(crate) fn is_unfinished(&self) -> bool {
        self.document.get("annotations").is_some_and(|it| it.get(UNFINISHED).is_some())
    }

    /// Marks the layout as being written, or as finished.
    pub(crate) fn set_unfinished(&mut self, unfinished: bool) {
        if unfinished == self.is_unfinished() {
            return;
        }
        let annotations = self.document.entry("annotations").or_insert_with(|| json!({}));
        let Some(annotations) = annotations.as_object_mut() else { return };
        match unfinished {
            true => drop(annotations.insert(UNFINISHED.to_owned(), "true".into())),
            false => drop(annotations.remove(UNFINISHED)),
        }
        if annotations.is_empty() {
            self.document.remove("annotations");
        }
        self.stamp = None;
    }

    /// Replaces the file.
    pub(crate) fn write(
        &mut self,
        blobs: &Blobs,
        operation: &'static str,
    ) -> Result<(), StoreError> {
        let failed = |error| blobs.failed(operation, INDEX, error);
        let mut document = self.document.clone();
        let listed = self.entries.iter().map(|entry| entry.json.clone()).collect();
        document.insert("manifests".to_owned(), Value::Array(listed));
        let text = serde_json::to_vec(&document).map_err(|error| failed(error.into()))?;
        if text.len() as u64 > LARGEST {
            let limit = LARGEST >> 20;
            let reason = format!("{INDEX} would have more than {limit} MiB, which is the limit");
            return Err(StoreError::new(
                StoreErrorKind::LimitReached,
                &blobs.store(),
                operation,
                reason,
            )
            .hint("divide the images among several layouts"));
        }
        blobs.layout.replace(INDEX, &text).map_err(failed)?;
        self.stamp = Stamp::of(&blobs.layout).ok();
        Ok(())
    }
}

/// Reads the manifest of an entry.
fn examine(
    blobs: &Blobs,
    operation: &'static str,
    descriptor: &Descriptor,
) -> Result<Content, StoreError> {
    let damaged = |reason: String| blobs.damaged(operation, reason);
    let media_type = descriptor.media_type.as_str();
    if [INDEX_TYPE, DOCKER_INDEX_TYPE].contains(&media_type) {
        let digest = &descriptor.digest;
        return Err(damaged(format!("{INDEX} lists another index, {digest}")).hint(
            "list every image in index.json: copy them one by one, for example with skopeo",
        ));
    }
    if media_type != MANIFEST_TYPE {
        return Ok(Content::Other(None));
    }
    let manifest = read_manifest(blobs, operation, descriptor)?;
    let described = || [&manifest.config].into_iter().chain(&manifest.layers);
    match subject(&manifest) {
        Ok(Subject::Image(id)) => {
            let names = described().map(|blob| blobs.name(operation, blob));
            Ok(Content::Image(id, names.collect::<Result<_, _>>()?))
        }
        Ok(Subject::Other) => {
            let names = described().map(|blob| blob.sha256().map(str::to_owned));
            Ok(Content::Other(names.collect()))
        }
        Err(error) => {
            let name = blobs.name(operation, descriptor)?;
            Err(damaged(format!("{} is not the manifest of an image", path(&name)))
                .caused_by(error))
        }
    }
}

/// Reads and verifies a manifest.
pub(crate) fn read_manifest(
    blobs: &Blobs,
    operation: &'static str,
    descriptor: &Descriptor,
) -> Result<Manifest, StoreError> {
    let text = blobs.read(operation, descriptor)?;
    let name = blobs.name(operation, descriptor)?;
    json::parse(&text).map_err(|error| {
        blobs.damaged(operation, format!("{} is not a manifest", path(&name))).caused_by(error)
    })
}

/// The names of all blobs of these entries.
fn blobs_of(entries: &[Entry]) -> Vec<String> {
    let of_content = |entry: &Entry| match &*entry.content {
        Content::Image(_, blobs) => blobs.clone(),
        Content::Other(_) | Content::Unreadable(_) => Vec::new(),
    };
    let blobs =
        entries.iter().flat_map(|entry| [entry.name.clone()].into_iter().chain(of_content(entry)));
    blobs.collect()
}

/// The state of the file, which changes with its content.
#[derive(Debug, PartialEq, Eq)]
struct Stamp {
    file: u64,
    length: u64,
    modified: (i64, i64),
}

impl Stamp {
    fn of(layout: &Dir) -> io::Result<Self> {
        let found = layout.open_file(INDEX)?.metadata()?;
        Ok(Self {
            file: found.ino(),
            length: found.len(),
            modified: (found.mtime(), found.mtime_nsec()),
        })
    }
}

/// The maximum size of the file in bytes.
const LARGEST: u64 = 16 << 20;
