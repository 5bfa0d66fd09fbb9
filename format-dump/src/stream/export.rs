//! Writes a stream.

use std::io;
use std::mem::take;

use futures_util::StreamExt;
use glance_core::digest::{Algorithm, Digests, Hashers, Hashing};
use glance_core::error::BodyError;
use glance_core::image::{Attributes, Image, ImageId, Member, Status, Visibility};
use glance_core::store::{ByteRange, ImageStoreExt, StoreErrorKind};
use glance_core::verified_body::checked;
use glance_core::verified_body::{DataVerdict, Expected};
use glance_core::{Body, ImageStore, StoreError};
use replicator_engine::mapping::NotWanted;
use replicator_engine::{CopyError, Done, Loss, Outcome, Policy, Proven};
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::tar::{self, Entry};
use super::{Beside, failed, refers_to_others};
use crate::files::{FAILED, RECORD};
use crate::manifest::{self, Manifest};
use crate::record::{Encoding, Record};
use crate::{extras, sums};

/// Writes the images that `policy` selects to `out`, one after the other, and passes each outcome
/// to `observe`. Only the selection, the mapping, the hashers and the pacing of `policy` are used.
/// The content of `beside` comes first.
///
/// A failed image does not end the run: the stream marks the image as missing, and itself as
/// incomplete. Apart from the data in transit, memory use is 350 bytes of digests per image.
///
/// # Errors
/// If the source cannot be listed, or `out` cannot be written. The stream is then truncated, which
/// its reader detects.
pub async fn export(
    source: &dyn ImageStore,
    policy: &Policy,
    beside: &Beside,
    out: impl AsyncWrite + Send + Unpin,
    mut observe: impl FnMut(Outcome),
) -> Result<(), StoreError> {
    let (archive, manifest) = (Archive::new(out, policy.hashers), Manifest::new());
    let (dependents, losses) = (Vec::new(), Vec::new());
    let mut run = Run { source, policy, archive, dependents, losses, written: None, whole: true };
    run.archive.begin(&manifest, beside).await.map_err(broken)?;
    let mut images = source.list(&policy.selection).await?;
    let mut last: Option<ImageId> = None;
    while let Some(item) = images.next().await {
        let (image, unreadable) = match item {
            Ok(image) => (image, None),
            Err(error) => match error.record.clone() {
                Some(read) => (*read, Some(Err(CopyError::Source(error)))),
                None => return Err(error),
            },
        };
        if last.is_some_and(|last| last > image.id) {
            let reason = "it does not list its images in the order of their ids";
            let error =
                StoreError::new(StoreErrorKind::Invalid, &source, "list the images", reason);
            return Err(error.hint("dump them into a directory"));
        }
        last = Some(image.id.clone());
        let result = match unreadable {
            None => run.image(&image).await.map_err(broken)?,
            Some(result) => {
                run.note(&image.id, &result).await.map_err(broken)?;
                Some(result)
            }
        };
        if let Some(result) = result {
            observe(run.outcome(image, result));
        }
    }
    drop(images);
    for id in take(&mut run.dependents) {
        let (image, result) = run.dependent(id).await.map_err(broken)?;
        observe(run.outcome(image, result));
    }
    run.archive.finish(manifest, run.whole).await.map_err(broken)
}

/// An export in progress. The outer `Result`s are failures of the stream, the inner ones those of
/// an image.
struct Run<'a, W> {
    source: &'a dyn ImageStore,
    policy: &'a Policy,
    archive: Archive<W>,
    /// Images that refer to others. Their data is written at the end, because loading them requires
    /// the others.
    dependents: Vec<ImageId>,
    /// How the image processed last will differ from the source.
    losses: Vec<Loss>,
    /// The number of bytes of the image written last.
    written: Option<u64>,
    /// Whether no image has failed.
    whole: bool,
}

/// The outcome of one image.
type Ended = Result<Done, CopyError>;

