//! Reads the entries of a stream.

use std::collections::BTreeSet;
use std::fmt;
use std::io;

use glance_core::StoreError;
use glance_core::digest::Hashing;
use glance_core::image::{Image, ImageId};
use glance_core::store::StoreErrorKind;
use glance_core::units::plural;
use glance_core::verified_body::Expected;
use safe_files::json::Values;
use safe_files::record::StoredRecord;
use tokio::io::{AsyncRead, BufReader};

use super::tar::{self, Entry, invalid};
use super::{Extras, NAME, failed};
use crate::files::{FAILED, RECORD};
use crate::limits::LONGEST;
use crate::manifest::{self, Manifest};
use crate::record::{Encoding, Stored};
use crate::{extras, sums};

pub(super) type Input = BufReader<Box<dyn AsyncRead + Send + Unpin>>;

/// The stream and the state of reading it.
pub(super) struct Incoming {
    pub(super) input: Input,
    /// The next file, if its header has been read.
    next: Option<Entry>,
    pub(super) current: Option<Current>,
    /// The id of the previous image; ids must ascend.
    last: Option<ImageId>,
    /// The images on which the writer failed: their number and the first one.
    failed: (u64, Option<ImageId>),
    /// Whether the last manifest says that the dump is complete.
    complete: bool,
    /// Whether the verdict on the stream has been returned.
    pub(super) judged: bool,
    /// The announced images, whose data follows that of all others.
    announced: BTreeSet<ImageId>,
    at: At,
    /// The error that ended the stream early.
    fault: Option<(io::ErrorKind, String)>,
}

/// The part of the stream that comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    /// Images, in the order of their ids.
    Images,
    /// The announced images; all images have been listed.
    Announced,
    /// The end.
    End,
}

/// The current image of the stream.
pub(super) struct Current {
    pub(super) record: StoredRecord<Stored>,
    pub(super) size: u64,
    /// Bytes of data not read yet; `None` once the data has been read or skipped, or if there is
    /// none.
    pub(super) left: Option<u64>,
}

impl Incoming {
    pub(super) fn new(input: Input) -> Self {
        let (next, current, last) = (None, None, None);
        let (failed, complete, fault) = ((0, None), false, None);
        let (announced, at) = (BTreeSet::new(), At::Images);
        Self { input, next, current, last, failed, complete, judged: false, announced, at, fault }
    }

    /// Reads everything before the first image.
    pub(super) async fn begin(&mut self) -> Result<Extras, StoreError> {
        let head = self.peek().await.map_err(broken)?;
        if head.is_none_or(|entry| entry.name != manifest::FILE) {
            let reason = "the stream does not begin with the manifest of a dump";
            let error = StoreError::new(StoreErrorKind::Unreadable, &NAME, OPEN, reason);
            return Err(error.hint(
                "use a stream that `dump SERVER -` wrote; \
                extract another archive, then load the directory",
            ));
        }
        let text = self.text().await.map_err(broken)?;
        Manifest::parse(&text, &NAME, OPEN)?;
        self.extras().await.map_err(broken)
    }

    async fn extras(&mut self) -> io::Result<Extras> {
        let (mut found, mut bytes, mut values) = (Extras::default(), 0, Values::new());
        while let Some(entry) = self.peek().await? {
            let (projects, metadef) =
                (entry.name == extras::PROJECTS, entry.name.starts_with(extras::METADEFS));
            if !projects && !metadef {
                break;
            }
            // A header may claim any size.
            bytes = entry.size.saturating_add(bytes);
            if bytes > LONGEST {
                return Err(invalid(
                    "the projects and metadata definitions are too large".to_owned(),
                ));
            }
            let text = self.text().await?;
            match projects {
                true => found.projects = values.parse(&text)?,
                false => found.metadefs.push(values.parse(&text)?),
            }
        }
        Ok(found)
    }

    /// The next file; `None` at the end of the archive.
    async fn peek(&mut self) -> io::Result<Option<&Entry>> {
        if self.next.is_none() && self.at != At::End {
            let next = tar::next(&mut self.input).await;
            if let Err(error) = &next {
                self.fault = Some((error.kind(), error.to_string()));
            }
            // Reading cannot continue after a malformed entry.
            if !matches!(next, Ok(Some(_))) {
                self.at = At::End;
            }
            self.next = next?;
        }
        Ok(self.next.as_ref())
    }

    /// Reads a file into memory.
    async fn text(&mut self) -> io::Result<Vec<u8>> {
        let Some(entry) = self.next.take() else { return Ok(Vec::new()) };
        match entry.size {
            size if size > LONGEST => Err(invalid(format!("{} is too large", entry.name))),
            size => tar::read_short(&mut self.input, size).await,
        }
    }

    /// Skips the rest of the current image and proceeds to the next one. `None` at the end, and
    /// before the first announced image.
    pub(super) async fn advance(&mut self) -> io::Result<Option<Image>> {
        self.pass_over().await?;
        self.current = None;
        while let Some(entry) = self.peek().await? {
            let name = entry.name.clone();
            match kind(&name) {
                Kind::Record(id) if self.at == At::Images && self.announced.contains(&id) => {
                    self.at = At::Announced;
                    break;
                }
                Kind::Record(id) => {
                    self.image(id).await?;
                    return Ok(self.current.as_ref().map(|current| current.record.image.clone()));
                }
                Kind::Failed(id) => {
                    self.text().await?;
                    self.note_failed(id);
                }
                Kind::Manifest => self.complete = self.manifest().await?,
                Kind::Sums => self.skip().await?,
                Kind::Other => return Err(invalid(format!("{name} is in the wrong place"))),
            }
        }
        if self.at == At::End {
            // Read the padding of the last tar record, so that the writer gets no broken pipe.
            tokio::io::copy(&mut self.input, &mut tokio::io::sink()).await?;
        }
        Ok(None)
    }

    /// Proceeds to an announced image, if all images have been listed.
    pub(super) async fn seek(&mut self, id: &ImageId) -> io::Result<()> {
        if self.at == At::Images || !self.announced.contains(id) {
            return Ok(());
        }
        let at_it = |this: &Self| {
            this.current.as_ref().is_some_and(|current| current.record.image.id == *id)
        };
        while !at_it(self) && self.advance().await?.is_some() {}
        Ok(())
    }

    /// Reads a record, up to its data.
    async fn image(&mut self, id: ImageId) -> io::Result<()> {
        let record = self.record(&id).await?;
        let in_place = match self.at {
            At::Images => self.last.as_ref().is_none_or(|last| *last < id),
            _ => self.announced.remove(&id),
        };
        if !in_place {
            return Err(invalid(format!("image {id} is in the wrong place")));
        }
        self.last = Some(id.clone());
        let blob = format!("{id}{}", Encoding::Identity.suffix());
        let announced = self.at == At::Images && record.image.refers_to_others();
        let size = match self.peek().await? {
            Some(entry) if entry.name == blob => entry.size,
            _ if announced || !record.image.status.has_data() => {
                if record.image.status.has_data() {
                    self.announced.insert(id);
                }
                self.current = Some(Current { record, size: 0, left: None });
                return Ok(());
            }
            _ => {
                return Err(invalid(format!(
                    "the record of image {id} is not followed by its data"
                )));
            }
        };
        if record.image.size != Some(size) || !record.image.status.has_data() {
            return Err(invalid(format!("the data of image {id} does not match its record")));
        }
        self.next = None;
        self.current = Some(Current { record, size, left: Some(size) });
        Ok(())
    }

    async fn record(&mut self, id: &ImageId) -> io::Result<StoredRecord<Stored>> {
        let text = self.text().await?;
        let record = StoredRecord::from_text(&text);
        let wrong =
            |reason: &dyn fmt::Display| invalid(format!("the record of image {id}: {reason}"));
        let record = record.map_err(|error| wrong(&error))?;
        match &record.image.id {
            named if named == id => Ok(record),
            named => Err(wrong(&format!("the file is the record of {named}"))),
        }
    }

    async fn manifest(&mut self) -> io::Result<bool> {
        let text = self.text().await?;
        let manifest = Manifest::parse(&text, &NAME, OPEN);
        Ok(manifest.map_err(|error| invalid(error.to_string()))?.complete)
    }

    /// Skips the next file.
    async fn skip(&mut self) -> io::Result<()> {
        let Some(entry) = self.next.take() else { return Ok(()) };
        tar::skip(&mut self.input, entry.size).await?;
        tar::skip(&mut self.input, tar::padding(entry.size) as u64).await
    }