impl<W: AsyncWrite + Unpin> Run<'_, W> {
    fn outcome(&mut self, image: Image, result: Ended) -> Outcome {
        let mut outcome = Outcome::of(image, result).with_losses(take(&mut self.losses));
        outcome.journey.bytes = self.written.take();
        outcome.journey.proven = match (&outcome.result, outcome.image.status.has_data()) {
            (Ok(Done::Copied), true) => Some(Proven::on_the_way(&outcome.image)),
            (Ok(Done::Copied), false) => Some(Proven::Record),
            _ => None,
        };
        outcome
    }

    /// Writes an image, or announces it if it refers to others.
    async fn image(&mut self, image: &Image) -> io::Result<Option<Ended>> {
        let result = match self.record(image).await {
            Ok(record) if !image.status.has_data() => {
                self.archive.record(&record, true).await?;
                Ok(Done::Copied)
            }
            Ok(record) if refers_to_others(image) => {
                self.archive.record(&record, false).await?;
                self.dependents.push(image.id.clone());
                return Ok(None);
            }
            Ok(record) => self.copy(image, record).await?,
            Err(done) => done,
        };
        self.note(&image.id, &result).await?;
        Ok(Some(result))
    }

    /// Writes an image that was announced.
    async fn dependent(&mut self, id: ImageId) -> io::Result<(Image, Ended)> {
        let (image, result) = match self.source.get(&id).await {
            Err(error) => {
                let image = Image::queued(id, Attributes::default());
                (image, Err(CopyError::Source(error)))
            }
            Ok(image) => match self.record(&image).await {
                Ok(record) => {
                    let result = self.copy(&image, record).await?;
                    (image, result)
                }
                Err(done) => (image, done),
            },
        };
        self.note(&image.id, &result).await?;
        Ok((image, result))
    }

    /// Marks a failed image as missing.
    async fn note(&mut self, id: &ImageId, result: &Ended) -> io::Result<()> {
        match result {
            Ok(_) => Ok(()),
            Err(error) => {
                self.whole = false;
                self.archive.failed(id, error).await
            }
        }
    }

    /// The record to write for an image, or the reason to leave the image out.
    async fn record(&mut self, image: &Image) -> Result<Record, Ended> {
        let policy = self.policy;
        self.losses.clear();
        let queued = policy.queued && image.status == Status::Queued;
        if !image.status.has_data() && !queued {
            let reason = format!("it has no data at the source, its status is {}", image.status);
            return Err(Ok(Done::Skipped(reason)));
        }
        let wanted = policy.mapping.wanted(image).await.map_err(|refused| match refused {
            NotWanted::Skipped(reason) => Ok(Done::Skipped(reason)),
            NotWanted::Blocked { reason, hint } => {
                Err(CopyError::Blocked { reason, hint: Some(hint) })
            }
            NotWanted::Unknown(error) => Err(CopyError::Unresolved(error)),
            _ => Ok(Done::Skipped("it is not wanted".to_owned())),
        })?;
        if let Some((algorithm, _)) = Expected::of(image).digest {
            if !policy.hashers.offers(algorithm) {
                return Err(Err(CopyError::Unverifiable { algorithm }));
            }
        }
        let members = match image.attributes.visibility {
            Visibility::Shared => self.members(image).await.map_err(Err)?,
            _ => Vec::new(),
        };
        let image = Image { attributes: wanted.attributes, ..image.clone() };
        Ok(Record { image, members, data: None, expected: None })
    }

    /// The members of an image; empty if the source does not show them to this user.
    async fn members(&mut self, image: &Image) -> Result<Vec<Member>, CopyError> {
        let shown = self.source.members_if_shown(&image.id).await.map_err(CopyError::Source)?;
        let Some(members) = shown else {
            self.losses.push(Loss::members("the source does not show its members"));
            return Ok(Vec::new());
        };
        let mapped = self.policy.mapping.members(&members).await.map_err(CopyError::Unresolved)?;
        let lost = |member: &String| Loss::members(format!("not a member: {member}"));
        self.losses.extend(mapped.unresolved.iter().map(lost));
        Ok(mapped.members)
    }

    async fn copy(&mut self, image: &Image, mut record: Record) -> io::Result<Ended> {
        let data = match self.source.read(&image.id, ByteRange::ALL).await {
            Ok(data) => data,
            Err(error) => return Ok(Err(CopyError::Source(error))),
        };
        let failed = |kind, reason| {
            StoreError::new(kind, &self.source, "read the data", reason).on(&image.id)
        };
        let Some(size) = image.size.or(data.size()) else {
            let reason = "nobody says how long it is, and a stream must say so first";
            let error = failed(StoreErrorKind::Unreadable, reason);
            return Ok(Err(CopyError::Source(error.hint("dump it into a directory"))));
        };
        record.image.size = Some(size);
        let data = self.policy.pacing.read(data);
        let (data, verdict) = checked(data, Expected::of(&record.image), self.policy.hashers);
        let data = self.policy.pacing.sent(0, data);
        match self.archive.image(record, data, size, &verdict).await? {
            Ok(()) => {
                self.written = Some(size);
                Ok(Ok(Done::Copied))
            }
            Err(error) => {
                let source_store = self.source.to_string();
                let of_data = verdict.fault().map(|fault| CopyError::Data { source_store, fault });
                let other = || failed(StoreErrorKind::Server, "it failed").caused_by(error);
                Ok(Err(of_data.unwrap_or_else(|| CopyError::Source(other()))))
            }
        }
    }
}

/// A stream that is being written.
struct Archive<W> {
    out: W,
    hashers: Hashers,
    /// The digests of the files so far, for `SHA512SUMS` at the end.
    sums: String,
    time: u64,
}

impl<W: AsyncWrite + Unpin> Archive<W> {
    fn new(out: W, hashers: Hashers) -> Self {
        let now = jiff::Timestamp::now().as_second();
        Self { out, hashers, sums: String::new(), time: now.try_into().unwrap_or_default() }
    }

    async fn begin(&mut self, manifest: &Manifest, beside: &Beside) -> io::Result<()> {
        self.file(manifest::FILE, &manifest.to_text()?).await?;
        let mut namespaces = Vec::new();
        for namespace in &beside.metadefs {
            let no_name = || io::Error::other("a namespace of metadata definitions has no name");
            let name = extras::metadef_path(namespace).ok_or_else(no_name)?;
            namespaces.push((name, serde_json::to_vec_pretty(namespace)?));
        }
        namespaces.sort();
        namespaces.dedup_by(|one, other| one.0 == other.0);
        for (name, text) in namespaces {
            self.file(&name, &text).await?;
            self.list(&name, &sums::of(&text, self.hashers)?);
        }
        if !beside.projects.is_empty() {
            let text = serde_json::to_vec_pretty(&beside.projects)?;
            self.file(extras::PROJECTS, &text).await?;
            self.list(extras::PROJECTS, &sums::of(&text, self.hashers)?);
        }
        Ok(())
    }

    /// Writes a record. Only the `last` record of an image is listed in `SHA512SUMS`.
    async fn record(&mut self, record: &Record, last: bool) -> io::Result<()> {
        let (name, text) = (format!("{}{RECORD}", record.image.id), record.to_text());
        self.file(&name, text.as_bytes()).await?;
        if last {
            let digest = sums::of(text.as_bytes(), self.hashers)?;
            self.list(&name, &digest);
        }
        Ok(())
    }