    /// Skips the rest of the current image's data.
    async fn pass_over(&mut self) -> io::Result<()> {
        let Some(Current { left: Some(left), .. }) = &self.current else { return Ok(()) };
        tar::skip(&mut self.input, *left).await?;
        self.end_of_data(None).await.map(drop)
    }

    /// Reads the entries after the current image's data and returns the fault of the image, if any.
    /// Without `hashing`, the digest is not checked.
    pub(super) async fn end_of_data(
        &mut self,
        hashing: Option<Hashing>,
    ) -> io::Result<Option<String>> {
        let Some(Current { record, size, left }) = &mut self.current else { return Ok(None) };
        let (id, padding) = (record.image.id.clone(), tar::padding(*size) as u64);
        *left = None;
        tar::skip(&mut self.input, padding).await?;
        match self.peek().await?.map(|entry| kind(&entry.name)) {
            Some(Kind::Failed(failed)) if failed == id => {
                let text = self.text().await?;
                self.note_failed(id);
                let reason = String::from_utf8_lossy(&text);
                let reason = reason.lines().next().unwrap_or_default().to_owned();
                Ok(Some(format!("the writer of the stream failed on this image: {reason}")))
            }
            // The record is repeated with a digest.
            Some(Kind::Record(again)) if again == id => {
                let record = self.record(&id).await?;
                let fault = disproven(&record.image, hashing).await?;
                if let Some(current) = &mut self.current {
                    current.record = record;
                }
                Ok(fault)
            }
            _ if hashing.is_some() => Ok(Some("the stream has no digest of the data".to_owned())),
            _ => Ok(None),
        }
    }

    fn note_failed(&mut self, id: ImageId) {
        self.failed.0 += 1;
        self.failed.1.get_or_insert(id);
    }

    /// The fault of the whole stream, if any. It is returned once.
    pub(super) fn verdict(&mut self) -> Option<StoreError> {
        if self.at != At::End || std::mem::replace(&mut self.judged, true) {
            return None;
        }
        let error =
            |reason: String| StoreError::new(StoreErrorKind::Unreadable, &NAME, READ, reason);
        let again = "run `dump` again, then `load`: it completes the missing images";
        if let Some((kind, fault)) = &self.fault {
            return Some(broken(io::Error::new(*kind, fault.clone())));
        }
        match &self.failed {
            (number, Some(first)) => Some(
                error(format!(
                    "the writer of the stream failed on {number} image{s}, first on {first}",
                    s = plural(*number)
                ))
                .hint(again),
            ),
            _ if !self.complete => Some(
                error("the stream was truncated: its end does not mark it as complete".to_owned())
                    .hint(again),
            ),
            _ => None,
        }
    }
}

/// The kind of a file in a stream.
enum Kind {
    Record(ImageId),
    Failed(ImageId),
    Manifest,
    Sums,
    Other,
}

fn kind(name: &str) -> Kind {
    let id = |suffix| name.strip_suffix(suffix).and_then(|id| id.parse().ok());
    match (name, id(RECORD), id(FAILED)) {
        (manifest::FILE, ..) => Kind::Manifest,
        (sums::FILE, ..) => Kind::Sums,
        (_, Some(id), _) => Kind::Record(id),
        (_, _, Some(id)) => Kind::Failed(id),
        _ => Kind::Other,
    }
}

/// Compares the digest of the data with that in the record.
async fn disproven(image: &Image, hashing: Option<Hashing>) -> io::Result<Option<String>> {
    let Some(hashing) = hashing else { return Ok(None) };
    let Some((algorithm, wanted)) = Expected::of(image).digest else {
        return Ok(Some("the stream has no digest of the data".to_owned()));
    };
    let digests = hashing.finish().await.map_err(io::Error::other)?;
    let got = digests.get(&algorithm).map(String::as_str).unwrap_or_default();
    let agrees = got.eq_ignore_ascii_case(&wanted);
    Ok((!agrees).then(|| format!("the {algorithm} is {got}, the stream says {wanted}")))
}

pub(super) fn broken(error: io::Error) -> StoreError {
    failed(READ, error)
}

const OPEN: &str = "open the dump";
pub(super) const READ: &str = "read the dump";