    /// Writes an image with its `data`; `verdict` is the result of verifying that data.
    async fn image(
        &mut self,
        mut record: Record,
        data: Body,
        size: u64,
        verdict: &DataVerdict,
    ) -> io::Result<Result<(), BodyError>> {
        let digest = Expected::of(&record.image).digest;
        self.record(&record, false).await?;
        // `checked` computes SHA-512 itself if no digest of another algorithm verifies the data.
        let on_the_way = digest.as_ref().is_none_or(|(it, _)| *it == Algorithm::Sha512);
        let hashing = self.hashers.start((!on_the_way).then_some(Algorithm::Sha512));
        let blob = format!("{}{}", record.image.id, Encoding::Identity.suffix());
        let digests = match self.data(&blob, data, size, hashing).await? {
            Ok(digests) => digests,
            Err(error) => return Ok(Err(error)),
        };
        let digests = if on_the_way { verdict.digests() } else { Some(&digests) };
        let sha512 = digests.and_then(|digests| digests.get(&Algorithm::Sha512)).cloned();
        let sha512 = sha512.ok_or_else(sums::not_offered)?;
        self.list(&blob, &sha512);
        if digest.is_none() {
            record.image.os_hash_algo = Some(Algorithm::Sha512.to_string());
            record.image.os_hash_value = Some(sha512);
            self.record(&record, true).await?;
        } else {
            let digest = sums::of(record.to_text().as_bytes(), self.hashers)?;
            self.list(&format!("{}{RECORD}", record.image.id), &digest);
        }
        Ok(Ok(()))
    }

    /// Writes exactly `size` bytes, padding with zeros if `data` fails; returns the digests if
    /// `data` was complete.
    async fn data(
        &mut self,
        name: &str,
        mut data: Body,
        size: u64,
        mut hashing: Hashing,
    ) -> io::Result<Result<Digests, BodyError>> {
        self.header(name, size).await?;
        let mut left = size;
        let failure = loop {
            match data.next().await {
                Some(Ok(chunk)) if chunk.len() as u64 <= left => {
                    hashing.update(&chunk).await;
                    self.out.write_all(&chunk).await?;
                    left -= chunk.len() as u64;
                }
                Some(Ok(_)) => break Some("more came than the source had said".into()),
                Some(Err(error)) => break Some(error),
                None if left > 0 => break Some("less came than the source had said".into()),
                None => break None,
            }
        };
        // An entry must be as long as its header says.
        tokio::io::copy(&mut tokio::io::repeat(0).take(left), &mut self.out).await?;
        self.pad(size).await?;
        match failure {
            Some(error) => Ok(Err(error)),
            None => Ok(Ok(hashing.finish().await.map_err(io::Error::other)?)),
        }
    }

    /// Marks an image as missing from the stream, after any of its data.
    async fn failed(&mut self, id: &ImageId, error: &CopyError) -> io::Result<()> {
        let mut text = format!("{error}\n");
        let mut cause = std::error::Error::source(error);
        while let Some(error) = cause {
            text.push_str(&error.to_string());
            text.push('\n');
            cause = error.source();
        }
        self.file(&format!("{id}{FAILED}"), text.as_bytes()).await
    }

    async fn finish(mut self, manifest: Manifest, whole: bool) -> io::Result<()> {
        let mut lines: Vec<&str> = self.sums.split_inclusive('\n').collect();
        lines.sort_unstable_by_key(|line| sums::parse(line).map(|(name, _)| name));
        let text = lines.concat();
        self.file(sums::FILE, text.as_bytes()).await?;
        let manifest = manifest.ended(whole, sums::of(text.as_bytes(), self.hashers)?);
        self.file(manifest::FILE, &manifest.to_text()?).await?;
        self.out.write_all(&tar::END).await?;
        self.out.flush().await?;
        self.out.shutdown().await
    }

    fn list(&mut self, name: &str, digest: &str) {
        self.sums.push_str(&sums::line(name, digest));
    }

    async fn file(&mut self, name: &str, text: &[u8]) -> io::Result<()> {
        self.header(name, text.len() as u64).await?;
        self.out.write_all(text).await?;
        self.pad(text.len() as u64).await
    }

    async fn header(&mut self, name: &str, size: u64) -> io::Result<()> {
        let entry = Entry { name: name.to_owned(), size };
        self.out.write_all(&tar::header(&entry, self.time)?).await
    }

    async fn pad(&mut self, size: u64) -> io::Result<()> {
        self.out.write_all(&tar::END[..tar::padding(size)]).await
    }
}

fn broken(error: io::Error) -> StoreError {
    failed("write it", error)
}
